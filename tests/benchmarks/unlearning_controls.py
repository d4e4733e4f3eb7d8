"""How often the rank test rejects a retrained model that is one of its kind: one fresh control for each reference set.

Controls that share a reference set share its luck, so only one is asked of each; the rejections of all sets together
are then binomial at the test's level.
"""

from unlearning_cases import Case
from unlearning_rows import Record

from unlearning.federated.methods import method
from unlearning.federated.oracles import OraclePool, engine_for, model_seeds
from unlearning.federated.rounds import Stack
from unlearning.verification.rank import rank_test
from unlearning.verification.scores import Array, logit_confidence


def measure(case: Case, models: int, sets: int) -> Record:
    """Return the p-value of one control for each set of `models` retrained models."""
    pool = OraclePool(case.asked(method("no-op")))
    originals = _scores(case, pool.holding(model_seeds(case.seed, "originals", models))["originals"])
    p_values, shares = [], []
    for number in range(sets):
        seeds = model_seeds(case.seed, f"set {number}", models + 1)
        scores = _scores(case, pool.without(seeds, ("matched",))["matched"])
        found = rank_test(scores[-1], scores[:-1], originals, level=1 / (models + 1))
        p_values.append(found.p_value)
        shares.append(found.residual_share)
    return {"models": models, "p_values": p_values, "shares": shares, "power": found.power, "level": 1 / (models + 1)}


def _scores(case: Case, stack: Stack) -> Array:
    forgotten = case.split.forgotten
    engine = engine_for(case.federation, (0,))
    return logit_confidence(engine.logits(stack, forgotten.x).numpy(), forgotten.y.numpy())
