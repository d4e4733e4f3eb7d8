"""All schemas that we publish: those of reports, of what the other rooms write, and of what each command answers.

`python -m audit.schemas` rewrites `reports/schema/` and removes what is no longer published. It is here, and not in
`reports`, because `reports` knows none of the others.

An answer's schema asks for the common keys always, and for the command's own keys where it did what it was asked (exit
0 or 1): what failed says what it knows. Unknown keys are allowed, since a later version may say more.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any, TypeAlias

from pydantic import TypeAdapter

from audit.answers import forgetting, law, sealing, selftest, showing, summing
from audit.answers.common import Common
from audit.dp.record import DPRecord
from audit.manifest import OWN_KEYS
from audit.selftest.case_folders import ExpectedFile
from compliance.annex_iv import AnnexIV
from compliance.assessment import Assessment
from compliance.calibration import Calibration
from compliance.judge_file import JudgeFile
from compliance.thresholds import Thresholds
from reports.model import System
from reports.nouns import Noun
from reports.schema import DIALECT, FOLDER, PUBLISHED, Published, described, schema_text, write_schemas
from reports.self_test import SelfTest
from unlearning.federated.federation_file import FederationFile
from unlearning.federated.recording_file import RecordingFile
from unlearning.federated.transcript_nouns import Close, Header, Round
from unlearning.llm.edit_nouns import EditFile

Shapes: TypeAlias = tuple[type[Noun], ...]

_WRITTEN: Mapping[str, tuple[type[Noun], str]] = {
    "assessment": (Assessment, "What a reader found in documents: the file of `fedaudit compliance assess`."),
    "calibration": (Calibration, "A reader held against experts: the file of `fedaudit compliance calibrate`."),
    "annex-iv": (AnnexIV, "The evidence file of Annex IV, its gaps named."),
    "selftest": (SelfTest, "The evidence of a self-test: the file of `fedaudit selftest -o`."),
}
_READ: Mapping[str, tuple[type[Noun], str]] = {
    "judge": (JudgeFile, "judge.toml, read as JSON: who reads the documents."),
    "thresholds": (Thresholds, "thresholds.toml, read as JSON (dates as strings): what was promised beforehand."),
    "federation": (FederationFile, "federation.toml, read as JSON: a federation to train, and to forget in."),
    "recording": (RecordingFile, "recording.json: what a federation kept of its training."),
    "dp-record": (DPRecord, "What a trainer recorded of its differential privacy ([…differential_privacy].record)."),
    "case": (ExpectedFile, "expected.json: what an audit of the system beside it has to say (`selftest --cases`)."),
    "lunar-edit": (EditFile, "edit.json: what was changed in a language model so that it forgets."),
}
DOCUMENTS: Mapping[str, Published] = {
    **{name: Published(TypeAdapter(noun), "serialization", text) for name, (noun, text) in _WRITTEN.items()},
    **{name: Published(TypeAdapter(noun), "validation", text) for name, (noun, text) in _READ.items()},
    "unlearning-transcript": Published(
        TypeAdapter(Header | Round | Close), "validation", "A line of an unlearning transcript."
    ),
}
"""What the other rooms write and read, by the NAME of the schema."""
ANSWERS: Mapping[str, Shapes] = {
    "demo": (showing.DemoAnswer,),
    "init": (showing.InitAnswer,),
    "checks": (showing.ChecksAnswer,),
    "run": (sealing.RunAnswer,),
    "keygen": (sealing.KeygenAnswer,),
    "sign": (sealing.SignAnswer,),
    "verify": (sealing.VerifyAnswer,),
    "gate": (sealing.GateAnswer,),
    "render": (showing.RenderAnswer,),
    "show": (showing.ShowAnswer, showing.ProofAnswer, showing.TimingsAnswer),
    "compare": (showing.CompareAnswer,),
    "selftest": (
        selftest.SelftestAnswer,
        selftest.SelftestCasesAnswer,
        selftest.SelftestListAnswer,
        selftest.SelftestExportAnswer,
    ),
    "attack list": (showing.AttackListAnswer,),
    "attack run": (showing.AttackRunAnswer,),
    "secagg params": (summing.ParamsAnswer,),
    "secagg assess": (summing.AssessAnswer,),
    "secagg simulate": (summing.SimulateAnswer, summing.SimulateRoundsAnswer),
    "secagg verify-transcript": (summing.VerifyTranscriptAnswer,),
    "secagg bench": (summing.BenchAnswer,),
    "unlearn federated": (forgetting.Honoured, forgetting.PlanAnswer),
    "unlearn lunar": (
        forgetting.LunarAnswer,
        forgetting.EraseAnswer,
        forgetting.AppliedAnswer,
        forgetting.ClientSumsAnswer,
    ),
    "unlearn verify": (forgetting.VerifyFederatedAnswer, forgetting.VerifyTextAnswer),
    "compliance controls": (law.ControlsAnswer, law.CitationsAnswer),
    "compliance calibrate": (law.CalibratedAnswer,),
    "compliance assess": (law.AssessedAnswer,),
    "compliance annex-iv": (law.AnnexIVAnswer,),
}
"""The shapes of an answer, by the words of its command; several where an option asks for another thing."""


def schema_name(command: str) -> str:
    """Return the NAME of the schema of a command's answer, such as `answer-secagg-params`."""
    return f"answer-{command.replace(' ', '-')}"


def answer_schema(command: str) -> dict[str, Any]:
    """Return the schema of the JSON document that `fedaudit COMMAND --json` prints, whatever comes of it."""
    shapes = [described(Published(TypeAdapter(shape), "serialization", "")) for shape in ANSWERS[command]]
    common = described(Published(TypeAdapter(Common), "serialization", ""))
    definitions: dict[str, Any] = {}
    for shape in shapes:
        definitions |= shape.pop("$defs", {})
        shape["additionalProperties"] = True
        shape["description"] = shape["title"]
    common["properties"]["command"] |= {"const": command}
    return {
        "$schema": DIALECT,
        "$id": f"fedaudit.{schema_name(command)}/1",
        "title": f"fedaudit {command} --json",
        "description": f"The one document of `fedaudit {command} --json`, on failure too.",
        "type": "object",
        "properties": common["properties"],
        "required": common["required"],
        "if": {"properties": {"exit_code": {"description": "It did what it was asked.", "enum": [0, 1]}}},
        "then": shapes[0] if len(shapes) == 1 else {"anyOf": shapes},
        "$defs": dict(sorted(definitions.items())),
    }


def system_file_schema() -> dict[str, Any]:
    """Return the schema of system.toml as people write it, read as JSON (dates as strings).

    It is that of the noun, but for two things: keys of the system itself stand in a table of their own, and a file is
    written as its path, where the noun has its digest.
    """
    noun = described(Published(TypeAdapter(System), "validation", ""))
    definitions, properties = noun["$defs"], noun["properties"]
    path = {"type": "string", "minLength": 1, "description": "A path relative to this file, below its folder."}
    definitions["Artifact"] = path
    definitions["Definition"] = path | {"pattern": r"\.py:[A-Za-z_][A-Za-z0-9_]*$", "description": "FILE.py:FUNCTION."}
    own = {name: properties.pop(name) for name in OWN_KEYS}
    del properties["source"]
    digest = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    return {
        "$schema": DIALECT,
        "$id": "fedaudit.system-file/1",
        "title": "fedaudit system-file",
        "description": "system.toml, read as JSON (dates as strings): the system as its owner declares it.",
        "type": "object",
        "properties": {
            "system": {
                "description": "`[system]`: what it is, and who answers for it.",
                "type": "object",
                "properties": own,
                "required": ["name", "version"],
                "additionalProperties": False,
            },
            **properties,
            "digests": {
                "description": "`[digests]`: what the owner says these files are, by path.",
                "type": "object",
                "additionalProperties": digest,
            },
        },
        "required": ["system"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def schema_texts() -> dict[str, str]:
    """Return every schema that is published, by name, as its file holds it."""
    own = {name: schema_text(name) for name in PUBLISHED}
    others = {name: schema_text(name, published) for name, published in DOCUMENTS.items()}
    answers = {schema_name(one): json.dumps(answer_schema(one), indent=2) + "\n" for one in ANSWERS}
    system_file = {"system-file": json.dumps(system_file_schema(), indent=2) + "\n"}
    return {**own, **others, **answers, **system_file}


if __name__ == "__main__":
    texts = schema_texts()
    for stale in FOLDER.glob("*.json"):
        if stale.stem not in texts:
            stale.unlink()
    write_schemas(texts)
    sys.stdout.write(f"wrote {len(texts)} schemas to {FOLDER}\n")
