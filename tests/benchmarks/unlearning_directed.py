"""Whether directed f-FUM lowers what a backdoor left, seed by seed and down three divergences, one model each.

A violation is a seed at which the probe rate, or the accuracy on the forget set, is above the original's.
"""

from unlearning_cases import Case
from unlearning_methods import DIRECTED, accuracy, everybody
from unlearning_pools import delivered, with_history
from unlearning_rows import Record

from unlearning.federated.engine import Sequential
from unlearning.federated.rounds import Stack


def measure(case: Case) -> Record:
    """Return probe rate and forget accuracy before and after, by divergence."""
    one = with_history(Sequential(case.federation, (case.seed,)), everybody(case))
    probes, forgotten = case.planted.data.probes, case.split.forgotten
    if probes is None:
        raise SystemExit(f"the scenario {case.planted.name} has no probes")

    def seen(stack: Stack) -> Record:
        answers = {"probe": probes, "forget": forgotten, "test": case.planted.data.test}
        return {name: accuracy(one.engine.logits(stack, data.x), data) for name, data in answers.items()}

    rows = []
    for each in DIRECTED:
        result = delivered(case, each.method(), one)
        ratio = case.retrain_work / result.models.work.example_gradients
        rows.append({"method": each.label, "work_ratio": ratio, "kept": result.kept, **seen(result.models.tensors)})
    return {"before": seen(one.models.tensors), "rows": rows}
