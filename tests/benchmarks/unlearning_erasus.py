"""erasus 0.2.0 (MIT, PyPI) as it comes, where it is installed: the speed of its unlearner, and what its LiRA answers.

Its `FederatedUnlearner` with the strategies that fit a classifier, on the same federation: forget client 0, three
communication rounds of one local epoch, batches of the recipe. It averages clients alike; its SCRUB asks every client
for data to retain, so client 0, which has none, is lent that of all others. Its `LiRAMetric` takes scores of shadow
models; it gets 32 that saw the forget set and 32 that did not, and is asked of models that did nothing, and of
retrained ones. An AUC of 0.5 says "forgotten".
"""

import contextlib
import importlib
import io
import warnings
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from attacks_rows import turns
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from unlearning_cases import Case
from unlearning_methods import accuracy, everybody
from unlearning_pools import Pools, Trained, delivered, with_history
from unlearning_rows import Record

from unlearning.federated.data import ClientData
from unlearning.federated.engine import Sequential
from unlearning.federated.methods import method
from unlearning.federated.rounds import Stack, one_of
from unlearning.verification.likelihood_ratio import u_lira

SHADOWS = 32
"""Of each kind."""
OURS = ("ffum", "finetune")
STRATEGIES = ("gradient_ascent", "scrub")
ROUNDS, EPOCHS = 3, 1
ASKED = 8
"""Models that both LiRAs are asked of, and so many retrained ones beside them."""


def load() -> ModuleType | None:
    """Return the package; None where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("erasus.unlearners.federated_unlearner")
            importlib.import_module("erasus.metrics.forgetting.mia_variants")
            return importlib.import_module("erasus")
    except ImportError:
        return None


def measure(case: Case, repeats: int) -> Record:
    """Return its seconds and accuracies beside ours, and both answers on models that did nothing."""
    package = load()
    if package is None:
        return {"note": "erasus is not installed: nothing to compare with"}
    one = with_history(Sequential(case.federation, (case.seed,)), everybody(case))
    works: dict[str, Callable[[], Stack]] = {name: partial(_ours, case, one, name) for name in OURS}
    works |= {f"erasus {name}": partial(_unlearn, case, one_of(one.models.tensors, 0), name) for name in STRATEGIES}
    seconds = turns(list(works.values()), repeats)
    rows = []
    for name, times in zip(works, seconds, strict=True):
        after = works[name]()
        seen = {"test": case.planted.data.test, "forget": case.split.forgotten, "probe": case.planted.data.probes}
        found = {
            what: accuracy(one.engine.logits(after, data.x), data) for what, data in seen.items() if data is not None
        }
        rows.append({"method": name, "seconds": float(np.median(times)), **found})
    return {"version": getattr(package, "__version__", ""), "rows": rows, "repeats": repeats, **_answers(case)}


def _ours(case: Case, one: Trained, name: str) -> Stack:
    return delivered(case, method(name), one).models.tensors


def _unlearn(case: Case, state: dict[str, torch.Tensor], strategy: str) -> Stack:
    """Return what its federated unlearner makes of a model, as a stack of one."""
    kind = importlib.import_module("erasus.unlearners.federated_unlearner").FederatedUnlearner
    model = case.federation.build_model(torch.Generator())
    model.load_state_dict(state)
    size = case.federation.recipe.batch_size
    clients = [_loader(client, size) for client in case.federation.data.clients if len(client)]
    retained = _loader(case.split.retained, size)
    kept = [None if strategy == "gradient_ascent" else retained, *clients[1:]]
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        unlearner = kind(
            model, strategy=strategy, n_clients=len(clients), communication_rounds=ROUNDS, local_epochs=EPOCHS,
            strategy_kwargs={"lr": 0.05 if strategy == "gradient_ascent" else 1e-3}, device="cpu",
        )  # fmt: skip
        result = unlearner.fit(
            clients[0], retained, prune_ratio=1.0, epochs=ROUNDS,
            client_forget_loaders=clients, client_retain_loaders=kept, forget_client_ids=[0],
        )  # fmt: skip
    return {name: tensor.detach().unsqueeze(0) for name, tensor in result.model.state_dict().items()}


def _answers(case: Case) -> Record:
    """Return the AUC of its LiRA with our shadows, and ours, on models that did nothing and on retrained ones."""
    metric = importlib.import_module("erasus.metrics.forgetting.mia_variants").LiRAMetric
    pools = Pools(case, SHADOWS, updates=False)
    forgotten = case.split.forgotten
    saw, did_not = (pools.trained(side).models.tensors for side in ("originals", "matched"))
    shadows = [torch.softmax(pools.logits(stack, forgotten), -1).amax(-1).numpy() for stack in (saw, did_not)]
    loaders = [_loader(data, 256, shuffle=False) for data in (forgotten, case.split.retained)]
    plain, informed = metric(), metric(*shadows)
    found: Record = {}
    for what, side in (("no-op", "unlearned"), ("retrained", "control")):
        stack = pools.trained(side).models.tensors
        models = [_model(case, stack, place) for place in range(ASKED)]
        for name, one in (("plain", plain), ("shadows", informed)):
            values = [one.compute(model, *loaders)["lira_auc"] for model in models]
            found[f"lira_{name}_{what}"] = float(np.mean(values))
        ours = u_lira(pools.scores(stack), pools.scores(did_not), rng=np.random.default_rng(0))
        found[f"u_lira_{what}"] = ours.auc
    return found


def _model(case: Case, stack: Stack, place: int) -> nn.Module:
    model = case.federation.build_model(torch.Generator())
    model.load_state_dict(one_of(stack, place))
    return model.eval()


def _loader(data: ClientData, size: int, *, shuffle: bool = True) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(0)
    return DataLoader(TensorDataset(data.x, data.y), batch_size=size, shuffle=shuffle, generator=generator)
