"""`fedaudit secagg params` and `assess`: flags, keys, exit codes; the published table through the command line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from audit.cli.answer import Answer
from audit.cli.main import cli, run
from tests.audit.cli.described import described

PUBLISHED = json.loads((Path(__file__).parents[2] / "vectors/secagg/parameters.json").read_text())
HOUSE = {"fedaudit", "command", "exit_code", "code", "message", "hint", "schema"}
ASSESSMENT = {
    "clients",
    "degree",
    "threshold",
    "complete",
    "corrupt",
    "dropped",
    "sigma_bits",
    "sigma_certain",
    "sigma_bits_one_more",
    "eta_bits",
    "eta_certain",
    "rule",
    "server_trust",
    "feasible",
}
SYSTEM = """
[system]
name = "ward"
version = "1"
[federation]
server_trust = "honest-but-curious"
[federation.secure_aggregation]
protocol = "flower-secaggplus"
clients = 5
degree = 2
threshold = 2
corrupt_fraction = 0.2
dropout_fraction = 0.2
"""


def flags(row: dict[str, Any]) -> list[str]:
    names = ("clients", "corrupt_fraction", "dropout_fraction", "server_trust")
    return [part for name in names for part in (f"--{name.replace('_', '-')}", str(row[name]))]


def answered(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON document of one `secagg` command line."""
    code = run(["secagg", *arguments, "--json"])
    document = json.loads(capsys.readouterr().out)
    described(document)
    assert document["exit_code"] == code
    return code, document


def test_every_published_choice_is_given_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for row in PUBLISHED["vectors"]:
        code, document = answered("params", *flags(row), "--rule", "published", capsys=capsys)
        assert (code, document["degree"], document["threshold"]) == (0, row["degree"], row["threshold"]), row
        assert document["feasible"] is True


def test_the_command_itself_answers_without_the_exit_code_of_main() -> None:
    result = CliRunner().invoke(cli, ["secagg", "params", "--clients", "100"], standalone_mode=False)
    assert result.exception is None
    assert isinstance(result.return_value, Answer)
    assert (result.return_value.fields["degree"], result.return_value.fields["threshold"]) == (12, 7)


@pytest.mark.parametrize("row", [PUBLISHED["vectors"][0], PUBLISHED["vectors"][-1]], ids=str)
def test_a_real_process_gives_the_published_choice(row: dict[str, Any]) -> None:
    line = ["secagg", "params", *flags(row), "--rule", "published", "--json"]
    program = "from audit.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program, *line], capture_output=True, text=True, check=False)
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (document["degree"], document["threshold"]) == (row["degree"], row["threshold"])


@pytest.mark.parametrize("row", PUBLISHED["infeasible"], ids=str)
def test_impossible_rows_end_in_3_and_invalid_ones_in_2(
    row: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code, document = answered("params", *flags(row), "--rule", "published", capsys=capsys)
    if row["clients"] == 0 or row["dropout_fraction"] == 1:
        assert (code, document["code"]) == (2, "usage")
        assert "allowed is" in document["message"]
    else:
        assert (code, document["feasible"]) == (3, False)
        assert document["reason"]
        assert document["reason"] == document["message"]
        nearest = document["feasible_dropout_fraction"]
        assert str(nearest) in document["hint"]
        mended, _ = answered(
            "params", *flags({**row, "dropout_fraction": nearest}), "--rule", "published", capsys=capsys
        )
        assert mended == 0


def test_the_keys_are_the_same_whether_there_is_a_choice_or_not(capsys: pytest.CaptureFixture[str]) -> None:
    _, found = answered("params", "--clients", "100", capsys=capsys)
    _, none = answered("params", "--clients", "2", "--dropout-fraction", "0.5", capsys=capsys)
    _, assessed = answered("assess", "--clients", "100", "--degree", "12", "--threshold", "7", capsys=capsys)
    assert found.keys() == none.keys() == assessed.keys() - {"sufficient"}
    assert found.keys() >= HOUSE | ASSESSMENT
    assert (found["schema"], assessed["schema"]) == ("fedaudit.secagg.params/1", "fedaudit.secagg.assess/1")
    assert (none["feasible"], none["degree"], none["corrupt"], none["dropped"]) == (False, None, 1, 1)


def test_assess_is_0_where_sufficient_and_1_where_not(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = answered("assess", "--clients", "100", "--degree", "12", "--threshold", "7", capsys=capsys)
    assert (code, document["sufficient"], document["sigma_certain"], document["sigma_bits"]) == (0, True, True, None)
    code, document = answered("assess", "--clients", "100", "--degree", "12", "--threshold", "2", capsys=capsys)
    assert (code, document["sufficient"], document["sigma_certain"]) == (1, False, False)
    asked = ["assess", "--clients", "100", "--degree", "12", "--threshold", "6", "--min-corrupt", "6"]
    code, document = answered(*asked, capsys=capsys)
    assert (code, round(document["sigma_bits"], 1)) == (1, 13.7)
    code, _ = answered(*asked, "--sigma", "13", capsys=capsys)
    assert code == 0


def test_a_system_file_is_assessed_as_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "system.toml"
    file.write_text(SYSTEM)
    code, document = answered("assess", "--system", str(file), capsys=capsys)
    assert (code, document["sufficient"], document["clients"]) == (1, False, 5)
    assert document["sigma_bits"] == pytest.approx(1.0)
    assert document["eta_bits"] == 0.0
    file.write_text(SYSTEM.replace("honest-but-curious", "malicious"))
    assert answered("assess", "--system", str(file), capsys=capsys)[1]["server_trust"] == "malicious"


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (("degree = 2\n", ""), "federation.secure_aggregation.degree: is missing"),
        (("degree = 2\n", "degree = 3\n"), "federation.secure_aggregation.degree: is 3; allowed is"),
        (("threshold = 2\n", "threshold = 9\n"), "federation.secure_aggregation.threshold: is 9; allowed is"),
    ],
)
def test_a_fault_in_a_system_file_names_file_and_key(
    edit: tuple[str, str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "system.toml"
    file.write_text(SYSTEM.replace(*edit))
    code, document = answered("assess", "--system", str(file), capsys=capsys)
    assert code == 2
    assert document["message"].startswith(f"system.toml: {told}")
    assert document["hint"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["params", "--clients", "1"], "--clients is 1; allowed is a whole number from 2"),
        (["params", "--clients", "9", "--corrupt-fraction", "1"], "--corrupt-fraction is 1.0; allowed is"),
        (["params", "--clients", "9", "--dropout-fraction", "nan"], "--dropout-fraction is nan; allowed is"),
        (["params", "--clients", "9", "--sigma", "0"], "--sigma is 0.0; allowed is"),
        (["params", "--clients", "9", "--eta", "inf"], "--eta is inf; allowed is"),
        (["params", "--clients", "9", "--min-corrupt", "9"], "--min-corrupt is 9; allowed is"),
        (["params", "--clients", "9", "--server-trust", "none"], "--server-trust"),
        (["assess", "--clients", "9", "--degree", "3", "--threshold", "2"], "--degree is 3; allowed is"),
        (["assess", "--clients", "9", "--degree", "9", "--threshold", "2"], "--degree is 9; allowed is"),
        (["assess", "--clients", "9", "--degree", "4", "--threshold", "5"], "--threshold is 5; allowed is"),
        (["assess", "--clients", "9", "--degree", "4", "--threshold", "0"], "--threshold is 0; allowed is"),
        (["assess", "--clients", "9"], "--degree is missing"),
        (["assess", "--system", "x.toml", "--clients", "9"], "--clients and --system exclude each other"),
        (["assess", "--system", "no-such.toml"], "no-such.toml"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["secagg", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err.splitlines()[0]


def test_people_read_levels_and_what_to_take_instead(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["secagg", "assess", "--clients", "100", "--degree", "12", "--threshold", "2"]) == 1
    text = click.unstyle(capsys.readouterr().out)
    assert "NOT sufficient" in text
    assert "guarded rule: degree 12, threshold 7" in text
    trap = ["params", "--clients", "10", "--corrupt-fraction", "0", "--dropout-fraction", "0.33", "--rule", "published"]
    assert run(["secagg", *trap]) == 0
    text = click.unstyle(capsys.readouterr().out)
    assert "correctness  1.1 bits" in text
    assert "take the guarded rule" in text
