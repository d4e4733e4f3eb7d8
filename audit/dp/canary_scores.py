"""Canaries' scores as a file holds them: read, and refused where they cannot decide anything."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audit.dp.lower_bound import LEAST_CANARIES
from reports.artifacts import read_npz
from reports.errors import SystemFileError
from reports.model import Artifact

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """The canaries of one run."""

    score: Array
    """Larger means more likely to have taken part, shape (m,)."""
    included: npt.NDArray[np.bool_]
    """Whether each did, shape (m,)."""


@dataclass(frozen=True, eq=False)
class CanaryScores:
    """What a file of role `canary-scores` holds."""

    system: Scores
    """Of the system."""
    control: Scores | None
    """Of a run of the same system without noise, where it is recorded."""


def read_canary_scores(folder: Path, artifact: Artifact, key: str) -> CanaryScores:
    """Return the scores of an npz: `score`, `included`, and of the control `control_score`, `control_included`.

    Args:
        folder: The folder that the path is relative to.
        artifact: The npz.
        key: The entry of system.toml that names it, for errors.

    Raises:
        SystemFileError: an array is of the wrong kind or shape, too short, not finite, or all canaries are alike.
        reports.errors.FileError: the file is refused, broken, or lacks an array.
    """
    arrays = read_npz(folder / artifact.path, required=("score", "included"))
    given = {"control_score", "control_included"} & arrays.keys()
    if len(given) == 1:
        [only] = given
        (lacking,) = {"control_score", "control_included"} - given
        raise _unfit(key, artifact, f"it holds {only!r} without {lacking!r}", "Give both, or neither.")
    system = _checked(arrays, "", key, artifact)
    return CanaryScores(system, _checked(arrays, "control_", key, artifact) if given else None)


def _checked(arrays: dict[str, npt.NDArray[Any]], prefix: str, key: str, artifact: Artifact) -> Scores:
    score, included = arrays[f"{prefix}score"], arrays[f"{prefix}included"]
    if score.dtype.kind not in "fiu" or score.ndim != 1:
        problem = f"'{prefix}score' is {score.dtype} of shape {score.shape}"
        raise _unfit(key, artifact, problem, "Give one number a canary, shape (m,).")
    if included.dtype != np.bool_ or included.shape != score.shape:
        problem = f"'{prefix}included' is {included.dtype} of shape {included.shape} for {len(score)} scores"
        raise _unfit(key, artifact, problem, "Give one truth value (bool) a canary, shape (m,).")
    if len(score) < LEAST_CANARIES:
        problem = f"'{prefix}score' holds {len(score)} canaries, fewer than {LEAST_CANARIES}"
        raise _unfit(key, artifact, problem, "Plant more; some hundreds decide.")
    if included.all() or not included.any():
        word = "true" if included.all() else "false"
        raise _unfit(key, artifact, f"'{prefix}included' is {word} throughout", "Let a fair coin decide for each.")
    values = score.astype(np.float64)
    if not np.isfinite(values).all():
        raise _unfit(key, artifact, f"'{prefix}score' holds NaN or infinity", "Score every canary by a number.")
    return Scores(values, included)


def _unfit(key: str, artifact: Artifact, problem: str, mend: str) -> SystemFileError:
    return SystemFileError("system.scores", f"system.toml: {key}: {artifact.path}: {problem}", mend)
