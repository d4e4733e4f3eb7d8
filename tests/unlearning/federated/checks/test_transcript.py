"""The check `unlearning.federated.transcript`: any fault fails and is named by its line, and none of them raises."""

import json
import re
from collections.abc import Callable
from hashlib import sha256

import pytest
from safetensors.torch import save_file

from reports.artifacts import read_tensors
from reports.canonical import canonical_json
from reports.model import Finding, Status
from unlearning.federated.checks.replay import replay
from unlearning.federated.checks.request import request
from unlearning.federated.checks.transcript import transcript
from unlearning.federated.fakes import forged_transcript
from unlearning.federated.methods import METHODS
from unlearning.federated.recipe import ClientPrivacy
from unlearning.federated.transcript import PrivacyClaim, Round

LINES = 5  # of `erased("client:1", "rapid-retrain", rounds=3)`: a header, three rounds, a close
Lines = list[bytes]


def figures(finding: Finding) -> dict[str, float]:
    return {one.name: one.value for one in finding.measurements}


def flipped(lines: Lines, at: int) -> Lines:
    """One bit in the middle of a line."""
    line = bytearray(lines[at])
    line[len(line) // 2] ^= 1
    return [*lines[:at], bytes(line), *lines[at + 1 :]]


def swapped(lines: Lines, at: int) -> Lines:
    other = at + 1 if at + 1 < len(lines) else at - 1
    changed = list(lines)
    changed[at], changed[other] = lines[other], lines[at]
    return changed


def hostile(line: bytes) -> bytes:
    """The line with one member more, whose name no report may hold as it is."""
    return canonical_json(json.loads(line) | {"\x07\u202e": 1}) + b"\n"


MUTATIONS: dict[str, Callable[[Lines, int], Lines]] = {
    "flipped": flipped,
    "swapped": swapped,
    "missing": lambda lines, at: [*lines[:at], *lines[at + 1 :]],
    "doubled": lambda lines, at: [*lines[:at], lines[at], *lines[at:]],
    "cut": lambda lines, at: [*lines[:at], lines[at][:-9]],
    "empty": lambda lines, at: [*lines[:at], b"\n", *lines[at + 1 :]],
    "not text": lambda lines, at: [*lines[:at], b"\xff\xfe\x00\n", *lines[at + 1 :]],
    "hostile": lambda lines, at: [*lines[:at], hostile(lines[at]), *lines[at + 1 :]],
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutation_of_any_line_fails_naming_a_line_and_the_rest_is_still_measured(erased, mutation: str) -> None:
    written = erased("client:1", "rapid-retrain", rounds=3)
    path = written.folder / "transcript.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == LINES
    for at in range(LINES):
        path.write_bytes(b"".join(MUTATIONS[mutation](lines, at)))
        finding = written.ask(transcript)
        assert finding.status is Status.FAIL
        named = [int(one) for one in re.findall(r"^line (\d+): ", finding.detail, re.MULTILINE)]
        assert {at, at + 1, at + 2} & set(named)  # lines count from 1; what is gone is noticed at its neighbour
        assert re.search(r"line \d+: ", finding.summary)
        assert figures(finding)["transcript_faults"] == len(named) > 0
        assert written.ask(request).status in (Status.PASS, Status.FAIL)
        assert written.delivered().after is not None
    assert written.ask(replay).status in (Status.PASS, Status.INCONCLUSIVE)  # the header may be whole, or not


@pytest.mark.parametrize("name", [name for name in METHODS if name != "no-op"])
def test_every_method_leaves_a_record_that_passes_as_a_document(erased, name: str) -> None:
    finding = erased("client:1", name).ask(transcript)
    assert (finding.status, finding.strength, finding.basis) == (Status.PASS, "document", "recorded")
    assert figures(finding)["transcript_faults"] == 0
    assert "arXiv:2408.00929" in finding.limitations[0]


def test_doing_nothing_fails(erased) -> None:
    finding = erased("client:1", "no-op").ask(transcript)
    assert finding.status is Status.FAIL
    assert "is the one before" in finding.summary


def test_a_record_told_round_an_unchanged_model_fails(erased) -> None:
    """The careless owner of the tour: `after` is `before`, and a transcript says otherwise."""
    written = erased("client:1", "rapid-retrain")
    (written.folder / "after.safetensors").write_bytes((written.folder / "before.safetensors").read_bytes())
    finding = written.ask(transcript)
    assert finding.status is Status.FAIL
    assert "unchanged" in {fault.code for fault in written.delivered().faults}
    assert finding.remedy is not None


@pytest.mark.parametrize("name", ["before", "after"])
def test_another_model_than_the_record_names_fails(erased, name: str) -> None:
    written = erased()
    path = written.folder / f"{name}.safetensors"
    save_file({key: one + 1 for key, one in read_tensors(path).items()}, path)
    finding = written.ask(transcript)
    assert finding.status is Status.FAIL
    assert f"{name} is not the digest of the declared model {name}" in finding.summary


def test_other_data_than_the_record_names_fails(erased) -> None:
    written = erased()
    (written.folder / "test.npz").write_bytes(b"")
    finding = written.ask(transcript)
    assert finding.status is Status.FAIL
    assert "data.test: its digest is not that of test.npz" in finding.summary


@pytest.mark.parametrize("phase", ["train", "min", "post"])
def test_a_forget_client_that_trains_after_the_request_fails(erased, phase: str) -> None:
    written = erased("client:1", "rapid-retrain", rounds=3)

    def joined(all_: tuple[Round, ...]) -> tuple[Round, ...]:
        weights = (0.25, 0.25, 0.25, 0.25)
        return (
            *all_[:2],
            all_[2].model_copy(update={"phase": phase, "participants": (0, 1, 2, 3), "weights": weights}),
        )

    written.retell(rounds=joined)
    finding = written.ask(transcript)
    assert finding.status is Status.FAIL
    assert f"line 4: client 1 is to be forgotten, and trains in round 3 ({phase})" in finding.detail


CLAIM = PrivacyClaim(clipping_norm=2.0, noise_multiplier=0.5)


@pytest.mark.parametrize(
    ("noise", "status", "ratio"),
    [
        ((1.0, 1.0, 1.0), Status.PASS, 1.0),
        ((1.0, 0.9901, 5.0), Status.PASS, 0.9901),
        ((1.0, 0.98, 5.0), Status.FAIL, 0.98),
        ((1.0 / 53**0.5,) * 3, Status.FAIL, 53**-0.5),  # the error of a public notebook: sigma C / sqrt(d), d = 53
        ((1.0, None, 1.0), Status.FAIL, 0.0),
    ],
)
def test_noise_below_the_claim_in_any_round_fails(
    erased, noise: tuple[float | None, ...], status: Status, ratio: float
) -> None:
    """The noise of a round is told of the sum of the updates, a coordinate: 0.5 x 2.0 is claimed."""
    written = erased("client:1", "rapid-retrain", rounds=3)
    written.retell(
        header=lambda one: one.model_copy(update={"differential_privacy": CLAIM}),
        rounds=lambda all_: tuple(
            one.model_copy(update={"noise_standard_deviation": least}) for one, least in zip(all_, noise, strict=True)
        ),
    )
    finding = written.ask(transcript)
    assert finding.status is status
    assert figures(finding)["noise_ratio"] == pytest.approx(ratio)


@pytest.mark.parametrize("name", ["rapid-retrain", "ffum"])
def test_a_federation_that_adds_the_noise_it_claims_passes(erased, name: str) -> None:
    """What the simulator adds is what its header claims, on the sum and a coordinate, in every phase."""
    recipe = {"privacy": ClientPrivacy(clipping_norm=0.5, noise_multiplier=1.5)}
    written = erased("client:0,1", name, recipe=recipe)
    finding = written.ask(transcript)
    assert finding.status is Status.PASS
    assert figures(finding)["noise_ratio"] == pytest.approx(1.0)


def test_a_forged_record_can_pass_and_running_it_again_tells(erased) -> None:
    """Why a sound record is a document and no more: this one is told round a model that nobody retrained."""
    written = erased("client:1", "rapid-retrain")
    told = written.delivered()
    path = written.folder / "after.safetensors"
    save_file({key: one + 1e-4 for key, one in told.before.items()}, path)
    (written.folder / "transcript.jsonl").unlink()
    sizes = {client: len(one) for client, one in enumerate(told.split.retain)}
    digest = sha256(path.read_bytes()).hexdigest()
    forged_transcript(written.folder / "transcript.jsonl", told.header, digest, {1: 6}, sizes, phases=("train",) * 3)
    assert written.ask(transcript).status is Status.PASS
    finding = written.ask(replay)
    assert finding.status is Status.FAIL
    assert "The model of round 1 is the first that differs" in finding.detail


def test_what_a_pass_does_not_cover_is_said(erased) -> None:
    written = erased()
    written.declare("\n[federation.differential_privacy]\nclipping_norm = 1.0\nnoise_multiplier = 2.0\n")
    (written.folder / "test.npz").unlink()
    finding = written.ask(transcript)
    assert finding.status is Status.PASS
    assert finding.limitations[1:] == (
        "Named and not there, so not compared: test.npz.",
        "The system declares differential privacy; of this unlearning the record claims none.",
    )


@pytest.mark.parametrize("name", ["after", "before"])
def test_a_model_that_is_not_declared_leaves_the_record_tied_to_nothing(erased, name: str) -> None:
    written = erased()
    written.edit(f'{name} = "{name}.safetensors"\n', "")
    finding = written.ask(transcript)
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, f"missing:unlearning.{name}")


def test_without_a_transcript_it_is_skipped(erased) -> None:
    written = erased()
    written.edit('transcript = "transcript.jsonl"\n', "")
    finding = written.ask(transcript)
    assert (finding.status, finding.reason) == (Status.SKIPPED, "missing:unlearning.transcript")
