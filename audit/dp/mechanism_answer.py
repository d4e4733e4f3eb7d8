"""What a finding of `dp.mechanism` says: the residual test in words, numbers and pictures."""

import math

from audit.dp.comparison import SECTION
from audit.dp.mechanism import AUDIBLE, CLIPPING_TOLERANCE
from audit.dp.mechanism_figures import Tested, measurements, plots
from audit.dp.noise import Noise
from reports.check import Context
from reports.model import Basis, Finding, Remedy, Status, Strength

NOT_NORMAL = 1e-3
"""Below this p-value the noise is said not to be normal."""


def answered(tested: Tested, ctx: Context) -> Finding:
    """Return the finding."""
    status, reason, summary = _decided(tested)
    test = tested.test
    exact = status is Status.FAIL and not (test.short or test.reused)
    return ctx.finding(
        status,
        summary[:300],
        strength=Strength.EXACT if exact else None,
        basis=Basis.RECORDED,
        detail=_detail(tested),
        measurements=tuple(measurements(test)),
        evidence=[ctx.plot(plot) for plot in plots(tested)],
        remedy=_remedy(tested, status, reason),
        limitations=_limitations(tested),
        reason=reason,
    )


def _decided(tested: Tested) -> tuple[Status, str, str]:
    """Return status, reason and summary."""
    test, z = tested.test, tested.test.declared
    found = test.noise_multiplier
    if test.short or test.reused or test.clip_exceeded:
        return Status.FAIL, "", _accusation(tested)
    if test.after_noise:
        what = "the recorded contributions may hold the noise already"
        return Status.INCONCLUSIVE, "record-before-noise", f"Of {tested.named(test.after_noise)} {what}."
    if test.not_the_sum:
        where = tested.named(test.not_the_sum)
        return Status.INCONCLUSIVE, "not-the-sum", f"Of {where} the aggregate is not the sum of the recorded updates."
    if found is None:
        return Status.INCONCLUSIVE, "no-usable-record", "No recorded round holds finite numbers that could be tested."
    if not test.control_caught:
        told = f"Half of the noise could be missing from {found.coordinates} coordinates, and the test not notice."
        return Status.INCONCLUSIVE, "control-failed", told
    kept = f"{test.contributions} contributions keep the norm {tested.declared.clipping_norm:g}"
    return (
        Status.PASS,
        "",
        f"The sums hold noise of {found.value:.4g} times the clipping norm, {z:g} declared, and {kept}.",
    )


def _accusation(tested: Tested) -> str:
    test, z = tested.test, tested.test.declared
    said = []
    if test.short:
        where, noise = _worst(tested)
        said.append(
            f"{where} noise of {noise.value:.3g} times the clipping norm, at most {noise.high:.3g}; {z:g} is declared"
        )
    if test.correlation is not None and test.reused:
        first, second = (tested.labels[number] for number in test.correlation.rounds)
        said.append(f"the noise of {first} comes again in {second} (correlation {test.correlation.value:.2g})")
    if test.clip_exceeded:
        said.append(
            f"{test.clip_exceeded} of {test.contributions} contributions exceed the clipping norm, "
            f"the longest {test.longest:.3g} times"
        )
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def _worst(tested: Tested) -> tuple[str, Noise]:
    """Return the largest part of the record in which noise is missing: all, a round, a tensor, a tensor of a round."""
    test = tested.test
    places = [("the sums hold", test.noise_multiplier)] if test.noise_multiplier else []
    places += [(f"{tested.labels[number]} holds", noise) for number, noise in test.per_round.items()]
    places += [(f"the tensor {name!r} holds", noise) for name, noise in test.per_tensor.items()]
    places += [(f"{name!r} of {tested.labels[number]} holds", noise) for (number, name), noise in test.per_part.items()]
    return next((where, noise) for where, noise in places if noise is not None and noise.falls_short(test.declared))


def _detail(tested: Tested) -> str:
    test = tested.test
    lines = []
    short = [name for name, noise in test.per_tensor.items() if noise.falls_short(test.declared)]
    if short:
        lines.append(f"Noise is missing from {len(short)} of {len(test.per_tensor)} tensors: {', '.join(short[:10])}.")
    if test.noise_multiplier is not None:
        half = "notices" if test.control_caught else "does not notice"
        lines.append(f"Positive control: the same test {half} when half of the declared noise is left.")
    if test.correlation is not None:
        found = test.correlation
        lines.append(
            f"Between rounds the noise is correlated by {found.value:.3g} at most, {found.deviations:.2f} standard "
            f"deviations of independent noise; {found.limit:.2f} would be reuse."
        )
    if test.normality is not None:
        lines.append(f"Normality of the noise on sampled coordinates (Kolmogorov-Smirnov): p = {test.normality:.2g}.")
    return "\n".join(lines)


def _remedy(tested: Tested, status: Status, reason: str) -> Remedy | None:
    test = tested.test
    norm = tested.declared.clipping_norm or 0.0
    match status, reason:
        case Status.FAIL, _ if test.short:
            _, noise = _worst(tested)
            add = f"Add noise of standard deviation {test.declared * norm:g} to every coordinate of every sum"
            if noise.value < AUDIBLE * test.declared:
                text = f"{add}, or withdraw the claim of epsilon."
                return Remedy(parameter=f"{SECTION}.noise_multiplier", direction="set", value="0", text=text)
            value = f"{noise.value:.3g}"
            text = f"{add}, or declare what is there and claim the epsilon that follows."
            return Remedy(parameter=f"{SECTION}.noise_multiplier", direction="lower", value=value, text=text)
        case Status.FAIL, _ if test.reused:
            text = "Draw the noise of every round anew, from a generator whose state nobody resets."
            return Remedy(parameter=f"{SECTION}.noise_multiplier", direction="set", text=text)
        case Status.FAIL, _:
            text = "Clip every contribution before it is sent, or declare the norm that holds."
            value = f"{math.ceil(test.longest * norm * 1000 * (1 - CLIPPING_TOLERANCE)) / 1000:g}"
            return Remedy(parameter=f"{SECTION}.clipping_norm", direction="raise", value=value, text=text)
        case _, "record-before-noise":
            text = "Record a rehearsal: each contribution after clipping and before its noise, and the noised sum."
            return Remedy(parameter="updates", direction="add", value="delta", text=text)
        case _, "not-the-sum":
            text = "Record the plain sum, or the mean with the divided_by that makes it a sum, of all contributions."
            return Remedy(parameter="updates.divided_by", direction="set", text=text)
        case Status.INCONCLUSIVE, _:
            text = "Record more rounds, or updates of the whole model, without NaN or infinity."
            return Remedy(parameter="updates", direction="add", value="aggregate", text=text)
    return None


def _limitations(tested: Tested) -> tuple[str, ...]:
    test, declared = tested.test, tested.declared
    said = [
        f"It holds for the {len(tested.labels)} recorded rounds; what other rounds held is not shown.",
        *tested.left_out,
    ]
    if declared.noise_added_by is None:
        said.append("Who adds the noise is not declared; the recorded rounds were taken as they stand.")
    if declared.noise_added_by == "clients":
        said.append("Contributions were taken to be recorded before the clients' noise, as in a rehearsal.")
    if declared.unit is None:
        said.append("The unit of privacy is not declared; each recorded contribution was taken to be one unit's.")
    if test.correlation is None:
        said.append("Whether noise is reused was not tested: it takes two rounds.")
    said.append("Noise that repeats within one round, or can be foretold from a seed, was not looked for.")
    if test.broken:
        said.append(f"Left out: {tested.named(test.broken)}, with NaN or infinity.")
    if test.untouched:
        said.append(f"Left out: {len(test.untouched)} tensors that are zero in every contribution and every sum.")
    if test.normality is not None and test.normality < NOT_NORMAL:
        said.append("The noise is not normal on the sampled coordinates; the interval assumes that it is.")
    return tuple(said)
