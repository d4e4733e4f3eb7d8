"""Everything but Flower's own words works without Flower, and what does not says what to install."""

import subprocess
import sys
from pathlib import Path

import pytest

from unlearning.errors import UnlearningError
from unlearning.federated.flower import FFUMStrategy, RecordingStrategy


@pytest.fixture
def _no_flower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flwr", None)  # as Python marks what cannot be imported


@pytest.mark.usefixtures("_no_flower")
def test_without_flower_the_error_says_what_to_install(tmp_path: Path) -> None:
    for make in (lambda: FFUMStrategy(object(), [1]), lambda: RecordingStrategy(object(), tmp_path / "kept")):  # type: ignore[arg-type]
        with pytest.raises(UnlearningError) as raised:
            make()
        assert "install fedaudit[flower]" in str(raised.value)
        assert raised.value.exit_code == 2
    assert not (tmp_path / "kept").exists()


@pytest.mark.flower
def test_the_package_is_imported_without_flower() -> None:
    code = "import unlearning.federated.flower, sys; assert 'flwr' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
