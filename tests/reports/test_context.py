"""Numbers belong to (seed, check, purpose, trial), whoever draws them and in whatever order."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.check import Check, Context
from reports.executor import Executor, Serial
from reports.model import Basis, Confidentiality, Effort, Evidence, Severity, Status, Strength, System, fingerprint

SYSTEM = System.model_validate(
    {"name": "s", "version": "1", "source": {"path": "s.toml", "sha256": "0" * 64, "size": 1, "kind": "source"}}
)


class Shelf:
    """An evidence store that keeps what it is given."""

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, str, Confidentiality, str]] = []

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        self.kept.append((data, media_type, confidentiality, name))
        digest = f"{len(self.kept):064x}"
        return Evidence(
            sha256=digest,
            path=f"{digest[:2]}/{digest}",
            size=len(data),
            media_type=media_type,
            confidentiality=confidentiality,
            name=name,
        )


def context(check_id: str = "a.one", seed: int = 1, executor: Executor | None = None, **more: Any) -> Context:
    asked = Check(check_id, "It is so", lambda system, ctx: iter(()), controls=("EU-AIA:15(1)",))
    return Context(
        check=asked,
        system=SYSTEM,
        seed=seed,
        effort=Effort.SMOKE,
        folder=Path(),
        now=datetime(2026, 1, 1, tzinfo=UTC),
        store=more.pop("store", Shelf()),
        executor=executor or Serial(),
        **more,
    )


class Backwards:
    """An executor that finishes the last trial first."""

    def map(self, fn: Callable[[Any], Any], trials: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        yield from reversed([(i, fn(t)) for i, t in enumerate(trials)])


def draw(trial: int, rng: np.random.Generator) -> tuple[int, float]:
    return trial, float(rng.random())


def test_every_executor_gives_the_same_numbers_in_the_order_of_the_trials() -> None:
    forwards = list(context().map(draw, range(7), purpose="p"))
    assert forwards == list(context(executor=Backwards()).map(draw, range(7), purpose="p"))
    assert [trial for trial, _ in forwards] == list(range(7))
    assert len({number for _, number in forwards}) == 7  # each trial has its own stream


def test_a_trial_draws_what_its_purpose_says() -> None:
    [(_, drawn)] = context().map(draw, [0], purpose="p")
    assert drawn == context().rng("p#0").random()


@pytest.mark.parametrize("other", [context("a.two"), context(seed=2)])
def test_another_check_or_seed_draws_other_numbers(other: Context) -> None:
    assert context().rng("p").random() == context().rng("p").random()
    assert context().rng("p").random() != other.rng("p").random()
    assert context().rng("p").random() != context().rng("q").random()


def test_torch_has_its_own_generator_of_the_same_stream() -> None:
    torch = pytest.importorskip("torch")
    first, again = context().generator("p"), context().generator("p")
    assert torch.equal(torch.rand(3, generator=first), torch.rand(3, generator=again))


def test_entropy_is_not_seeded() -> None:
    assert context().entropy(16) != context().entropy(16)


def test_a_finding_takes_what_its_check_says_unless_told() -> None:
    plain = context().finding(Status.PASS, "Yes.")
    assert (plain.check, plain.controls, plain.strength) == ("a.one", ("EU-AIA:15(1)",), Strength.STATISTICAL)
    assert plain.fingerprint == fingerprint("s", "a.one", "")
    told = context().finding(
        Status.FAIL, "No.", key="k", severity=Severity.HIGH, strength=Strength.EXACT, basis=Basis.DECLARED, controls=()
    )
    assert (told.severity, told.strength, told.basis, told.controls) == ("high", "exact", "declared", ())
    assert told.fingerprint != plain.fingerprint


def test_progress_counts_trials() -> None:
    told: list[tuple[int, int]] = []
    ctx = context(report_progress=lambda done, total: told.append((done, total)))
    list(ctx.map(draw, range(3), purpose="p"))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_evidence_is_kept_with_its_confidentiality() -> None:
    shelf = Shelf()
    digest = context(store=shelf).evidence("scores", b"{}", "application/json", "restricted")
    assert shelf.kept == [(b"{}", "application/json", Confidentiality.RESTRICTED, "scores")]
    assert digest == f"{1:064x}"
