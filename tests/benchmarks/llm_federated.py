"""LUNAR from the sums of 3 to 1000 clients beside the central solve on all their rows."""

from collections.abc import Iterator

import torch
from attacks_rows import Row
from llm_cases import FIRST_SEED, Asked, Case, tiny
from torch import Tensor

from unlearning.llm.client_worker import ClientWorker
from unlearning.llm.federated import FederatedSolver
from unlearning.llm.layer_statistics import LayerStatistics, layer_statistics
from unlearning.llm.solve import solve_gate
from unlearning.llm.statistics import ClientStatistics, StatisticsSetting

CLIENTS = {"small": (3, 30), "standard": (3, 30, 300), "full": (3, 30, 300, 1000)}
BITS, RIDGE = 24, 0.3
FIXED, PRODUCTS, ITERATIONS, TOLERANCE = 1e-4, 5e-3, 20, 2e-4


def measure(asked: Asked) -> Iterator[Row]:
    """Yield the error of the gate by both forms, for some numbers of clients, on rows of the tiny model."""
    if not asked.tiny:
        return
    case = tiny(FIRST_SEED)
    for count in CLIENTS[asked.points]:
        workers = _workers(case, count)
        central = _central(workers)
        for form, limit in (("gram", FIXED), ("cg", PRODUCTS)):
            bits = BITS if form == "gram" else None
            server = FederatedSolver(
                "gram" if form == "gram" else "cg",
                fraction_bits=bits,
                iterations=ITERATIONS,
                tolerance=TOLERANCE,
                accept_leakage=True,
            )
            [sums] = server.layer_sums(workers, least_ridge=RIDGE).values()
            error = float((sums.gate(RIDGE).vector - central).norm() / central.norm())
            told = f"{sums.bytes_per_client} bytes a client, {sums.iterations} iterations"
            what = f"federated, {count} clients, {form}: relative error of v"
            yield Row(what, error, "", f"<= {limit:g}", error <= limit, n=count, note=told)


def _central(workers: list[ClientWorker]) -> Tensor:
    """Return the gate of one owner of all rows."""
    whole = workers[0].sums
    for worker in workers[1:]:
        whole = whole + worker.sums
    [layer] = whole.setting.layers
    return solve_gate(whole.forget[layer].total, whole.forget[layer].gram + whole.keep[layer].gram, ridge=RIDGE).vector


def _workers(case: Case, count: int) -> list[ClientWorker]:
    """Return clients that the rows of one layer are dealt to; the first has something to forget."""
    rows = case.rows
    (k, _, m), d = rows.forget.shape, rows.directions.shape[1]
    scale = float(rows.keep.norm(dim=1).median())
    setting = StatisticsSetting(
        weights=case.model.digest, template=case.model.tokens.digest, reference="0" * 64, tokens="refusal",
        layers=(rows.layer,), width=m, hidden_size=d, directions=k, input_scales=(scale,), output_scales=(1.0,),
    )  # fmt: skip
    owner = torch.arange(k).repeat_interleave(rows.forget.shape[1])
    states = torch.zeros(k, d)
    forget = layer_statistics(
        rows.forget.flatten(0, 1), owner, states, torch.arange(k), directions=k, prompts=rows.forget.shape[1]
    )
    gram, total, output_total = (torch.zeros_like(part) for part in (forget.gram, forget.total, forget.output_total))
    nothing = LayerStatistics(gram, total, output_total, 0, 0)
    none = torch.zeros(0, dtype=torch.int64)
    found = []
    for place in range(count):
        mine = rows.keep[place::count]
        keep = layer_statistics(
            mine, torch.zeros(len(mine), dtype=torch.int64), states[:0], none, directions=1, prompts=1
        )
        only = LayerStatistics(keep.gram, keep.total[:0], keep.output_total[:0], keep.tokens, keep.prompts)
        moved = {rows.layer: nothing if place else forget}
        found.append(ClientWorker(ClientStatistics(setting, {rows.layer: only}, moved, 1, int(not place))))
    return found
