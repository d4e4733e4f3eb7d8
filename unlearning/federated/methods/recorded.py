"""What methods read of a recording, and what they say where it is not there."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from unlearning.errors import UnlearningError
from unlearning.federated.methods.base import Setting
from unlearning.federated.rounds import Stack, floating, spread

__all__ = ["added", "departed", "global_models", "last_local_models", "require_updates", "updates_of"]


def global_models(setting: Setting, method: str, number: int) -> Stack:
    """Return the recorded models after a round, 0 for the untrained ones.

    Raises:
        UnlearningError: They are not recorded.
    """
    if number not in setting.history.globals:
        raise _not_recorded(method, f"the global model of round {number}", 'global_models = "all"')
    return setting.history.globals[number]


def require_updates(setting: Setting, method: str, numbers: Collection[int]) -> None:
    """Make sure that clients' updates of all these rounds are recorded.

    Raises:
        UnlearningError: Those of a round are not, or would not be bare.
    """
    if setting.recipe.privacy is not None:
        told = f"{method} needs single clients' updates, and with differential privacy nobody sees one bare"
        raise UnlearningError("unlearning.conflict", told, "Take a method that needs none, such as rapid-retrain.")
    missing = sorted(set(numbers) - set(setting.history.updates))
    if missing:
        which = f"the clients' updates of round {missing[0]}" + (f" and {len(missing) - 1} more" * (len(missing) > 1))
        raise _not_recorded(method, which, f'client_updates = "{"all" if len(numbers) > 1 else "last"}"')


def updates_of(setting: Setting, method: str, number: int) -> Mapping[int, Stack]:
    """Return every client's recorded update of a round; they are read from the disk here.

    Raises:
        UnlearningError: One of them is not recorded, or would not be bare.
    """
    require_updates(setting, method, (number,))
    updates = setting.history.updates[number]
    for client, weight in setting.history.weights[number].items():
        if client not in updates and bool((weight > 0).any()):
            raise _not_recorded(method, f"the update of client {client} in round {number}", 'client_updates = "all"')
    return updates


def departed(setting: Setting, method: str) -> tuple[int, ...]:
    """Return the forget clients, where all of them go with everything they hold.

    Raises:
        UnlearningError: One keeps some of its data, so that its updates cannot be taken back.
    """
    for client in setting.split.forget:
        if len(setting.split.retain[client]):
            told = f"{method} takes back all that a client has sent, and client {client} keeps some of its data"
            mend = "Ask for whole clients (client:4), or take another method, such as rapid-retrain."
            raise UnlearningError("unlearning.conflict", told, mend)
    return tuple(setting.split.forget)


def last_local_models(
    setting: Setting, method: str, clients: Collection[int]
) -> dict[int, tuple[Tensor, dict[str, Tensor]]]:
    """Return, by client, its weight in the last mean, shape (M,), and what it made of the models in the last round.

    A client that took no part in it is left out, or has weight 0 with those models it was not drawn for.

    Raises:
        UnlearningError: Its last update is not recorded, or where it started from can no longer be told.
    """
    last = setting.before.rounds
    updates = updates_of(setting, method, last)
    weights = setting.history.weights[last]
    start = setting.history.globals.get(last - 1)
    if start is None:
        if setting.recipe.server_momentum:  # then the server's step is more than the mean of the updates
            raise _not_recorded(method, f"the global model of round {last - 1}", 'global_models = "all"')
        start = added(setting.before.tensors, updates, {client: -weight for client, weight in weights.items()})
    return {
        client: (weights[client], added(start, {client: updates[client]}, {client: torch.ones_like(weights[client])}))
        for client in clients
        if client in updates
    }


def added(stack: Stack, updates: Mapping[int, Stack], weights: Mapping[int, Tensor]) -> dict[str, Tensor]:
    """Return a stack plus updates, each times its weight, shape (M,), in every model; counters stay as they are."""
    total = dict(stack)
    for client, update in updates.items():
        for name in floating(stack):
            total[name] = total[name] + update[name] * spread(weights[client], update[name])
    return total


def _not_recorded(method: str, needed: str, key: str) -> UnlearningError:
    """Return the error of a method that needs what was not recorded; `key` would record it."""
    mend = f"Record {key} ([recording] of federation.toml), or take a method that needs none, such as rapid-retrain."
    return UnlearningError("unlearning.recording", f"{method} needs {needed}, and it is not recorded", mend)
