"""Drop-outs in rounds of Flower's own SecAgg+, as `secagg.survival` names them."""

from collections.abc import Iterable, Iterator

from secagg.flower.rehearsal import FlowerRound
from secagg.flower.robustness import ABORTED, EXACT, drop_out, plant_wrong_share
from secagg.survival import FORGETFUL, SPREAD, Survival, Trial

STAGES = {"advertise": "setup", "shares": "share_keys", "masked-input": "collect_masked_vectors", "unmask": "unmask"}
"""Our phases to the stages of Flower; it has no consistency check."""


def survive_flower(trials: Iterable[Trial]) -> Iterator[Survival]:
    """Run the rounds that can be had of Flower: losses in one stage, none at all, and a spoilt sum (control)."""
    for trial in trials:
        config, stage = trial.config, STAGES.get(trial.phase, "unmask")
        if trial.kind == FORGETFUL:
            outcome, reason = plant_wrong_share().outcome, None
        elif trial.phase == SPREAD and trial.dropped:
            continue
        else:
            setting = FlowerRound((config.degree or 0) + 1, config.threshold or 0)
            ended = drop_out(config.clients, stage, trial.dropped, setting, config.length)
            outcome, reason = ended.outcome, ended.reason
        lost = outcome == ABORTED
        code = (reason or "no-aggregate").partition(":")[0] if lost else None
        exact = None if lost else outcome == EXACT
        yield Survival(trial.kind, trial.phase, trial.dropped, config.clients, code, exact)
