"""Membership scores that the owner computed: one npz, checked array by array, and the attacks that it allows.

Scores are logit-scaled confidences, larger where the model is surer of the record's label. With shadow scores a record
is judged against itself under models with and without it; without them its loss alone speaks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audit.attacks.likelihood import offline_ratio, online_ratio
from audit.attacks.rmia import relative_odds
from audit.attacks.separation import Separation
from reports.artifacts import read_npz
from reports.errors import SystemFileError
from reports.model import Artifact

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

LEAST_SCORES = 20
"""Fewer scores are no sample."""
ENOUGH_SHADOWS = 8
"""From as many the likelihood ratio finds more members than relative odds do, below fewer (measured on MNIST)."""
LOSS = "loss threshold"
ONLINE = "LiRA online"
OFFLINE = "LiRA offline"
ODDS = "RMIA"
PUBLIC = "LiRA on reference"
PUBLIC_ODDS = "RMIA on reference"


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of the same records under a model and its shadows."""

    target: Array
    """Under the model, shape (n,)."""
    member: BoolArray
    """Who was trained on, shape (n,)."""
    shadow: Array | None = None
    """Under the shadows, shape (S, n); None where there are none."""
    shadow_member: BoolArray | None = None
    """Whom each shadow was trained on, shape (S, n)."""
    public: Array | None = None
    """Under shadows that were trained on public records alone, shape (P, n); None where there are none."""


def separations(scored: Scored) -> dict[str, Separation]:
    """Return every attack that the scores allow, the strongest first.

    Online needs a shadow with and one without each record, offline one without; two or more of some record. On
    reference needs two shadows that were trained on public records alone.
    """
    found: dict[str, Array] = {}
    shadow, member = scored.shadow, scored.shadow_member
    if shadow is not None and member is not None:
        inside, outside = member.sum(axis=0), (~member).sum(axis=0)
        if outside.min() >= 1 and outside.max() >= 2:
            if inside.min() >= 1 and inside.max() >= 2:
                found[ONLINE] = online_ratio(scored.target, shadow, member)
            found[OFFLINE] = offline_ratio(scored.target, shadow, member)
            odds = {ODDS: relative_odds(scored.target, shadow, member)}
            found = {**found, **odds} if len(shadow) >= ENOUGH_SHADOWS else {**odds, **found}
    if (public := scored.public) is not None and len(public) >= 2:
        nobody = np.zeros(public.shape, dtype=bool)
        found[PUBLIC] = offline_ratio(scored.target, public, nobody)
        found[PUBLIC_ODDS] = relative_odds(scored.target, public, nobody)
    found[LOSS] = scored.target
    return {name: Separation(scores, scored.member) for name, scores in found.items()}


def read_scores(artifact: Artifact, folder: Path) -> tuple[Scored, Scored | None]:
    """Return the scores of a file, and those of its positive control; None where it has none.

    Args:
        artifact: The npz: `target`, `member`, optional `shadow`, `shadow_member`; the same with `control_` before the
            name for a model that is known to leak (`control_shadow` goes with the same `shadow_member`).
        folder: The folder that its path is relative to.

    Raises:
        SystemFileError: an array has another type or shape, holds NaN or infinity, or shows no member or non-member.
        reports.errors.FileError: the file is refused, broken, or lacks an array.
    """
    arrays = read_npz(folder / artifact.path, required=("target", "member"))
    file = artifact.path
    scored = _scored(arrays, "", file)
    if "control_target" not in arrays:
        return scored, None
    if "control_member" not in arrays:
        raise _unfit(file, "control_member", "is missing beside 'control_target'", "Say who the control's members are.")
    return scored, _scored(arrays, "control_", file)


def _scored(arrays: Mapping[str, npt.NDArray[Any]], prefix: str, file: str) -> Scored:
    target = _numbers(arrays, f"{prefix}target", file)
    if target.ndim != 1 or len(target) < LEAST_SCORES:
        told = f"has shape {target.shape}"
        raise _unfit(file, f"{prefix}target", told, f"Give one score a record, at least {LEAST_SCORES}.")
    member = _truths(arrays, f"{prefix}member", file)
    if member.shape != target.shape:
        raise _unfit(
            file, f"{prefix}member", f"has shape {member.shape}", f"Give one for each of {len(target)} scores."
        )
    if member.all() or not member.any():
        raise _unfit(file, f"{prefix}member", f"is {bool(member[0])} throughout", "Score members and non-members.")
    if f"{prefix}shadow" not in arrays:
        return Scored(target, member)
    if "shadow_member" not in arrays:
        raise _unfit(
            file, "shadow_member", f"is missing beside '{prefix}shadow'", "Say whom each shadow was trained on."
        )
    shadow, within = _numbers(arrays, f"{prefix}shadow", file), _truths(arrays, "shadow_member", file)
    if shadow.ndim != 2 or shadow.shape[1] != len(target) or not len(shadow):
        told = f"has shape {shadow.shape} for {len(target)} scores"
        raise _unfit(file, f"{prefix}shadow", told, "Give one row a shadow model, one column a record.")
    if within.shape != shadow.shape:
        raise _unfit(
            file, "shadow_member", f"has shape {within.shape}", f"Give that of '{prefix}shadow', {shadow.shape}."
        )
    return Scored(target, member, shadow, within)


def _numbers(arrays: Mapping[str, npt.NDArray[Any]], name: str, file: str) -> Array:
    values = arrays[name]
    if values.dtype.kind not in "fiu":
        raise _unfit(file, name, f"holds {values.dtype}", "Give numbers.")
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise _unfit(file, name, "holds NaN or infinity", "Leave those records out of every array.")
    return numbers


def _truths(arrays: Mapping[str, npt.NDArray[Any]], name: str, file: str) -> BoolArray:
    values = arrays[name]
    if values.dtype != np.bool_:
        raise _unfit(file, name, f"holds {values.dtype}", "Give truth values (bool).")
    return values


def _unfit(file: str, name: str, problem: str, mend: str) -> SystemFileError:
    return SystemFileError("system.scores", f"system.toml: data.membership-scores: {file}: {name!r} {problem}", mend)
