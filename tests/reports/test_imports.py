"""The verifying side stays light: asked of a fresh interpreter, since this one has loaded everything already."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "opacus", "sklearn", "scipy", "numpy", "joblib", "jinja2", "rich", "httpx"}


def loaded_by(module: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds once it has imported `module`."""
    script = f"import {module}, sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["reports.verify", "reports.judge", "reports.bundle", "reports.check"])
def test_verifying_and_judging_load_nothing_heavy(module: str) -> None:
    assert not loaded_by(module) & HEAVY


def test_the_question_above_would_notice() -> None:
    assert "numpy" in loaded_by("reports.statistics")
