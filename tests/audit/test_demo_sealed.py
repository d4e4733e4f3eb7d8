"""The bundles of the demonstration before other people's software, each beside a copy that was tampered with."""

import json
import shutil
from pathlib import Path

import pytest

from tests.reports.outsiders import needs_node, needs_shell, securesystemslib_accepts, shell_accepts, sigstore_says

BOTH = pytest.mark.parametrize("name", ["careless", "careful"])


@pytest.fixture
def tampered(demo_folder: Path, tmp_path: Path, name: str) -> Path:
    """A copy of a bundle in which the payload is that of the other."""
    other = {"careless": "careful", "careful": "careless"}[name]
    shutil.copytree(demo_folder / f"{name}.bundle", tmp_path / "bundle")
    exchanged = json.loads((demo_folder / f"{other}.bundle" / "report.dsse.json").read_text())["payload"]
    envelope = tmp_path / "bundle" / "report.dsse.json"
    envelope.write_text(json.dumps(json.loads(envelope.read_text()) | {"payload": exchanged}))
    return tmp_path / "bundle"


@needs_shell
@BOTH
def test_openssl_and_jq_verify_it(demo_folder: Path, tampered: Path, name: str) -> None:
    key = demo_folder / "auditor.key.pub"
    assert shell_accepts(demo_folder / f"{name}.bundle", key)
    assert not shell_accepts(tampered, key)


@BOTH
def test_securesystemslib_verifies_it(demo_folder: Path, tampered: Path, name: str) -> None:
    key = demo_folder / "auditor.key.pub"
    assert securesystemslib_accepts(demo_folder / f"{name}.bundle", key)
    assert not securesystemslib_accepts(tampered, key)


@needs_node
@BOTH
def test_sigstore_verifies_it(demo_folder: Path, tmp_path: Path, name: str) -> None:
    [made] = (demo_folder / f"{name}.bundle" / "render").glob("*.sigstore.json")
    document = json.loads(made.read_text())
    document["dsseEnvelope"]["payload"] = document["dsseEnvelope"]["payload"][:-8] + "AAAAAAAA"
    (tmp_path / "tampered.json").write_text(json.dumps(document))
    good, bad = sigstore_says(demo_folder / "auditor.key.pub", made, tmp_path / "tampered.json")
    assert good == "verified"
    assert bad.startswith("SIGNATURE_ERROR")
