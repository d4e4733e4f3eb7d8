"""`secagg.aggregate-exposure`: secure aggregation hides who said what, not what was said."""

from collections.abc import Iterator

from reports.canonical import canonical_json
from reports.check import Context, check
from reports.model import (
    Basis,
    Confidentiality,
    DifferentialPrivacy,
    Finding,
    Measurement,
    Remedy,
    Severity,
    Status,
    Strength,
    System,
)
from secagg.declaration import SECTION

NOISE = "federation.differential_privacy"
_SUM_ALONE = "secure aggregation alone is no anonymity (So et al. 2021, arXiv:2106.03328)"


@check(
    "secagg.aggregate-exposure",
    "The sum itself is protected by noise",
    needs=(SECTION,),
    controls=(
        "EU-AIA:15(5)#confidentiality", "GDPR:25(1)", "GDPR:5(1)(c)", "GDPR:32(1)(d)", "EU-AIA:annex-IV(2)(g)",
    ),
    kinds=("secagg",),
    strength=Strength.DOCUMENT,
    severity=Severity.MEDIUM,
)  # fmt: skip
def aggregate_exposure(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether noise is declared on the sum that secure aggregation gives away.

    Fails when no differential privacy is declared, when its noise multiplier is zero, and when a server that is not
    trusted adds the noise itself and so sees the sum without it. Inconclusive where no noise multiplier is declared.
    Passes when there is noise *and* the same question fails for the same system without it.
    """
    federation = system.federation
    noise = federation.differential_privacy if federation else None
    trusted = federation is not None and federation.server_trust == "trusted"
    status, summary, remedy = _answered(noise, trusted=trusted)
    without, *_ = _answered(
        None if noise is None else noise.model_copy(update={"noise_multiplier": 0.0}), trusted=trusted
    )
    reason = ""
    if status is Status.INCONCLUSIVE:
        reason = f"missing:{NOISE}.noise_multiplier"
    elif status is Status.PASS and without is not Status.FAIL:
        status, reason = Status.INCONCLUSIVE, "control-failed"
    yield ctx.finding(
        status,
        summary,
        basis=Basis.DECLARED,
        measurements=_measurements(noise),
        evidence=(_evidence(noise, trusted, ctx),),
        remedy=remedy,
        limitations=_limitations(noise),
        reason=reason,
    )


def _answered(noise: DifferentialPrivacy | None, *, trusted: bool) -> tuple[Status, str, Remedy | None]:
    """Return status, summary and remedy."""
    if noise is None:
        text = "Declare differential privacy, with noise that the clients add before their updates are masked."
        remedy = Remedy(parameter=NOISE, direction="add", text=text)
        return Status.FAIL, f"No differential privacy is declared, and {_SUM_ALONE}.", remedy
    if noise.noise_multiplier is None:
        text = "Declare the standard deviation of the noise on the sum, over clipping_norm."
        remedy = Remedy(parameter=f"{NOISE}.noise_multiplier", direction="add", text=text)
        return Status.INCONCLUSIVE, "Differential privacy is declared without a noise multiplier.", remedy
    if noise.noise_multiplier == 0:
        text = "Add noise: with a multiplier of 0 there is none."
        remedy = Remedy(parameter=f"{NOISE}.noise_multiplier", direction="raise", text=text)
        return Status.FAIL, f"The declared noise multiplier is 0, and {_SUM_ALONE}.", remedy
    if noise.noise_added_by == "server" and not trusted:
        text = "Let each client add its share of the noise before it masks its update."
        remedy = Remedy(parameter=f"{NOISE}.noise_added_by", direction="set", value="clients", text=text)
        return Status.FAIL, "The server adds the noise itself, so it sees the sum without it.", remedy
    summary = f"Noise with a multiplier of {noise.noise_multiplier:g} is declared on the sum."
    return Status.PASS, summary, None


def _measurements(noise: DifferentialPrivacy | None) -> Iterator[Measurement]:
    if noise is None or noise.noise_multiplier is not None:
        yield Measurement(
            name="noise_multiplier",
            value=noise.noise_multiplier if noise is not None and noise.noise_multiplier is not None else 0.0,
            method="as declared; 0 where no differential privacy is",
            control=0.0,
        )


def _limitations(noise: DifferentialPrivacy | None) -> Iterator[str]:
    yield "This is a declaration; what sums give away, and whether noise was added, attack.* and dp.* measure."
    if noise is not None and noise.noise_added_by is None:
        yield "Who adds the noise is not declared; what the server adds itself it can see past."
    if noise is not None and noise.noise_multiplier:
        yield "Any noise counts here; how much privacy it buys is the question of dp.accounting."


def _evidence(noise: DifferentialPrivacy | None, trusted: bool, ctx: Context) -> str:
    document = {
        "schema": "fedaudit.secagg.exposure/1",
        "differential_privacy": noise and noise.model_dump(mode="json", exclude_none=True),
        "server_trusted": trusted,
    }
    data = canonical_json(document)
    return ctx.evidence("declared noise on the sum", data, "application/json", Confidentiality.INTERNAL)
