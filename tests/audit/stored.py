"""What the tests of the run store share: trials that count how often they run, and runs that are stopped. No test."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from audit.store import RunStore, run_folder
from reports.check import Check, Context
from reports.model import Effort, Finding, Status
from tests.reports.test_context import SYSTEM

NOW = datetime(2026, 11, 22, tzinfo=UTC)
BINDING = {"effort": '"smoke"', "policy_sha256": '"11"', "root_seed": "7"}
CHECK = Check("local.one", "It is so", lambda system, ctx: iter(()))
RAN: list[int] = []


def squared(trial: int, rng: np.random.Generator) -> tuple[int, float]:
    RAN.append(trial)
    return trial * trial, float(rng.random())


def large(trial: int, rng: np.random.Generator) -> Any:
    RAN.append(trial)
    return rng.random((100, 200 + trial))


def opaque(trial: int, rng: np.random.Generator) -> Any:
    RAN.append(trial)
    return {trial}  # a set is not kept


def breaking(trial: int, rng: np.random.Generator) -> int:
    RAN.append(trial)
    if trial == 2:
        raise ZeroDivisionError
    return trial


def context(store: RunStore, seed: int = 7) -> Context:
    trials = store.trials(CHECK.id)
    return Context(CHECK, SYSTEM, seed, Effort.SMOKE, Path(), NOW, store, trials=trials)


def finding(ctx: Context, *evidence: str) -> Finding:
    return ctx.finding(Status.FAIL, "No.", evidence=evidence)


def resumed(bundle: Path, **more: Any) -> RunStore:
    return RunStore(bundle, leftover="resume", **more)


def bind(store: RunStore, **other: str) -> None:
    store.bind({**BINDING, **other}, NOW, now_was_said=True)


def begun(bundle: Path, fn: Any = squared, trials: int = 4, **more: Any) -> list[Any]:
    """A run that is stopped after its trials: what a kill leaves, the last second put on the disk."""
    with resumed(bundle, **more) as store:
        bind(store)
        return list(context(store).map(fn, range(trials), purpose="p"))


def spoilt(bundle: Path, how: str) -> None:
    store = run_folder(bundle) / "store.sqlite"
    data = store.read_bytes()
    if how == "cut":
        store.write_bytes(data[: len(data) // 2])
    elif how == "noise":
        store.write_bytes(data[:100] + bytes(byte ^ 0x5A for byte in data[100:]))
    elif how == "text":
        store.write_bytes(b"no database at all\n" * 99)
    else:
        with sqlite3.connect(store) as database:
            database.execute(how)
        database.close()
