"""The table of commands: each takes the flags, and answers under the keys, that are promised for this major version."""

import json
from typing import Any

import click
import pytest

from audit.cli.main import cli
from audit.schemas import schema_name
from reports.schema import FOLDER

COMMON = "--json --debug --no-color"
RUN = """
-o --only --skip --checks --effort --seed --nonce --executor --device --engine --resume --keep-run --no-render
--salted-evidence --trust --role --trust-code --policy --previous --auditor --organisation --independence --now --key
--judge --allow-remote-llm --selftest
"""
GATE = """
--policy --trust --subject --unsigned --now --baseline --waivers --today --sarif --source --junit --summary --svr --key
--passphrase-file --lint
"""
TABLE = {
    "run": (RUN, "bundle report_sha256 signed keyid counts findings evidence"),
    "keygen": (
        "-o --algorithm --passphrase-file --no-passphrase",
        "private_key public_key keyid algorithm encrypted",
    ),
    "sign": ("--key --role --passphrase-file --timestamp-query --timestamp", "report_sha256 keyid signatures"),
    "verify": (
        "--trust --subject --now --policy --renderings --all --signature-only",
        "authentic report signers subjects evidence trust_sha256 steps faults warnings",
    ),
    "gate": (GATE, "result authentic policy report counts judgements waivers"),
    "render": ("--format -o --include --policy --today --source", "output bytes"),
    "show": ("--proof --timings", "report counts findings"),
    "compare": ("", "same_system added removed changed unchanged provenance"),
    "init": ("--ci --schemas", "written"),
    "checks": ("--system", "checks"),
    "selftest": (
        "--only --effort --seed --seeds --executor --list --export --cases -o --resume --now",
        "seed effort flaws summary",
    ),
}
NESTED = {
    "selftest": {"summary": "flaws detected false_alarms undecided errors seconds"},
    "run": {"evidence": "files bytes"},
    "verify": {"report": "sha256 system version finished predicate_type", "evidence": "files bytes withheld"},
    "gate": {"policy": "name sha256", "report": "sha256 system version finished predicate_type"},
}
ROWS = {
    "run": {"findings": "check key status severity strength summary reason fingerprint"},
    "verify": {
        "signers": "keyid name role algorithm counted reason",
        "subjects": "path sha256 matched",
        "steps": "step ok",
    },
    "gate": {
        "judgements": "rule check key fingerprint measurement outcome code value low high n op limit message waiver",
        "waivers": "id state",
    },
    "compare": {"changed": "fingerprint check key old new measurements"},
    "selftest": {"flaws": "id title caught_by flaw twin detected false_alarm undecided seconds"},
    "checks": {"checks": "id title strength needs controls runs missing"},
}


def flags(command: str) -> set[str]:
    assert isinstance(cli, click.Group)
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    return {flag for option in found.params for flag in option.opts}


def answer(command: str) -> dict[str, Any]:
    """The schema of what the command answers where it did what it was asked, references followed."""
    schema = json.loads((FOLDER / f"{schema_name(command)}.json").read_text(encoding="utf-8"))
    definitions = schema["$defs"]

    def resolved(node: Any) -> Any:
        if isinstance(node, list):
            return [resolved(part) for part in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolved(definitions[node["$ref"].rpartition("/")[2]])
        if "anyOf" in node and {"type": "null"} in node["anyOf"]:
            [one] = [part for part in node["anyOf"] if part != {"type": "null"}]
            return resolved(one)
        return {key: resolved(part) for key, part in node.items()}

    then = schema["then"]
    return dict(resolved(then["anyOf"][0] if "anyOf" in then else then))


@pytest.mark.parametrize("command", TABLE)
def test_a_command_takes_the_flags_of_the_table(command: str) -> None:
    promised, _ = TABLE[command]
    assert set(promised.split()) | set(COMMON.split()) <= flags(command)


@pytest.mark.parametrize("command", TABLE)
def test_keys_never_disappear(command: str) -> None:
    found = answer(command)
    assert set(TABLE[command][1].split()) <= set(found["required"])
    for key, inside in NESTED.get(command, {}).items():
        assert set(inside.split()) <= set(found["properties"][key]["required"])
    for key, inside in ROWS.get(command, {}).items():
        assert set(inside.split()) <= set(found["properties"][key]["items"]["required"])
