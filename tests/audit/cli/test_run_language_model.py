"""A language model that hides what it was to forget: audited, signed, and verified by a stranger."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from audit.cli.main import run
from unlearning.llm.lunar import Settings, fit
from unlearning.llm.model_folder import save_model
from unlearning.llm.model_io import load_model
from unlearning.llm.tiny import TinyWorld

NOW = "2026-11-22T12:00:00Z"
SYSTEM = """[system]
name = "assistant"
version = "1"
[[unlearning]]
id = "erasure"
kind = "llm"
method = "lunar"
before = "before"
after = "after"
forget = "data/forget.jsonl"
retain = "data/retain.jsonl"
twin = "data/twin.jsonl"
transcript = "edit/edit.json"
[[data]]
role = "calibration"
path = "data/general.jsonl"
[[data]]
role = "reference"
path = "data/reference.jsonl"
[claims]
unlearned = ["erasure"]
"""
TRUST = """version = 1
[require]
auditor = 1
[[keys]]
name = "An auditor"
role = "auditor"
public_key = "auditor.key.pub"
"""


@pytest.fixture
def owner(tiny_folder: Path, world: TinyWorld, tmp_path: Path) -> Path:
    """A system whose facts were hidden by an edit that it declares."""
    torch.set_num_threads(1)
    shutil.copytree(tiny_folder, tmp_path / "before")
    model = load_model(tmp_path / "before")
    settings = Settings(layers=(0,), tokens="refusal", ridge=1e-3, coefficient=1.3, force=True)
    edit = fit(model, world.forget, world.retain, world.reference, general=world.general, settings=settings)
    edit.save(tmp_path / "edit")
    save_model(model, tmp_path / "after", variant=edit.apply(model))
    (tmp_path / "data").mkdir()
    for name in ("forget", "retain", "twin", "general", "reference"):
        lines = (record.model_dump_json() + "\n" for record in getattr(world, name))
        (tmp_path / "data" / f"{name}.jsonl").write_text("".join(lines))
    (tmp_path / "system.toml").write_text(SYSTEM)
    (tmp_path / "trust.toml").write_text(TRUST)
    return tmp_path


@pytest.mark.slow
def test_a_language_models_bundle_is_signed_and_verified_and_no_fact_is_in_it(
    owner: Path, world: TinyWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    def done(code: int, *words: str | Path) -> dict[str, Any]:
        assert run([*map(str, words), "--json"]) == code, capsys.readouterr()
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told

    key, bundle = owner / "auditor.key", owner / "bundle"
    done(0, "keygen", "-o", key, "--no-passphrase")
    asked = ["--only", "unlearning.llm.*", "--effort", "smoke", "--executor", "serial", "--now", NOW]
    done(0, "run", owner / "system.toml", "-o", bundle, "--key", key, *asked)
    trust = ["--trust", owner / "trust.toml", "--now", NOW]
    assert done(0, "verify", bundle, *trust, "--subject", owner / "after", "--renderings")["authentic"] is True
    assert "unlearning.llm.verdict" in json.dumps(done(0, "show", bundle))
    pages = b"".join(path.read_bytes() for path in bundle.rglob("*") if path.is_file())
    for word in {word for record in world.forget for word in record.secret}:
        assert f"it is {word}".encode() not in pages
    assert not list(bundle.rglob("*statistics*"))  # the sums are personal data in another shape
    other = owner / "other"
    shutil.copytree(owner / "after", other)
    (other / "config.json").write_text((other / "config.json").read_text() + " ")
    assert done(4, "verify", bundle, *trust, "--subject", other)["authentic"] is False
