"""Erasure requests of the self-test: a small federation that honours one, and servers that only say so.

    digits ─▶ a client with a trace that is known ─▶ trained ─▶ the method, carried out and recorded ─▶ erasure/
                                                                 another model delivered in its place ─┘

Whatever is delivered in the place of what the method gave, the record is told anew to fit it: chain, digests and sums
are right, as a careful cheat would have them.
"""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from torch import Tensor

from audit.selftest.flaw import DEAR
from audit.selftest.workshop import Workshop
from unlearning.federated.data import SimulatedFederation
from unlearning.federated.erasure import Erasure, Outcome, carry_out, train_first
from unlearning.federated.local import local_update
from unlearning.federated.methods import method
from unlearning.federated.oracles import OraclePool, Questions, model_seeds
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.recorder import tensor_bytes
from unlearning.federated.request import UnlearningRequest
from unlearning.federated.rounds import one_of
from unlearning.federated.scenarios import SCENARIOS, Sizes
from unlearning.federated.transcript import Round, TranscriptWriter, read_transcript
from unlearning.models import build_layers, layer_list

State = Mapping[str, Tensor]
PLACE = "erasure"
"""The folder of one erasure request."""
SPARED = (*DEAR, "attack.unlearning-difference")
"""What is not asked of these systems.

A model trained anew differs from the one before by the trigger of the client that left, among other things. That attack
can see it, rightly, though the model has forgotten; it has a flaw of its own.
"""
FEATURES, CLASSES = 64, 10


@dataclass(frozen=True)
class Size:
    """How large a federation is, and how long it trains."""

    images: int = 900
    """Digits, test and held-out ones among them."""
    clients: int = 4
    """The first of them asks to be forgotten."""
    hidden: int = 32
    """Units of the one hidden layer."""
    rounds: int = 10
    """Of two local epochs each."""


USUAL = Size()
"""Enough for the rank test to reject nearly every model that did see the data: power at least 0.94 (64 models)."""
TINY = Size(images=240, hidden=8, rounds=2)
"""Enough for checks that compare records, and train no model to tell a trace."""


@dataclass(frozen=True, eq=False)
class Honoured:
    """A request that was honoured, and its folder."""

    erasure: Erasure
    """What was asked, of which federation."""
    outcome: Outcome
    """What came of it."""
    place: Path
    """Its files; what is delivered can still be exchanged."""

    @property
    def federation(self) -> SimulatedFederation:
        """The federation, the client that is forgotten among it."""
        return self.erasure.federation

    def deliver(self, after: State) -> None:
        """Put another model in the place of the one that the method gave, and let the record tell of it."""
        data = tensor_bytes(after)
        (self.place / "after.safetensors").write_bytes(data)
        digest = sha256(data).hexdigest()

        def last_told(rounds: tuple[Round, ...]) -> tuple[Round, ...]:
            return (*rounds[:-1], rounds[-1].model_copy(update={"model": digest}))

        self.retell(last_told, after=digest)

    def retell(
        self, rounds: Callable[[tuple[Round, ...]], tuple[Round, ...]] = lambda told: told, *, after: str | None = None
    ) -> None:
        """Write the record anew with other rounds, or another digest of the delivered model, and a sound chain."""
        path = self.place / "transcript.jsonl"
        told = read_transcript(path)
        if told.close is None:
            raise ValueError("a record that was just written has no last line")
        close = told.close if after is None else told.close.model_copy(update={"after": after})
        path.unlink()
        with TranscriptWriter(path) as writer:
            writer.write(told.header)
            for line in rounds(told.rounds):
                writer.write(line)
            writer.write(close)

    def pushed(self, make: Workshop, state: State, strength: float = 1.0) -> dict[str, Tensor]:
        """Return a model less what an epoch on the forget set would teach it, times `strength`: it knows less of it."""
        held, recipe = self.erasure.parts.forgotten, self.federation.recipe.model_copy(update={"local_epochs": 1})
        learnt = local_update(self.federation.untrained(), state, held, recipe, make.generator("pushing"), place="push")
        return {name: tensor - strength * learnt.delta[name] for name, tensor in state.items()}

    def retrained(self, make: Workshop, models: int, rounds: int | None = None) -> list[dict[str, Tensor]]:
        """Return the state dicts of models that were retrained without the client, each from a seed of its own.

        Args:
            make: The workshop.
            models: How many.
            rounds: After which the training is broken off; None for the recipe's.
        """
        recipe = self.federation.recipe.model_copy(update={} if rounds is None else {"rounds": rounds})
        federation = replace(self.federation, recipe=recipe)
        pool = OraclePool(Questions(federation, self.erasure.parts, method("retrain")))
        stack = pool.without(model_seeds(make.seed, "supplied", models), ("matched",))["matched"]
        return [dict(one_of(stack, number)) for number in range(models)]


def honour(
    make: Workshop, *, scenario: str = "backdoor", size: Size = USUAL, name: str = "retrain", **parameters: object
) -> Honoured:
    """Train a federation with a planted trace, forget its first client by a method, and write the folder `erasure`.

    Args:
        make: The workshop.
        scenario: What the client has left; see `unlearning.federated.scenarios`.
        size: How large it is.
        name: The method's.
        parameters: The method's.
    """
    digits = make.digits(size.images, 1, 0).clients[0]
    sizes = Sizes(clients=size.clients)
    planted = SCENARIOS[scenario](digits.x.numpy(), digits.y.numpy(), make.rng("scenario"), sizes)
    recipe = TrainingRecipe(
        rounds=size.rounds, local_epochs=2, batch_size=32, learning_rate=0.1, seed=make.seed % 2**31
    )
    layers = layer_list("mlp", (FEATURES,), CLASSES, hidden=size.hidden)
    federation = SimulatedFederation(planted.data, recipe, functools.partial(build_layers, layers))
    before, history = train_first(federation)
    request = UnlearningRequest.parse(planted.request)
    erasure = Erasure(federation, request, method(name, **parameters), before, recipe.seed, history)
    place = make.files.place(PLACE)
    outcome = carry_out(erasure, place)
    make.files.text("layers.json", json.dumps(layers, indent=1) + "\n")
    return Honoured(erasure, outcome, place)


def tables(honoured: Honoured, *without: str, **more: object) -> dict[str, object]:
    """Return the tables of a system whose one erasure request is declared with all of its files.

    Args:
        honoured: The request.
        without: Keys of `[[unlearning]]`, or whole tables, that are left out.
        more: Keys of `[[unlearning]]` that are added.
    """
    request: dict[str, object] = {"id": "r1", "kind": "client", "method": honoured.erasure.method.name}
    request |= {key: f"{PLACE}/{key}.safetensors" for key in ("before", "after")}
    request |= {key: f"{PLACE}/{key}.npz" for key in ("forget", "retain", "twin")}
    request |= {"transcript": f"{PLACE}/transcript.jsonl", **more}
    model: dict[str, object] = {"checkpoint": f"{PLACE}/after.safetensors", "layers": "layers.json"}
    model |= {"task": "classification", "input_shape": [FEATURES], "classes": CLASSES}
    whole: dict[str, object] = {
        "system": {"name": "forgetting", "version": "1"},
        "model": model,
        "data": [{"role": "nonmembers", "path": f"{PLACE}/test.npz"}],
        "unlearning": [{key: value for key, value in request.items() if key not in without}],
    }
    return {key: value for key, value in whole.items() if key not in without}


def supply(make: Workshop, oracles: Sequence[State]) -> list[str]:
    """Write models as the owner's oracles, and return the paths to declare."""
    return [make.files.tensors(f"oracle-{number}.safetensors", dict(one)) for number, one in enumerate(oracles)]
