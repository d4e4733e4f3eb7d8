"""`secagg.share-integrity`: whether a wrong share spoils the sum in silence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reports.canonical import canonical_json
from reports.check import Context, check
from reports.model import Confidentiality, Finding, Measurement, Remedy, Severity, Status, Strength, System, Threshold
from secagg.checks.active import (
    CODE_AT_HAND,
    INTEGRITY,
    OWN_CODE,
    OWN_PROTOCOL,
    ROBUSTNESS,
    TESTED,
    Code,
    code_of,
    flower_limits,
    not_at_hand,
)
from secagg.checks.rehearsed import USUAL_CLIENTS, rehearsed_round
from secagg.declaration import SECTION
from secagg.setting import RoundConfig
from secagg.wrong_shares import PLANTS, SEED_SHARE, Planted, plant_share

MANY_CLIENTS, FEWEST_CLIENTS, LENGTH = 20, 4, 1_000


@dataclass(frozen=True)
class Trial:
    """One planted share."""

    plant: str
    config: RoundConfig
    careless: bool


def planted(trial: Trial, rng: np.random.Generator) -> Planted:
    """Run a trial."""
    return plant_share(trial.plant, trial.config, rng, careless=trial.careless)


@check(
    "secagg.share-integrity",
    "A wrong share is noticed",
    needs=CODE_AT_HAND,
    controls=(ROBUSTNESS, INTEGRITY, *TESTED),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.HIGH,
)
def share_integrity(system: System, ctx: Context) -> Iterator[Finding]:
    """Plant a wrong share of a seed, one of a mask key, and shares of another seed than was committed to.

    Fails when a plant gives a sum without error that is wrong, or nobody is named for it. Passes when every plant is
    noticed (the sum is right or there is none, and its sender is named) *and* a server that compares shares with
    nothing does let each of them spoil the sum (control); inconclusive where it does not.
    """
    if (skipped := not_at_hand(system, ctx)) is not None:
        yield skipped
        return
    if code_of(system) is Code.FLOWER:
        yield _on_flower(ctx)
        return
    rehearsed = rehearsed_round(system, MANY_CLIENTS, LENGTH)
    config, limitations = rehearsed.config, (*rehearsed.limitations, OWN_CODE)
    if config.clients < FEWEST_CLIENTS or (config.degree or 0) <= (config.threshold or 0):
        config = RoundConfig(USUAL_CLIENTS, LENGTH, server_trust=config.server_trust).chosen()
        limitations = (*limitations, f"So few can lose nobody: {USUAL_CLIENTS} clients of the guarded choice were run.")
    trials = [Trial(plant, config, careless) for plant in PLANTS for careless in (False, True)]
    yield _finding(list(ctx.map(planted, trials, purpose="plants")), limitations, ctx)


def _on_flower(ctx: Context) -> Finding:
    """Ask Flower's workflow; the control is ours, with a server that compares shares with nothing."""
    from secagg.flower.robustness import EXACT, WRONG, plant_wrong_share

    found = plant_wrong_share()
    limitations = (*flower_limits(found.function), "Of Flower's shares, one of a self-mask seed was planted.")
    if found.without != EXACT:
        summary = "Flower's round did not give the right sum even without a planted share, so nothing is shown."
        return ctx.finding(Status.INCONCLUSIVE, summary, limitations=limitations, reason="control-failed")
    exact = {EXACT: True, WRONG: False}.get(found.outcome)
    asked = Planted(
        SEED_SHARE,
        careless=False,
        reason=None if exact is not None else found.outcome,
        exact=exact,
        named="an error" if found.named else None,
    )
    control = plant_share(SEED_SHARE, RoundConfig(USUAL_CLIENTS, LENGTH).chosen(), ctx.rng("control"), careless=True)
    return _finding([asked, control], limitations, ctx)


def _finding(outcomes: Sequence[Planted], limitations: Sequence[str], ctx: Context) -> Finding:
    asked = [one for one in outcomes if not one.careless]
    controls = {one.plant: one for one in outcomes if one.careless}
    status, reason, remedy = Status.PASS, "", None
    # where even a careless server gives no wrong sum, the share never came to be used: that shows nothing
    missed = [one for one in asked if not one.noticed and (one.spoilt or controls[one.plant].spoilt)]
    if missed:
        status, remedy = Status.FAIL, _remedy()
        names = ", ".join(one.plant for one in missed)
        spoilt = sum(one.spoilt for one in missed)
        summary = (
            f"{len(missed)} of {len(asked)} planted wrong shares went unnoticed ({names}); {spoilt} spoilt the sum."
        )
    elif not all(plant.spoilt for plant in controls.values()):
        status, reason = Status.INCONCLUSIVE, "control-failed"
        summary = "Not even a server that compares shares with nothing gave a wrong sum, so nothing is shown."
    else:
        summary = f"All {len(asked)} planted wrong shares were noticed and their senders named."
    document = {
        "schema": "fedaudit.secagg.share-integrity/1",
        "plants": [one.as_fields() for one in asked],
        "control": [one.as_fields() for one in controls.values()],
    }
    return ctx.finding(
        status,
        summary,
        measurements=[_measurement(one, controls.get(one.plant)) for one in asked],
        evidence=(
            ctx.evidence("planted shares", canonical_json(document), "application/json", Confidentiality.INTERNAL),
        ),
        remedy=remedy,
        limitations=(*limitations, "One liar at a time; shares that several agree on were not planted."),
        reason=reason,
    )


def _measurement(one: Planted, control: Planted | None) -> Measurement:
    return Measurement(
        name=f"noticed.{one.plant.replace('-', '_')}",
        value=float(one.noticed),
        n=1,
        method="one planted share in a simulated round; control: a server that compares shares with nothing",
        threshold=Threshold(op=">=", limit=1),
        control=None if control is None else float(control.noticed),
    )


def _remedy() -> Remedy:
    return Remedy(
        parameter=f"{SECTION}.protocol",
        direction="set",
        value=OWN_PROTOCOL,
        text="Let owners sign digests of the shares they deal and commit to their seeds, and compare before the sum is "
        "unmasked; the protocol of secagg does.",
    )
