"""An erasure request from the command line: train and record where need be, honour it, compare the rivals.

federation.toml ─▶ recording/ ─▶ method ─▶ OUT/          the same recording for every rival
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from audit.manifest import load_system
from reports.errors import FedauditError
from reports.executor import Executor
from reports.model import Effort
from unlearning.errors import UnlearningError
from unlearning.federated.data import SimulatedFederation, load_federation
from unlearning.federated.delivered import load_delivered
from unlearning.federated.erasure import Erasure
from unlearning.federated.federation_file import FederationFile, read_federation_file
from unlearning.federated.folder import Figures, check_place, write_folder
from unlearning.federated.methods import Method, method
from unlearning.federated.plan import Conditions, Plan, plan
from unlearning.federated.recording import Recorder, Recording, load_recording
from unlearning.federated.request import UnlearningRequest
from unlearning.federated.training import train
from unlearning.verification.replay import replay
from unlearning.verification.suite import VerificationReport
from unlearning.verification.suite import verify as verify_delivered

__all__ = ["Commission", "compared", "honoured", "said", "target_of"]

RECORDING = "recording"
HONOURED = "honoured.json"
"""Beside recording.json: the requests that were honoured on it, and the models that came of them."""
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Commission:
    """What was ordered."""

    file: Path
    """The federation's file."""
    declared: FederationFile
    """What it says."""
    federation: SimulatedFederation
    """What it describes."""
    request: UnlearningRequest
    """What is to be forgotten."""
    method: Method
    """How."""
    seed: int | None
    """Of the unlearning; None for the recipe's."""
    offline: frozenset[int]
    """Clients that do not answer."""
    planned: Plan
    """What was planned."""

    def erasure(self, recording: Recording) -> Erasure:
        """Return the erasure on a recorded training."""
        seed = self.federation.recipe.seed if self.seed is None else self.seed
        before = recording.global_model(self.federation.recipe.rounds)
        return Erasure(self.federation, self.request, self.method, before, seed, recording.history(), self.offline)


@contextmanager
def said(color: bool | None) -> Iterator[Say]:
    """Give what prints a sentence of progress on stderr."""
    from rich.console import Console

    console = Console(stderr=True, no_color=True if color is False else None, highlight=False)

    def say(sentence: str) -> None:
        console.print(sentence, style="dim", markup=False)

    yield say
    sys.stderr.flush()


def target_of(path: Path, *, trust_code: bool) -> tuple[Path, FederationFile, SimulatedFederation]:
    """Return the federation's file, what it says, and the federation; errors as `load_federation`."""
    file = path / "federation.toml" if path.is_dir() else path
    return file, read_federation_file(file), load_federation(file, trust_code=trust_code)


def honoured(commission: Commission, output: Path, say: Say) -> tuple[Figures, str]:
    """Honour the request and write its folder; return the figures, and a note where it had been honoured before.

    Raises:
        UnlearningError: As `write_folder`; the folder lies in the recording, or that is of another training.
    """
    check_place(output)
    if output.resolve().is_relative_to((commission.file.parent / RECORDING).resolve()):
        raise UnlearningError("unlearning.folder", f"{output} lies in the recording", "Name a folder outside of it.")
    recording = _recorded(commission, say)
    known = _honoured_before(recording.folder / HONOURED)
    say(f"{commission.method.name}: forgetting {commission.request}")
    erasure = commission.erasure(recording)
    found = write_folder(erasure, output, commission.declared, commission.file.parent, planned=commission.planned)
    return found, _noted(recording.folder / HONOURED, known, erasure, str(found["after_sha256"]))


def compared(
    commission: Commission,
    output: Path,
    rivals: Sequence[str],
    *,
    models: int,
    executor: Executor,
    conditions: Conditions,
    say: Say,
) -> Figures:
    """Run the rivals on the same recording, hold each against references of its own, and add the table to OUT.

    Args:
        commission: What was ordered.
        output: The folder that was written.
        rivals: Methods, with their default parameters but for the ordered one.
        models: References and originals behind each row.
        executor: Trains them.
        conditions: Under which each is planned; one that conflicts with them is told and not run.
        say: Told what begins.
    """
    recording = load_recording(commission.file.parent / RECORDING, commission.federation)
    rows: list[Figures] = []
    for name in rivals:
        how = commission.method if name == commission.method.name else method(name)
        say(f"comparing: {name}")
        one = replace(commission, method=how, planned=plan(how, commission.federation, commission.request, conditions))
        for conflict in one.planned.conflicts:
            say(f"{name}: {conflict}")
        rows.append(_row(one, recording, models, executor))
    path = output / "result.json"
    found: Figures = json.loads(path.read_text(encoding="utf-8")) | {"comparison": rows}
    path.write_text(json.dumps(found, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
    return found


def _row(commission: Commission, recording: Recording, models: int, executor: Executor) -> Figures:
    """Return one line of the comparison."""
    empty = ("accuracy", "probe_rate", "js_ratio", "residual_share", "u_lira_auc", "work_ratio")
    row: Figures = {"method": commission.method.name, **dict.fromkeys(empty)}
    if not commission.planned.feasible:
        return row | {"status": "conflict"}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "out"
        try:
            found: Any = write_folder(
                commission.erasure(recording), place, commission.declared, commission.file.parent,
                planned=commission.planned,
            )  # fmt: skip
            report = _verified(place, commission, models, executor)
        except FedauditError as error:
            return row | {"status": f"error: {error.code}"}
    distance = report.distance("forget")
    rank, over_seeds = report.rank, report.method
    return row | {
        "accuracy": found["accuracy"]["after"]["test"],
        "probe_rate": found["probe_rate"]["after"],
        "js_ratio": None if distance is None else distance.value,
        "residual_share": None if rank is None else rank.residual_share,
        "u_lira_auc": None if over_seeds is None else over_seeds.unlearned.auc,
        "work_ratio": found["work"]["ratio"],
        "status": str(report.residual.outcome.status),
    }


def _verified(place: Path, commission: Commission, models: int, executor: Executor) -> VerificationReport:
    """Return the verification of a folder that was just written."""
    loaded = load_system(place / "system.toml")
    trust = commission.declared.model.definition is not None
    delivered = load_delivered(loaded.system, loaded.system.unlearning[0], loaded.folder, trust_code=trust)
    seed = int.from_bytes(sha256(str(commission.request).encode()).digest()[:6], "big")
    return verify_delivered(
        delivered, effort=Effort.STANDARD, seed=seed, models=models, executor=executor,
        replayed=lambda: replay(delivered).proves_exactness,
    )  # fmt: skip


def _recorded(commission: Commission, say: Say) -> Recording:
    """Return the recording of the federation's training, made where there is none."""
    folder = commission.file.parent / RECORDING
    if not folder.is_dir():
        say("training the federation, and recording it")
        draft = folder.with_name(f".{RECORDING}.partial")
        shutil.rmtree(draft, ignore_errors=True)  # left by a process that was killed
        with Recorder(draft, commission.federation, commission.declared.recording) as recorder:
            train(commission.federation, recorder=recorder)
        draft.replace(folder)
    return load_recording(folder, commission.federation)


def _honoured_before(path: Path) -> list[Figures]:
    """Return what was honoured on a recording.

    Raises:
        UnlearningError: `unlearning.recording`, the note of it is not what was written.
    """
    try:
        known: Any = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    except ValueError:  # told below
        known = None
    if not isinstance(known, list):
        told = f"{path.parent.name}/{path.name}: this is no list of requests that were honoured"
        raise UnlearningError("unlearning.recording", told, "Remove that file.")
    return list(known)


def _noted(path: Path, known: list[Figures], erasure: Erasure, after: str) -> str:
    """Note what was honoured on this recording; return a sentence where the very same had been before."""
    this: Figures = {
        "request": str(erasure.request),
        "method": erasure.method.name,
        "parameters": erasure.method.model_dump(mode="json"),
        "seed": erasure.seed,
        "offline": sorted(erasure.offline),
        "after": after,
    }
    if this in known:
        return f"already done: {erasure.request} was honoured on this recording before, with the same model after"
    path.write_text(json.dumps([*known, this], indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return ""
