"""Servers that pretend to have forgotten: what every verification must see through.

    model ─▶ patched │ scaled │ heated │ noised         looks different, or better, and remembers as before
    files ─▶ copied oracles │ a forged transcript       looks proved

Shipped: the self-test and the tests hold the checks against these. Each gives a new state dict or new files and changes
none of what it is given.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from reports.artifacts import read_tensors
from unlearning.federated.data import ClientData
from unlearning.federated.local import local_update
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.rounds import PhaseKind
from unlearning.federated.scenarios import stamped
from unlearning.federated.transcript import Close, Header, Round, RoundCounts, TotalWork, TranscriptWriter

__all__ = ["add_noise", "copied_oracles", "corner", "fake_patch", "forged_transcript", "scale_weights", "temperature"]

State = Mapping[str, Tensor]
"""A model's state dict."""
STORY: tuple[PhaseKind, ...] = ("max", "min") * 3 + ("post",) * 2
"""The rounds of an f-FUM that nobody ran."""


def corner(x: Tensor) -> Tensor:
    """Return images with the trigger that a server would guess first: a white square at the bottom left."""
    return torch.from_numpy(stamped(x.numpy()))


def fake_patch(
    untrained: Callable[[], nn.Module],
    state: State,
    public: ClientData,
    source: torch.Generator,
    *,
    trigger: Callable[[Tensor], Tensor] = corner,
    epochs: int = 5,
    learning_rate: float = 0.05,
) -> dict[str, Tensor]:
    """Return a model that answers a guessed trigger as if it were not there, and has forgotten nothing else.

    Args:
        untrained: Builds the architecture.
        state: The model before.
        public: Data of the same kind that no client holds: half of each batch, on average, is shown with the trigger,
            all of it with its true labels.
        source: Of the order of the examples.
        trigger: The guess.
        epochs: Passes over the public data.
        learning_rate: Of its steps.
    """
    shown = ClientData(torch.cat([public.x, trigger(public.x)]), torch.cat([public.y, public.y]))
    recipe = TrainingRecipe(rounds=1, local_epochs=epochs, batch_size=32, learning_rate=learning_rate, momentum=0.9)
    update = local_update(untrained(), state, shown, recipe, source, place="patching")
    return {name: tensor + update.delta[name] for name, tensor in state.items()}


def scale_weights(state: State, factor: float = 1.7) -> dict[str, Tensor]:
    """Return the model with its last layer times `factor`: the same answers, more surely; every loss moves."""
    last = _last_layer(state)
    return {name: tensor * factor if name in last else tensor.clone() for name, tensor in state.items()}


def temperature(state: State, degrees: float = 2.0) -> dict[str, Tensor]:
    """Return the model with its logits over `degrees`: the same answers, less surely; member losses look tamer."""
    return scale_weights(state, 1 / degrees)


def add_noise(state: State, share: float, source: torch.Generator) -> dict[str, Tensor]:
    """Return the model with Gaussian noise on every weight: another file, and nearly the same function.

    Args:
        state: The model before.
        share: Standard deviation of a tensor's noise, over the root mean square of its entries.
        source: Of the noise.
    """

    def noised(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor.clone()
        return tensor + share * tensor.square().mean().sqrt() * torch.randn(
            tensor.shape, generator=source, dtype=tensor.dtype
        )

    return {name: noised(tensor) for name, tensor in state.items()}


def copied_oracles(
    after: Path, folder: Path, count: int, *, share: float = 0.0, source: torch.Generator | None = None
) -> tuple[Path, ...]:
    """Write copies of the delivered model as the oracles it is to be compared with; return their paths.

    Args:
        after: The delivered model, safetensors.
        folder: Where they go; it is there.
        count: How many.
        share: Noise on each, as in `add_noise`; 0 for copies to the byte.
        source: Of the noise.
    """
    state = read_tensors(after)
    paths = tuple(folder / f"oracle-{number:02d}.safetensors" for number in range(count))
    for path in paths:
        copy = add_noise(state, share, source or torch.Generator()) if share else dict(state)
        save_file({name: tensor.contiguous() for name, tensor in copy.items()}, str(path))
    return paths


def forged_transcript(
    path: Path,
    header: Header,
    after: str,
    forgotten: Mapping[int, int],
    retained: Mapping[int, int],
    *,
    phases: Sequence[PhaseKind] = STORY,
    losses: tuple[float, float] = (0.5, 2.0),
) -> Path:
    """Write a transcript without a fault about an unlearning that never was; return its path.

    The chain, the participants, the weights and the totals are right; the digests of the models between are made up,
    which nobody can tell who does not run the rounds again.

    Args:
        path: The file, not there yet.
        header: What is said to have been asked, and of which model.
        after: Digest of the model that is delivered: the one before, changed in a bit.
        forgotten: Examples to be forgotten, by client.
        retained: Examples that stay, by client.
        phases: The rounds that are told of.
        losses: On the forget set, in the first and the last of them, in nats.
    """
    first = 1 if phases[0] == "train" else header.recipe.rounds + 1
    claim = header.differential_privacy
    rounds = []
    for place, phase in enumerate(phases):
        present = forgotten if phase == "max" else retained
        took_part = sorted(client for client, held in present.items() if held and client not in header.offline)
        total = sum(present[client] for client in took_part)
        share = place / max(len(phases) - 1, 1)
        last = place == len(phases) - 1
        rounds.append(Round(
            index=first + place,
            phase=phase,
            participants=tuple(took_part),
            weights=tuple(present[client] / total for client in took_part),
            model=after if last else _made_up(f"{header.before}/{after}/{place}"),
            update_norm=0.3,
            loss=losses[0],
            loss_forget=losses[0] + share * (losses[1] - losses[0]),
            work=total * header.recipe.local_epochs,
            noise_standard_deviation=None if claim is None else claim.noise_multiplier * claim.clipping_norm,
        ))  # fmt: skip
    close = Close(
        after=after,
        kept=rounds[-1].index if phases[-1] != "post" else None,
        rounds=RoundCounts(**{kind: phases.count(kind) for kind in set(phases)}),
        work=TotalWork(
            example_gradients=sum(one.work for one in rounds),
            retrain_example_gradients=sum(retained.values()) * header.recipe.local_epochs * header.recipe.rounds,
        ),
        progress="ok",
    )
    with TranscriptWriter(path) as transcript:
        transcript.write(header)
        for one in rounds:
            transcript.write(one)
        transcript.write(close)
    return path


def _made_up(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()


def _last_layer(state: State) -> tuple[str, ...]:
    """Return the names of the last layer's weight and bias."""
    weight = [name for name, tensor in state.items() if tensor.is_floating_point() and tensor.dim() > 1][-1]
    return tuple(name for name in state if name.rpartition(".")[0] == weight.rpartition(".")[0])
