"""What a declared mechanism gives: its epsilon recomputed, with bounds, and what in the declaration cannot be.

`full` participation is the Gaussian mechanism and has a closed form. `poisson` sampling is accounted by the privacy
random variable (Gopi, Lee, Wutschitz 2021, arXiv:2106.02848) in Opacus. `shuffle` and `fixed-size` are not Poisson
sampling (Chua et al. 2024, arXiv:2403.17673), so nothing is credited to the draw: a unit is taken to be in every one of
ceil(steps * sampling_rate) sums.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Literal

from audit.dp.gaussian import gdp_epsilon, one_step_epsilon
from reports.model import DifferentialPrivacy, Federation

EPSILON_ERROR = 0.01
"""Half the width that numerical error may give to the accounted epsilon, times epsilon where that is below 1."""
LARGEST_GRID = 1 << 21
"""Points of the accountant's grid; beyond, the error grows instead of the memory."""
_LARGEST_EPSILON = 500.0
"""Beyond it the accountant's e^epsilon nears the largest double."""


@dataclass(frozen=True)
class Recomputed:
    """The epsilon of a mechanism at its delta."""

    lower: float
    """The true epsilon is at least this."""
    estimate: float
    """The best figure; equal to both bounds where a formula gives it."""
    upper: float
    """The true epsilon is at most this."""
    rdp: float
    """Upper bound by Rényi differential privacy, for comparison."""
    gdp: float | None
    """Gaussian differential privacy, for comparison: by the central limit, so it can be too low, unless `exact`.

    None where it exceeds a double.
    """
    method: str
    """How `estimate` came about."""

    @property
    def exact(self) -> bool:
        """Whether a formula gives the figure, so that it has no interval."""
        return self.lower == self.upper

    @property
    def claimable(self) -> float:
        """The least epsilon of three digits that may be claimed: `upper`, rounded up."""
        if self.upper == 0:
            return 0.0
        step = 10.0 ** (math.floor(math.log10(self.upper)) - 2)
        digits = math.ceil(self.upper / step)
        while float(f"{digits * step:.3g}") < self.upper:  # the division may round 1000.0000001 down to 1000
            digits += 1
        return float(f"{digits * step:.3g}")


@dataclass(frozen=True)
class Fault:
    """One way in which a declaration contradicts itself, its federation, or its claim."""

    parameter: str
    """Path into system.toml."""
    direction: Literal["raise", "lower", "set"]
    """What would mend it."""
    text: str
    """A sentence."""


def lacking(declaration: DifferentialPrivacy) -> tuple[str, ...]:
    """Return the keys of the declaration that `recompute` needs and that are not given."""
    needed = ["noise_multiplier", "sampling", "steps", "delta"]
    if declaration.sampling != "full":
        needed.insert(2, "sampling_rate")
    return tuple(key for key in needed if not getattr(declaration, key))  # nothing follows from a zero either


def recompute(declaration: DifferentialPrivacy) -> Recomputed:
    """Return the epsilon that follows from noise multiplier, sampling, rate, steps and delta.

    Raises:
        ValueError: one of them is not given or zero (`lacking` names them).
    """
    missing = lacking(declaration)
    noise, steps, delta = declaration.noise_multiplier, declaration.steps, declaration.delta
    if missing or noise is None or steps is None or delta is None:
        raise ValueError(f"nothing follows without {', '.join(missing)}")
    rate = 1.0 if declaration.sampling == "full" else declaration.sampling_rate or 0.0
    if declaration.sampling == "poisson" and rate < 1:
        return _poisson(noise, rate, steps, delta)
    sums = math.ceil(steps * rate - 1e-9)  # 60000 / 256 steps of 256 / 60000 are one epoch, not two
    epsilon = gdp_epsilon(math.sqrt(sums) / noise, delta)
    method = f"closed form of the Gaussian mechanism, {sums} sums (arXiv:1805.06530)"
    if rate < 1:
        method += f"; no amplification is credited to {declaration.sampling} sampling (arXiv:2403.17673)"
    return Recomputed(epsilon, epsilon, epsilon, _rdp(noise, 1.0, sums, delta), epsilon, method)


def completed(declaration: DifferentialPrivacy, federation: Federation | None) -> DifferentialPrivacy:
    """Return the declaration with rate and steps that cover the federation's rounds, where a unit is a client.

    The larger of declared and real is used: fewer or rarer sums than were released would promise more than holds.
    """
    if declaration.unit != "client" or federation is None:
        return declaration
    rates = [rate for rate in (declaration.sampling_rate, _participation(federation)) if rate is not None]
    steps = [count for count in (declaration.steps, federation.rounds) if count is not None]
    update = {"sampling_rate": max(rates, default=None), "steps": max(steps, default=None)}
    return declaration.model_copy(update=update)


def consistency_faults(
    declaration: DifferentialPrivacy,
    federation: Federation | None,
    *,
    delta: float | None,
    privacy_unit: str | None = None,
    examples: int | None = None,
) -> tuple[Fault, ...]:
    """Return what cannot be true together, each as a sentence.

    Args:
        declaration: As declared.
        federation: The federation it runs in.
        delta: The claimed delta.
        privacy_unit: Whom the claim protects; the declared unit where None.
        examples: Records in the training set, where known.
    """
    faults: list[Fault] = []
    here = "federation.differential_privacy"
    if privacy_unit == "client" and declaration.unit == "example":
        text = "The claim protects clients, the mechanism hides single examples; a client holds many."
        faults.append(Fault(f"{here}.unit", "set", text))
    if declaration.unit == "client" and federation is not None:
        faults.extend(_participation_faults(declaration, federation))
    units = {"client": federation.clients if federation else None, "example": examples}.get(declaration.unit or "")
    if units and delta is not None and delta >= 1 / units:
        text = f"Delta {delta:g} is no smaller than one in {units} units, so giving one of them away would satisfy it."
        faults.append(Fault(f"{here}.delta", "lower", text))
    if declaration.sampling == "full" and declaration.sampling_rate is not None and declaration.sampling_rate < 1:
        text = f"Sampling is full, but the sampling rate is {declaration.sampling_rate:g}."
        faults.append(Fault(f"{here}.sampling_rate", "raise", text))
    return tuple(faults)


def _participation_faults(declaration: DifferentialPrivacy, federation: Federation) -> list[Fault]:
    faults, here = [], "federation.differential_privacy"
    declared, real = declaration.sampling_rate, _participation(federation)
    if declared is not None and real is not None and declared < real * (1 - 1e-6):
        text = f"The sampling rate {declared:g} is below the {real:g} of the clients that a round takes."
        faults.append(Fault(f"{here}.sampling_rate", "raise", text))
    if declaration.steps is not None and federation.rounds is not None and declaration.steps < federation.rounds:
        text = f"{declaration.steps} noised sums are accounted for, but there are {federation.rounds} rounds."
        faults.append(Fault(f"{here}.steps", "raise", text))
    return faults


def _participation(federation: Federation) -> float | None:
    """Return the share of clients in a round, where both numbers are declared."""
    if federation.clients is None or federation.clients_per_round is None:
        return None
    return min(1.0, federation.clients_per_round / federation.clients)


def _poisson(noise: float, rate: float, steps: int, delta: float) -> Recomputed:
    rdp = _rdp(noise, rate, steps, delta)
    gdp = _central_limit(noise, rate, steps, delta)
    bounds = _prv(noise, rate, steps, delta, EPSILON_ERROR) if rdp < _LARGEST_EPSILON else None
    if bounds is not None and 0 < bounds[1] < 1:  # a hundredth of a small epsilon is less than a hundredth
        bounds = _prv(noise, rate, steps, delta, EPSILON_ERROR * bounds[1]) or bounds
    if bounds is None:  # weak by design: a mechanism that far from privacy needs no second digit
        lower = min(one_step_epsilon(noise, rate, delta), rdp)
        return Recomputed(lower, rdp, rdp, rdp, gdp, "Rényi bound; below it the exact epsilon of one step")
    lower, estimate, upper, error = bounds
    method = f"privacy random variable (arXiv:2106.02848), bounds of numerical error {error:.2g}, not of sampling"
    return Recomputed(lower, estimate, upper, rdp, gdp, method)


def _prv(
    noise: float, rate: float, steps: int, delta: float, allowed: float
) -> tuple[float, float, float, float] | None:
    """Return lower, estimate, upper and the error that the grid allows; None where there is no finite answer."""
    from opacus.accountants.analysis.prv import (
        Domain,
        PoissonSubsampledGaussianPRV,
        TruncatedPrivacyRandomVariable,
        compose_heterogeneous,
        compute_safe_domain_size,
        discretize,
    )

    delta_error = delta / 1000
    variable = PoissonSubsampledGaussianPRV(rate, noise)
    scale = math.sqrt(steps * math.log(12 / delta_error) / 2)  # error over mesh, their theorem 5.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quadrature and overflow: what is not finite is told below
        try:
            reach = float(compute_safe_domain_size([variable], [steps], allowed, delta_error))
            error = max(allowed, 2 * reach / LARGEST_GRID * scale)
            domain = Domain.create_aligned(-reach, reach, error / scale)
            truncated = TruncatedPrivacyRandomVariable(variable, domain.t_min, domain.t_max)
            composed = compose_heterogeneous([discretize(truncated, domain)], [steps])
            found = [float(bound) for bound in composed.compute_epsilon(delta, delta_error, error)]
        except (RuntimeError, ValueError, IndexError):
            return None
    lower, estimate, upper = (max(0.0, bound) for bound in found)
    if not (all(math.isfinite(bound) for bound in found) and lower <= estimate <= upper):
        return None
    return lower, estimate, upper, error


def _rdp(noise: float, rate: float, steps: int, delta: float) -> float:
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(noise, rate, steps)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for more orders where the bound is loose; it stays a bound
        return max(0.0, float(accountant.get_epsilon(delta)))


def _central_limit(noise: float, rate: float, steps: int, delta: float) -> float | None:
    """Return the figure of Bu et al. 2019 (arXiv:1911.11607): mu = q sqrt(T (e^(1/z^2) - 1)) for many small steps."""
    if 1 / noise**2 > 700:
        return None
    return gdp_epsilon(rate * math.sqrt(steps * math.expm1(1 / noise**2)), delta)
