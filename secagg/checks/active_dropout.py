"""`secagg.dropout`: whether the drop-outs that are declared, and those that are claimed, cost a round its sum."""

from collections.abc import Iterator
from dataclasses import replace

from reports.check import Context, check
from reports.model import Basis, Effort, Finding, Remedy, Severity, Status, Strength, System
from secagg.checks.active import BUDGETS, ROBUSTNESS, SECURITY, TESTED, Code, code_of, has_flower
from secagg.checks.active_dropout_answer import Borne, answered
from secagg.checks.rehearsed import Rehearsed, rehearsed_round
from secagg.declaration import SECTION, DeclaredRound, declared_round, missing_keys
from secagg.limits import ParameterError
from secagg.policy import ClientPolicy
from secagg.remedy import sufficient_parameters
from secagg.setting import RoundConfig
from secagg.survival import SPREAD, WITHIN, Survival, Trial, bearable_dropouts, survive, trials

MANY_ROUNDS = {Effort.SMOKE: 20, Effort.STANDARD: 60, Effort.FULL: 1_000}
"""Clients of the rounds that are run in every phase; full effort runs one more, with as many as are declared."""
FLOWER_ROUNDS = {Effort.SMOKE: 6, Effort.STANDARD: 15, Effort.FULL: 31}
"""The same for Flower, whose clients share secrets a hundred times more slowly."""
LENGTH = 10_000
WORDS = 2e10
"""Words of masks that the one large round may cost: a few minutes."""


@check(
    "secagg.dropout",
    "Declared drop-outs are survived with the exact sum",
    needs=(SECTION,),
    controls=(ROBUSTNESS, SECURITY, *TESTED),
    kinds=("secagg",),
    strength=Strength.STATISTICAL,
    severity=Severity.MEDIUM,
)
def dropout(system: System, ctx: Context) -> Iterator[Finding]:
    """Lose clients in every phase of simulated rounds, as many as declared and one more; compute how many are borne.

    Fails when a round ends with a wrong sum (however many were lost), when one is aborted within the declared rate,
    when correctness has less than 20 bits there, or when `[claims].dropout_tolerance` is more than is borne. Passes
    when none of this happens, a round with too few survivors *is* aborted, and a sum that lacks one mask *is* found
    wrong. A protocol whose code is not at hand is judged by the bits alone, and passes where the highest threshold
    there is would not do (control). Inconclusive where a control fails or no simulated round bears out the tolerance.
    """
    declared = declared_round(system)
    if declared is None:
        lacking = missing_keys(system)
        summary = f"The declaration lacks {', '.join(key.removeprefix(f'{SECTION}.') for key in lacking)}."
        yield ctx.finding(Status.SKIPPED, summary, basis=Basis.DECLARED, reason=f"missing:{lacking[0]}")
        return
    try:
        assessment = declared.assess()
    except ParameterError as error:
        yield _impossible(error, declared, ctx)
        return
    code = code_of(system)
    if code is Code.FLOWER and not has_flower():
        code = Code.OTHER
    claim = system.claims.dropout_tolerance if system.claims else None
    borne = Borne(declared, assessment, code, _bearable(declared, code), claim)
    if code is Code.OTHER:
        yield answered(borne, (), system, ctx)
        return
    rehearsed = _rehearsed(borne, system, ctx)
    survivals = tuple(_survivals(borne, rehearsed.config, system, ctx))
    yield answered(replace(borne, survivals=survivals), rehearsed.limitations, system, ctx)


def _impossible(error: ParameterError, declared: DeclaredRound, ctx: Context) -> Finding:
    key = f"{SECTION}.{error.name}"
    return ctx.finding(
        Status.INCONCLUSIVE,
        f"No round can have the declared {error.name} {error.value}; allowed is {error.allowed}.",
        basis=Basis.DECLARED,
        remedy=sufficient_parameters(declared) or Remedy(parameter=key, direction="set", text=f"Correct {key}."),
        reason=f"invalid:{key}",
    )


def _bearable(declared: DeclaredRound, code: Code) -> int:
    """Return the drop-outs that leave enough bits and, of our own client, as many survivors as it insists on."""
    n = declared.clients
    most = bearable_dropouts(n, declared.degree, declared.threshold, declared.corrupt_fraction, declared.server_trust)
    return min(most, max(0, n - ClientPolicy().survivors_wanted(n))) if code is Code.OWN else most


def _rehearsed(borne: Borne, system: System, ctx: Context) -> Rehearsed:
    length = min(BUDGETS[ctx.effort].length, LENGTH)
    if borne.code is Code.OWN:
        return rehearsed_round(system, MANY_ROUNDS[ctx.effort], length)
    rehearsed = rehearsed_round(system, FLOWER_ROUNDS[ctx.effort], length)
    asked = rehearsed.config
    plain = RoundConfig(
        asked.clients, length, asked.degree, asked.threshold, asked.corrupt_fraction, asked.dropout_fraction
    )
    return Rehearsed(plain, (*rehearsed.limitations, "Flower ran with 2^22 levels, a ring of 2^32 and equal weights."))


def _survivals(borne: Borne, config: RoundConfig, system: System, ctx: Context) -> Iterator[Survival]:
    """Run the rounds: ours wherever the executor likes, Flower's here, since its import costs more than its rounds."""
    asked = [*_trials(borne, config), *_large(borne, config, system, ctx)]
    if borne.code is Code.OWN:
        yield from ctx.map(survive, asked, purpose="rounds")
        return
    from secagg.flower.survival import survive_flower

    for done, survival in enumerate(survive_flower(asked), start=1):
        ctx.progress(done, len(asked))
        yield survival


def _trials(borne: Borne, config: RoundConfig) -> Iterator[Trial]:
    copy = DeclaredRound(
        config.clients,
        config.degree or 0,
        config.threshold or 0,
        config.corrupt_fraction,
        config.dropout_fraction,
        config.server_trust,
    )
    share, most = int(borne.tolerance * config.clients + 1e-9), _bearable(copy, borne.code)
    least = min(1, borne.assessment.dropped, most)  # 5 % of a small copy is nobody
    return trials(config, max(copy.assess().dropped, least), min(share, most))


def _large(borne: Borne, config: RoundConfig, system: System, ctx: Context) -> Iterator[Trial]:
    """Yield the declared round itself, where the effort allows it and the rounds above are copies."""
    declared, budget = borne.declared, BUDGETS[ctx.effort]
    if borne.code is Code.OWN and ctx.effort is Effort.FULL and config.clients < declared.clients <= budget.clients:
        length = int(min(budget.length, WORDS / (declared.clients * (declared.degree + 1))))
        yield Trial(rehearsed_round(system, declared.clients, length).config, WITHIN, SPREAD, borne.assessment.dropped)
