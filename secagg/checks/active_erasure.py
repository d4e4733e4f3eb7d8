"""`secagg.secret-erasure`: whether a client's secrets outlive their round."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from reports.canonical import canonical_json
from reports.check import Context, check
from reports.model import Confidentiality, Finding, Measurement, Remedy, Severity, Status, Strength, System, Threshold
from secagg.checks.active import (
    CODE_AT_HAND,
    CONFIDENTIALITY,
    OWN_CODE,
    OWN_PROTOCOL,
    TESTED,
    Code,
    code_of,
    flower_limits,
    not_at_hand,
)
from secagg.checks.rehearsed import rehearsed_round
from secagg.declaration import SECTION
from secagg.drops import DropPlan
from secagg.remains import Remains, search_clients
from secagg.setting import RoundConfig

MANY_CLIENTS, LENGTH = 8, 100
STRICT, WEAK = "strict", "weak"
COMPLETE, REFUSED = "complete", "refused"
REACH = "Memory that was freed, buffers of libraries, swap and what a client wrote to disk were not searched."


@dataclass(frozen=True)
class Trial:
    """One round, after which its clients are searched."""

    client: str
    config: RoundConfig
    ending: str
    """`complete`, with one client lost just before unmask; or `refused`, by clients that find too few survivors."""

    @property
    def plan(self) -> DropPlan:
        """Return who vanishes."""
        if self.ending == COMPLETE:
            return DropPlan(counted={"unmask": 1})
        return DropPlan(counted={"masked-input": self.config.clients - 3})


def searched(trial: Trial, rng: np.random.Generator) -> Remains:
    """Run a trial."""
    return search_clients(trial.client, trial.config, trial.plan, rng)


@check(
    "secagg.secret-erasure",
    "Round secrets are gone after the round",
    needs=CODE_AT_HAND,
    controls=(CONFIDENTIALITY, *TESTED),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.MEDIUM,
)
def secret_erasure(system: System, ctx: Context) -> Iterator[Finding]:
    """Search clients, when their round is over, for every secret of it: keys, seeds, shares, in everything they hold.

    Fails when one is found. Passes when none is, after a round that ended well and after one that the clients refused,
    *and* the same search finds secrets in a client that keeps them and in one that is interrupted before its last step
    (control); inconclusive (`control-failed`) where it does not.
    """
    if (skipped := not_at_hand(system, ctx)) is not None:
        yield skipped
    elif code_of(system) is Code.FLOWER:
        yield _on_flower(ctx)
    else:
        yield _on_ours(system, ctx)


def _on_ours(system: System, ctx: Context) -> Finding:
    rehearsed = rehearsed_round(system, MANY_CLIENTS, LENGTH)
    few = RoundConfig(7, LENGTH, 6, 2)  # three survivors: enough for the server, too few for the clients
    trials = (
        Trial(STRICT, rehearsed.config, COMPLETE),
        Trial(STRICT, few, REFUSED),
        Trial(WEAK, rehearsed.config, COMPLETE),
    )
    complete, refused, weak = ctx.map(searched, trials, purpose="rounds")
    found = complete.total + refused.total
    limitations = (*rehearsed.limitations, OWN_CODE, REACH, "A client that crashed was not searched.")
    remains = {COMPLETE: complete, REFUSED: refused, "control": weak}
    return _finding(
        found,
        power=weak.total > 0 and complete.interrupted > 0,
        control=weak.total,
        searched_for=complete.secrets + refused.secrets,
        where=", ".join(sorted({kind for one in (complete, refused) for kind, many in one.found.items() if many})),
        document={name: dict(vars(one)) for name, one in remains.items()},
        limitations=limitations,
        ctx=ctx,
    )


def _on_flower(ctx: Context) -> Finding:
    """Look into the state that Flower keeps for its mod between rounds; the control is our client that keeps all."""
    from secagg.flower.privacy import kept_secrets

    kept = kept_secrets()
    limitations = (*flower_limits(kept.function), REACH)
    if not kept.finished:
        summary = "Flower's round gave no sum, so there was nothing to be gone."
        return ctx.finding(Status.INCONCLUSIVE, summary, limitations=limitations, reason="no-round")
    weak = search_clients(WEAK, RoundConfig(5, LENGTH, 4, 3), DropPlan(), ctx.rng("control"))
    return _finding(
        kept.count,
        power=weak.total > 0,
        control=weak.total,
        searched_for=None,
        where=", ".join(kept.fields),
        document={"flower": dict(vars(kept)) | {"fields": list(kept.fields)}, "control": dict(vars(weak))},
        limitations=limitations,
        ctx=ctx,
    )


def _finding(
    found: int,
    *,
    power: bool,
    control: int,
    searched_for: int | None,
    where: str,
    document: Mapping[str, object],
    limitations: tuple[str, ...],
    ctx: Context,
) -> Finding:
    status, reason, remedy = Status.PASS, "", None
    if found:
        status, remedy = Status.FAIL, _remedy()
        summary = f"After the round {found} secrets of it were still in clients' hands: {where}."
    elif not power:
        status, reason = Status.INCONCLUSIVE, "control-failed"
        summary = "The search found no secrets in clients that hold some, so nothing is shown."
    else:
        summary = f"None of the round's secrets was left in a client; one that keeps them was found to hold {control}."
    counted = Measurement(
        name="secrets_left",
        value=found,
        n=searched_for,
        method="all that is reachable from clients, searched for keys, seeds and shares; control: one that keeps them",
        threshold=Threshold(op="<=", limit=0),
        control=control,
    )
    data = canonical_json({"schema": "fedaudit.secagg.secret-erasure/1", **document})
    return ctx.finding(
        status,
        summary,
        measurements=(counted,),
        evidence=(ctx.evidence("secrets left", data, "application/json", Confidentiality.INTERNAL),),
        remedy=remedy,
        limitations=limitations,
        reason=reason,
    )


def _remedy() -> Remedy:
    return Remedy(
        parameter=f"{SECTION}.protocol",
        direction="set",
        value=OWN_PROTOCOL,
        text="Let clients overwrite and drop the secrets of a round when it ends or is refused, as secagg.client does.",
    )
