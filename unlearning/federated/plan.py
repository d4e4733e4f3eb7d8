"""What a method would need, cost and send here, and what forbids it; nothing is trained to find out.

Secure aggregation shows the server sums alone. What each method asks of it:

    ffum                                         a sum of the forget clients alone: refused where they are no group
    ascent, projected-ascent                     the forget client's delta alone: refused
    federaser, distillation, projected-ascent    stored updates of single clients: refused
    all others, and ffum with reset = "init"     sums: allowed

What a method lacks of the recording it says itself, in a rehearsal on an engine that only counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import torch

from unlearning.errors import UnlearningError
from unlearning.federated.data import SimulatedFederation
from unlearning.federated.federation_file import GroupRule
from unlearning.federated.federation_file import Recording as Modes
from unlearning.federated.local import Work
from unlearning.federated.methods import METHODS, History, Method, Setting
from unlearning.federated.methods.ffum import FFUM
from unlearning.federated.methods.noop import NoOp
from unlearning.federated.methods.retrain import Retrain
from unlearning.federated.needs import Needs
from unlearning.federated.recording_file import Mode, is_kept
from unlearning.federated.rehearsal import STEP, Rehearsal
from unlearning.federated.request import Split, UnlearningRequest, split
from unlearning.federated.rounds import Models, Stack

__all__ = [
    "Conditions",
    "Needs",
    "Plan",
    "aggregation_conflicts",
    "model_bytes",
    "needs_of",
    "plan",
    "retraining_work",
    "stored_bytes",
]


@dataclass(frozen=True)
class Conditions:
    """Under which the unlearning is to happen."""

    modes: Modes = field(default_factory=Modes)
    """What was recorded of the training."""
    group: GroupRule = field(default_factory=GroupRule)
    """What the server sees."""
    offline: frozenset[int] = frozenset()
    """Clients that do not answer."""
    accept_single_client_delta: bool = False
    """Whether the owner lets the server see what a single client sends while it forgets."""


@dataclass(frozen=True)
class Plan:
    """What a method would need and cost."""

    method: str
    """Its name."""
    needs: tuple[str, ...]
    """Words of `Needs`, with hyphens."""
    conflicts: tuple[str, ...]
    """What forbids it, a sentence each."""
    limitations: tuple[str, ...]
    """What was accepted, and would forbid it otherwise."""
    alternatives: tuple[str, ...]
    """Methods that would work here; told where this one does not."""
    storage_bytes: int
    """Of what it reads of the recording, as the modes keep it."""
    messages: int
    """Models and updates sent between the server and the clients; 0 where it cannot be run."""
    work: Work
    """What it costs where no rule stops it early; nothing where it cannot be run."""
    retrain_example_gradients: int
    """Gradients of single examples that retraining takes."""

    @property
    def feasible(self) -> bool:
        """Whether nothing forbids it."""
        return not self.conflicts

    def require_feasible(self) -> None:
        """Raise if something forbids it.

        Raises:
            UnlearningError: `unlearning.conflict`, with the first conflict, and the methods that would work.
        """
        if self.conflicts:
            others = f"These would work: {', '.join(self.alternatives)}." if self.alternatives else "No method would."
            raise UnlearningError("unlearning.conflict", self.conflicts[0], others)


def plan(
    method: Method, federation: SimulatedFederation, request: UnlearningRequest, conditions: Conditions | None = None
) -> Plan:
    """Return what a method would need and cost to honour a request.

    Raises:
        UnlearningError: `unlearning.request`, the request names what is not there, or would leave nothing.
    """
    given, parts = conditions or Conditions(), split(federation.data, request)
    needs = needs_of(method)
    found = _tried(method, federation, parts, given)
    alternatives: list[str] = []
    if found.conflicts:
        others = [kind() for kind in METHODS.values() if kind not in (NoOp, type(method))]
        allowed = [one for one in others if not _refused(one, federation, parts, given).conflicts]
        alternatives = [one.name for one in allowed if not _tried(one, federation, parts, given).conflicts]
    return Plan(
        method=method.name,
        needs=tuple(one.name.replace("_", "-") for one in fields(needs) if getattr(needs, one.name)),
        conflicts=found.conflicts,
        limitations=found.limitations,
        alternatives=tuple(alternatives),
        storage_bytes=_storage(needs, federation, given.modes),
        messages=found.messages,
        work=found.work,
        retrain_example_gradients=retraining_work(federation, parts),
    )


def retraining_work(federation: SimulatedFederation, parts: Split) -> int:
    """Return the gradients of single examples that the recipe takes on what is retained."""
    return _rehearsed(Retrain(), Rehearsal(federation), parts, Conditions()).example_gradients


def needs_of(method: Method) -> Needs:
    """Return what a method needs with the parameters that it has: f-FUM needs less from fresh weights."""
    if isinstance(method, FFUM) and method.reset == "init":
        return Needs()
    if isinstance(method, FFUM) and method.reset != "none":
        return replace(method.needs, stored_globals=True)
    return method.needs


def aggregation_conflicts(method: Method, forgetting: int, group: GroupRule) -> tuple[str, ...]:
    """Return what secure aggregation forbids of a method.

    Args:
        method: With its parameters.
        forgetting: Clients that hold what is to be forgotten, and answer: the group of a max phase.
        group: What the server sees.
    """
    if not group.enabled or group.minimum_group < 2:
        return ()
    needs, name = needs_of(method), method.name
    shown = f"secure aggregation shows the server sums of {group.minimum_group} clients or more"
    if needs.stored_updates:
        return (f"{name} needs stored updates of single clients, and {shown}",)
    if not needs.single_client_update or not forgetting:
        return ()
    if not isinstance(method, FFUM):
        return (f"{name} needs the update of the forget client alone, and {shown}",)
    if forgetting < group.minimum_group:
        return (
            f"{name} sends the updates of {_count(forgetting, 'forget client')} as a sum of their own, and {shown}",
        )
    return ()


def model_bytes(federation: SimulatedFederation, modes: Modes) -> int:
    """Return the bytes of one model's tensors in the number format of a recording."""
    state = federation.build_model(torch.Generator()).state_dict()
    half = modes.dtype == "float16"
    return sum(one.numel() * (2 if half and one.is_floating_point() else one.element_size()) for one in state.values())


def stored_bytes(each: int, rounds: int, clients: int, mode: Mode, interval: int = 2) -> int:
    """Return the bytes of the clients' updates that a mode keeps: kept rounds x clients x bytes of a model.

    Args:
        each: Bytes of one model.
        rounds: Of the training.
        clients: That take part in a round.
        mode: What is kept.
        interval: Rounds between two that are kept, for "interval".
    """
    return each * clients * sum(is_kept(mode, interval, number, rounds) for number in range(1, rounds + 1))


@dataclass(frozen=True)
class _Tried:
    """What a method meets here."""

    conflicts: tuple[str, ...]
    limitations: tuple[str, ...]
    messages: int = 0
    work: Work = field(default_factory=Work)


def _tried(method: Method, federation: SimulatedFederation, parts: Split, given: Conditions) -> _Tried:
    """Return what a method meets: what forbids it, what it lacks, and what it would cost."""
    refused, rehearsal = _refused(method, federation, parts, given), Rehearsal(federation)
    try:
        work = _rehearsed(method, rehearsal, parts, given)
    except UnlearningError as error:
        return replace(refused, conflicts=(*refused.conflicts, error.message))
    return replace(refused, messages=rehearsal.messages, work=work)


def _refused(method: Method, federation: SimulatedFederation, parts: Split, given: Conditions) -> _Tried:
    """Return what secure aggregation forbids of a method."""
    forgetting = [client for client in parts.forget if client not in given.offline]
    refused = aggregation_conflicts(method, len(forgetting), given.group)
    limitations: tuple[str, ...] = ()
    if isinstance(method, FFUM) and given.accept_single_client_delta:
        refused, limitations = (), refused
    return _Tried((*refused, *_small_rounds(federation, parts, given)), limitations)


def _small_rounds(federation: SimulatedFederation, parts: Split, given: Conditions) -> tuple[str, ...]:
    """Return the conflict that too few clients stay for one sum, where they do."""
    staying = sum(len(held) > 0 for client, held in enumerate(parts.retain) if client not in given.offline)
    present = min(staying, federation.recipe.clients_per_round or staying)
    if not given.group.enabled or present >= given.group.minimum_group:
        return ()
    told = f"a retained round has {_count(present, 'client')}"
    return (f"{told}, and secure aggregation shows the server sums of {given.group.minimum_group} clients or more",)


def _rehearsed(method: Method, rehearsal: Rehearsal, parts: Split, given: Conditions) -> Work:
    """Return what a method would cost.

    Raises:
        UnlearningError: It lacks something, and says what.
    """
    federation = rehearsal.federation
    before = replace(rehearsal.initial(), rounds=federation.recipe.rounds)
    history = _history(federation, before, given.modes)
    setting = Setting(
        rehearsal, parts, before, history, given.offline, unlabelled=federation.data.holdout, twin=None,
    )  # fmt: skip
    return method.run(setting).models.work


def _history(federation: SimulatedFederation, before: Models, modes: Modes) -> History:
    """Return what would be recorded: the right rounds, clients and shapes, and weights that nobody has trained."""
    rounds, held = federation.recipe.rounds, federation.data.clients
    total = sum(map(len, held))
    update: Stack = {
        name: torch.full_like(tensor, STEP) if tensor.is_floating_point() else torch.zeros_like(tensor)
        for name, tensor in before.tensors.items()
    }
    updates: Mapping[int, Stack] = {client: update for client, one in enumerate(held) if len(one)}
    weights = {client: torch.tensor([len(held[client]) / total], dtype=torch.float64) for client in updates}

    def kept(mode: Mode, first: int) -> list[int]:
        return [number for number in range(first, rounds + 1) if is_kept(mode, modes.interval, number, rounds)]

    return History(
        dict.fromkeys(kept(modes.global_models, 0), before.tensors),
        dict.fromkeys(kept(modes.client_updates, 1), updates),
        dict.fromkeys(range(1, rounds + 1), weights),
    )


def _storage(needs: Needs, federation: SimulatedFederation, modes: Modes) -> int:
    each, rounds = model_bytes(federation, modes), federation.recipe.rounds
    holding = sum(len(one) > 0 for one in federation.data.clients)
    clients = min(holding, federation.recipe.clients_per_round or holding)
    if modes.client_updates == "last":
        clients = holding  # each client's latest
    total = 0
    if needs.stored_globals:
        total += each * sum(is_kept(modes.global_models, modes.interval, one, rounds) for one in range(rounds + 1))
    if needs.stored_updates:
        total += stored_bytes(each, rounds, clients, modes.client_updates, modes.interval)
    return total


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
