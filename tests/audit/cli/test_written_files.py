"""Files that the commands write, and those that people write, are what their published schemas say."""

import json
import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from audit.cli.main import run
from reports.schema import FOLDER
from tests.audit.cli.conftest import Forgetful
from tests.audit.cli.test_init import uncommented

SCORES = Path(__file__).parents[3] / "compliance/data/aireg_scores.json"


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def as_json(value: Any) -> Any:
    """TOML as its readers in JSON see it: dates are strings."""
    if isinstance(value, dict):
        return {key: as_json(part) for key, part in value.items()}
    if isinstance(value, list):
        return [as_json(part) for part in value]
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, date | datetime) else value


@pytest.mark.parametrize(("file", "name"), [("system", "system-file"), ("policy", "policy"), ("trust", "trust")])
def test_what_init_writes_is_valid_as_it_stands_and_with_every_setting(tmp_path: Path, file: str, name: str) -> None:
    assert run(["init", str(tmp_path / "ward")]) == 0
    path = tmp_path / "ward" / f"{file}.toml"
    schema = validator(name)
    for text in (path.read_text(encoding="utf-8"), uncommented(path)):
        document = as_json(tomllib.loads(text))
        schema.validate(document)
        assert not schema.is_valid(document | {"banana": 1})
    if file == "system":
        assert not schema.is_valid(document | {"system": {"name": "ward"}})
        assert not schema.is_valid(document | {"model": {"checkpoint": {"path": "a"}}})


def test_a_calibration_and_an_annex_iv_file_are_valid(tmp_path: Path) -> None:
    (tmp_path / "system.toml").write_text('[system]\nname = "ward"\nversion = "1"\n')
    out = [str(tmp_path / "calibration.json"), str(tmp_path / "annex.json")]
    assert run(["compliance", "calibrate", "--scores", str(SCORES), "--rater", "GPT-4o", "-o", out[0]]) == 0
    assert run(["compliance", "annex-iv", str(tmp_path / "system.toml"), "--format", "json", "-o", out[1]]) == 0
    for name, path in zip(("calibration", "annex-iv"), out, strict=True):
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        validator(name).validate(document)
        assert not validator(name).is_valid(document | {"banana": 1})


def test_a_recording_and_a_transcript_of_unlearning_are_valid(forgetful: Forgetful) -> None:
    lines = (forgetful.out() / "transcript.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines:
        validator("unlearning-transcript").validate(json.loads(line))
    assert not validator("unlearning-transcript").is_valid(json.loads(lines[0]) | {"seed": "7"})
    recording = json.loads((forgetful.folder / "recording" / "recording.json").read_text(encoding="utf-8"))
    validator("recording").validate(recording)
    assert not validator("recording").is_valid(recording | {"banana": 1})
    federation = as_json(tomllib.loads((forgetful.folder / "federation.toml").read_text(encoding="utf-8")))
    validator("federation").validate(federation)
