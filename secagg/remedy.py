"""What an owner would change in the system file, one key at a time, until the parameters suffice."""

from typing import Literal

from reports.model import Remedy
from secagg.declaration import SECTION, DeclaredRound
from secagg.limits import ParameterError
from secagg.params import InfeasibleParameters


def sufficient_parameters(declared: DeclaredRound) -> Remedy | None:
    """Return the next step to parameters that suffice; None where even the cohort is none that a round can have.

    If some threshold serves at the declared degree, it is the threshold; else the degree that the guarded rule takes
    (once it is set, the threshold follows); else, where there is no choice, fewer drop-outs.
    """
    try:
        threshold = declared.select_threshold()
    except ParameterError:
        threshold = None  # the declared degree is none; the search below finds one
    if threshold is not None:
        why = f"{threshold} of {declared.degree} neighbours then rebuild a secret"
        return _set("threshold", declared.threshold, threshold, f"Set the threshold to {threshold}: {why}.")
    try:
        chosen = declared.select()
    except ParameterError:
        return None
    except InfeasibleParameters as error:
        return _infeasible(declared, error)
    together = f"Set degree = {chosen.degree} and, with it, threshold = {chosen.threshold}"
    return _set("degree", declared.degree, chosen.degree, f"{together}: no threshold serves the declared degree.")


def stronger_control(declared: DeclaredRound) -> Remedy:
    """Return what makes the assessment able to fail: with two corrupt clients the weakest choice no longer suffices."""
    share = str(2 / declared.clients)
    text = (
        f"Count on more than one corrupt client, such as corrupt_fraction = {share}, so that the assessment can fail."
    )
    return Remedy(parameter=f"{SECTION}.corrupt_fraction", direction="raise", value=share, text=text)


def _infeasible(declared: DeclaredRound, error: InfeasibleParameters) -> Remedy:
    if error.feasible_dropout_fraction is None:
        text = "Add clients, or count on fewer corrupt ones: no degree and threshold protect so few honest clients."
        return Remedy(parameter=f"{SECTION}.clients", direction="raise", text=text)
    value = error.feasible_dropout_fraction
    text = f"Plan for a drop-out fraction of {value} or less: no degree and threshold bear more."
    return _set("dropout_fraction", declared.dropout_fraction, value, text)


def _set(key: str, old: float, new: float, text: str) -> Remedy:
    direction: Literal["raise", "lower"] = "raise" if new > old else "lower"
    return Remedy(parameter=f"{SECTION}.{key}", direction=direction, value=str(new), text=text)
