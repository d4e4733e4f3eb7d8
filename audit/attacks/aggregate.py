"""Records read off the sum that a server sees.

A sum stops no exact attack by itself: a neuron that one record of one client alone activates hands it over, however
many clients there are. The attack is that of `audit.attacks.linear`, with as many joint reconstructions as the crowd
has records; silent clients hide nobody, and corrupt ones subtract their own part first.
"""

from collections.abc import Iterator

from audit.answer import without_records
from audit.attacks.linear import read_off
from audit.load import planted_updates
from audit.view import visible
from reports.check import Context, check
from reports.model import Finding, Measurement, Remedy, Severity, Strength, System

WITHOUT_NOISE = "the sum that the server gets, with the clients' noise, is not recorded"
"""Why a sum formed from updates recorded before their noise can clear a system, but not accuse it."""


@check(
    "attack.aggregate",
    "A sum over clients identifies nobody",
    needs=(
        "updates.truth",
        "model.layers|model.definition",
        "updates.aggregate|federation.visibility=aggregate",
    ),
    controls=("EU-AIA:15(5)#confidentiality", "EU-AIA:annex-IV(2)(g)", "GDPR:25(1)"),
    kinds=("reconstruction",),
    strength=Strength.STATISTICAL,
    severity=Severity.CRITICAL,
)
def aggregate(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether a server can read single records off the sums that it sees.

    Fails and passes as `attack.linear` does, with every record of the crowd a candidate; a failure where one client
    alone contributes is critical. Inconclusive, too, where the sum that the server sees is not on record.
    """
    planted = planted_updates(system, ctx.folder, trust_code=ctx.options.trust_code)
    seen = visible(system, planted.updates, ctx.rng("corrupt"))
    if not seen.sums:
        summary = seen.unrecorded or "No recorded sum has a planted record whose client contributes to it."
        yield without_records(ctx, summary, planted.excluded)
        return
    fewest = min(view.clients for view in seen.sums)
    clients = Measurement(
        name="effective_clients", value=float(fewest), n=len(seen.sums),
        method="clients that contribute and do not collude, the fewest of any sum",
    )  # fmt: skip
    mend = Remedy(
        parameter="federation.differential_privacy.noise_multiplier", direction="raise",
        text="Let the clients add noise to their shares of the sum, or sum over more active clients.",
    )  # fmt: skip
    yield read_off(
        system,
        ctx,
        seen.sums,
        planted.excluded,
        "in sums over clients",
        mend,
        limitations=[*seen.limitations, f"{len(seen.sums)} sums were read."],
        measurements=[clients],
        doubt=WITHOUT_NOISE if seen.noise_missing else "",
        severity=Severity.CRITICAL if fewest == 1 else None,
    )
