"""attack.text: leaks fail, a noised twin passes by the rule alone, and what could not be told is said."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from audit.attacks.aggregate import aggregate
from audit.attacks.text import text
from audit.attacks.text_decoder import decoder_of, text_loss
from audit.defences import quantise, sign, top_k
from audit.manifest import load_system
from audit.plan import plan
from reports.model import Effort, Severity, Status, Strength
from tests.audit.attacks.text_federation import clipped, gpt2, llama, noised, write

pytestmark = pytest.mark.llm


def by_arrays(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]):
    """A defence of `audit.defences` on tensors."""

    def defend(update: dict[str, Tensor], _: torch.Generator) -> dict[str, Tensor]:
        changed = change({name: tensor.double().numpy() for name, tensor in update.items()})
        return {name: torch.from_numpy(array).float() for name, array in changed.items()}

    return defend


@pytest.mark.parametrize("kind", ["gradient", "delta"])
@pytest.mark.parametrize("build", [gpt2, llama])
def test_unprotected_text_comes_back_exactly(tmp_path: Path, ask, build, kind: str) -> None:
    asked = ask(text, write(tmp_path, build(), kind=kind, secret=slice(2, 5)))
    assert (asked.finding.status, asked.finding.strength) == (Status.FAIL, Strength.EXACT)
    assert asked.finding.severity is Severity.CRITICAL
    for name in ("identifiability", "control_identifiability", "token_f1", "rouge_l", "secret_recall"):
        assert asked.value(name) == 1.0, name
    assert asked.value("exact_sequences") == 8
    assert asked.value("null_identifiability") == 0
    assert asked.value("chance") == 1 / 408


@pytest.mark.parametrize(
    ("defend", "build"),
    [
        (lambda u, _: clipped(u, 0.01), gpt2),
        (by_arrays(quantise), gpt2),
        (by_arrays(sign), gpt2),
        (by_arrays(sign), llama),
        (by_arrays(lambda u: top_k(u, 0.1)), gpt2),
        (by_arrays(lambda u: top_k(u, 0.1)), llama),
        (noised(1e-3), gpt2),
        (noised(1e-3), llama),
        (noised(1e-2), llama),
    ],
    ids=["clipped", "int8", "signs", "signs-llama", "pruned", "pruned-llama", "1e-3", "1e-3-llama", "1e-2-llama"],
)
def test_what_is_no_protection_fails(tmp_path: Path, ask, defend, build) -> None:
    asked = ask(text, write(tmp_path, build(), defend=defend, clients=16))
    assert asked.finding.status is Status.FAIL, asked.finding.summary


@pytest.mark.parametrize("build", [gpt2, llama])
def test_the_noised_twin_passes(tmp_path: Path, ask, build) -> None:
    asked = ask(text, write(tmp_path, build(), defend=noised(1.0), clients=64))
    assert (asked.finding.status, asked.finding.strength) == (Status.PASS, Strength.STATISTICAL), asked.finding.summary
    assert asked.value("control_identifiability") == 1.0
    assert "noise" in asked.finding.detail


def test_a_pass_needs_fifty_nine_records(tmp_path: Path, ask) -> None:
    asked = ask(text, write(tmp_path, gpt2(), defend=noised(1.0), clients=12))
    assert (asked.finding.status, asked.finding.reason) == (Status.INCONCLUSIVE, "too-few-records")


def test_a_pass_needs_public_sequences(tmp_path: Path, ask) -> None:
    asked = ask(text, write(tmp_path, gpt2(), defend=noised(1.0), clients=20, batch=3, reference=0))
    assert (asked.finding.status, asked.finding.reason) == (Status.INCONCLUSIVE, "too-few-candidates")
    assert any("No public sequences" in one for one in asked.finding.limitations)


def test_few_updates_of_batches_pass_as_a_screening_at_most(tmp_path: Path, ask) -> None:
    asked = ask(text, write(tmp_path, gpt2(), defend=noised(1.0), clients=30, batch=2))
    assert (asked.finding.status, asked.finding.strength) == (Status.PASS, Strength.SCREENING), asked.finding.summary


def test_a_blind_model_earns_no_pass(tmp_path: Path, ask) -> None:
    model = gpt2()
    with torch.no_grad():  # every token looks alike to the first block
        model.transformer.wte.weight[:] = model.transformer.wte.weight[:1]
    asked = ask(text, write(tmp_path, model, defend=noised(1.0), clients=60))
    assert (asked.finding.status, asked.finding.reason) == (Status.INCONCLUSIVE, "control-failed")
    assert "cannot be told" in asked.finding.summary


def test_batches_as_large_as_the_model_is_wide_are_not_judged(tmp_path: Path, ask) -> None:
    asked = ask(text, write(tmp_path, gpt2(), batch=4))
    assert (asked.finding.status, asked.finding.reason) == (Status.INCONCLUSIVE, "not-applicable:batch-fills-width")
    assert asked.finding.remedy is not None


def test_one_view_that_was_not_read_withdraws_the_pass(tmp_path: Path, ask) -> None:
    folder = write(tmp_path, gpt2(), defend=noised(1.0), clients=62)
    np.savez(folder / "u0.npz", input_ids=np.arange(64).reshape(2, 32))
    asked = ask(text, folder)
    assert (asked.finding.status, asked.finding.reason) == (Status.INCONCLUSIVE, "undecided")
    assert "as the model is wide" in asked.finding.summary


def test_what_is_beyond_the_effort_is_said_and_withdraws_the_pass(tmp_path: Path, ask) -> None:
    folder = write(tmp_path, gpt2(width=96), defend=noised(1.0), clients=60)
    np.savez(folder / "u0.npz", input_ids=np.arange(93).reshape(3, 31))
    asked = ask(text, folder)
    assert (asked.finding.status, asked.finding.reason) == (Status.INCONCLUSIVE, "budget")
    assert any("beyond effort smoke" in one for one in asked.finding.limitations)
    small = write(tmp_path / "small", gpt2(width=96), length=30, batch=3, clients=1)
    assert ask(text, small).finding.reason == "budget"
    assert ask(text, small, effort=Effort.STANDARD).finding.status is Status.FAIL


def test_dropout_is_not_answered(tmp_path: Path, ask) -> None:
    asked = ask(text, write(tmp_path, gpt2(embd_pdrop=0.1), defend=noised(1.0), clients=60))
    assert (asked.finding.status, asked.finding.reason) == (Status.INCONCLUSIVE, "undecided")
    assert "dropout" in asked.finding.summary


def local_steps(folder: Path, model: torch.nn.Module, steps: int) -> None:
    """Replace the updates by deltas of several steps of gradient descent."""
    for file in sorted(folder.glob("u*.safetensors")):
        tokens = torch.from_numpy(np.load(file.with_suffix(".npz"))["input_ids"])
        trained = type(model)(model.config).eval()
        trained.load_state_dict(model.state_dict())
        optimiser = torch.optim.SGD(trained.parameters(), lr=0.1)
        for _ in range(steps):
            optimiser.zero_grad()
            text_loss(trained, tokens, torch.full((len(tokens),), tokens.shape[1])).backward()
            optimiser.step()
        before = dict(model.named_parameters())
        save_file({name: (p - before[name]).detach() for name, p in trained.named_parameters()}, file)


def test_local_steps_hide_little_and_never_pass(tmp_path: Path, ask) -> None:
    model = llama()
    folder = write(tmp_path / "clear", model, kind="delta", federation={"visibility": "update", "local_steps": 3})
    local_steps(folder, model, 3)
    assert ask(text, folder).finding.status is Status.FAIL
    kept = {"visibility": "update", "local_steps": 3}
    hidden = write(tmp_path / "hidden", model, kind="delta", defend=noised(1.0), clients=60, federation=kept)
    assert (ask(text, hidden).finding.status, ask(text, hidden).finding.reason) == (Status.INCONCLUSIVE, "undecided")


def test_an_update_with_nan_is_left_out_and_named(tmp_path: Path, ask) -> None:
    folder = write(tmp_path, gpt2(), clients=8)
    tensors = load_file(folder / "u3.safetensors")
    next(iter(tensors.values()))[:] = torch.nan
    save_file(tensors, folder / "u3.safetensors")
    asked = ask(text, folder)
    assert asked.finding.status is Status.FAIL
    assert any("u3.safetensors" in one and "NaN" in one for one in asked.finding.limitations)
    assert asked.value("exact_sequences") == 7


def test_updates_without_the_first_blocks_are_left_out(tmp_path: Path, ask) -> None:
    model = gpt2()
    needed = decoder_of(model).reads[0]
    folder = write(tmp_path, model, defend=lambda u, _: {name: t for name, t in u.items() if name != needed})
    asked = ask(text, folder)
    assert (asked.finding.status, asked.finding.reason) == (Status.INCONCLUSIVE, "no-usable-record")


def test_a_sequence_seen_in_several_rounds_is_one_record(tmp_path: Path, ask) -> None:
    folder = write(tmp_path, gpt2(), clients=8, defend=noised(1e-3))
    for client in range(4, 8):  # the same four sequences again, under other noise
        generator = torch.Generator().manual_seed(client)
        tensors = load_file(folder / f"u{client - 4}.safetensors")
        again = {name: t + 1e-3 * torch.randn(t.shape, generator=generator) for name, t in tensors.items()}
        save_file(again, folder / f"u{client}.safetensors")
        (folder / f"u{client}.npz").write_bytes((folder / f"u{client - 4}.npz").read_bytes())
    asked = ask(text, folder)
    [headline] = [one for one in asked.finding.measurements if one.name == "identifiability"]
    assert headline.n == 4


def test_sums_are_not_single_updates(tmp_path: Path, ask) -> None:
    asked = ask(text, write(tmp_path, gpt2(), federation={"visibility": "aggregate"}))
    assert (asked.finding.status, asked.finding.reason) == (Status.SKIPPED, "not-applicable:sums-only")


def test_without_transformers_it_is_skipped_and_says_what_to_install(tmp_path: Path) -> None:
    system = load_system(write(tmp_path, gpt2(), clients=1) / "system.toml").system
    [planned] = plan(system, [text])
    assert (planned.runs, planned.reason) == (False, "extra:llm")
    assert "fedaudit[llm]" in planned.because
    [able] = plan(system, [text], capabilities=["extra:llm"])
    assert able.runs


def test_the_answer_is_the_same_again(tmp_path: Path, ask) -> None:
    folder = write(tmp_path, gpt2(), defend=noised(1e-2), clients=8)
    assert ask(text, folder).findings == ask(text, folder).findings


def test_text_comes_back_from_the_sum_of_updates(tmp_path: Path, ask) -> None:
    folder = write(tmp_path, gpt2(width=48), clients=4, federation={"visibility": "aggregate"})
    asked = ask(aggregate, folder)
    assert (asked.finding.status, asked.finding.strength) == (Status.FAIL, Strength.EXACT), asked.finding.summary
    assert asked.value("exact_sequences") == 4
    assert asked.value("effective_clients") == 4


def test_a_sum_that_hides_its_tokens_in_their_number_is_not_judged(tmp_path: Path, ask) -> None:
    folder = write(tmp_path, gpt2(width=48), clients=8, federation={"visibility": "aggregate"})
    assert ask(aggregate, folder).finding.reason == "not-applicable:batch-fills-width"


def test_a_noised_sum_passes_as_a_screening(tmp_path: Path, ask) -> None:
    folder = write(tmp_path, gpt2(width=48), clients=60, defend=noised(1.0), federation={"visibility": "aggregate"})
    system = (folder / "system.toml").read_text(encoding="utf-8")
    for client in range(60):  # three clients a round: their sum holds fewer tokens than the model is wide
        system = system.replace(f'client = "c{client}"\n', f'client = "c{client}"\nround = {client // 3}\n')
    (folder / "system.toml").write_text(system, encoding="utf-8")
    asked = ask(aggregate, folder)
    assert (asked.finding.status, asked.finding.strength) == (Status.PASS, Strength.SCREENING), asked.finding.summary


def test_a_model_that_nothing_describes_is_skipped(tmp_path: Path, planted, ask) -> None:
    folder = planted(clients=2, federation={"visibility": "aggregate"})
    system = (folder / "system.toml").read_text(encoding="utf-8")
    lines = [line for line in system.splitlines() if not line.startswith("layers")]
    (folder / "system.toml").write_text("\n".join(lines), encoding="utf-8")
    assert ask(aggregate, folder).finding.reason == "not-applicable:no-architecture"


@pytest.mark.slow
def test_nobody_is_accused_for_noise(tmp_path: Path, ask) -> None:
    accused = 0
    for seed in range(12):
        build = gpt2 if seed % 2 else llama
        folder = write(tmp_path / str(seed), build(seed=seed), defend=noised(3.0), clients=60, length=6)
        accused += ask(text, folder, seed=seed).finding.status is Status.FAIL
    assert accused <= 1  # at 1 % a check two or more of 12 have a probability of 0.006
