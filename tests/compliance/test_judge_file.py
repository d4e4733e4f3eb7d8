"""`judge.toml`: what it says, what it refuses, and that no secret in it is ever shown."""

from pathlib import Path

import pytest

from compliance.errors import JudgeFileError
from compliance.judge_file import JudgeFile, load_judge_file, quick_judge

SOUND = """\
version = 1
samples = 3
temperature = 0.0
seed = 7
max_tokens = 700
context_tokens = 8000
max_classification = "internal"
allow_hosts = ["llm.example.org", "127.0.0.1:8443", "[2606:2800:21f::1]:443"]
cassette = "cassettes/judge"
cassette_mode = "record"
calibration = "calibration.json"
[budget]
requests = 2000
prompt_tokens = 5_000_000
completion_tokens = 500_000
[[members]]
name = "local"
base_url = "http://127.0.0.1:8080/v1"
model = "my-model"
api_key_env = "LLM_API_KEY"
max_concurrency = 4
timeout_s = 60
deadline_s = 600
max_retries = 4
"""
LEAST = '[[members]]\nbase_url = "http://127.0.0.1/v1"\nmodel = "m"\n'


def load(folder: Path, text: str) -> JudgeFile:
    path = folder / "judge.toml"
    path.write_text(text)
    return load_judge_file(path)


def refused(folder: Path, text: str) -> JudgeFileError:
    with pytest.raises(JudgeFileError) as refusal:
        load(folder, text)
    assert refusal.value.exit_code == 2
    assert "judge.toml" in refusal.value.message
    assert refusal.value.hint
    return refusal.value


def test_the_file_of_the_format_description_is_read(tmp_path: Path) -> None:
    judge = load(tmp_path, SOUND)
    [member] = judge.members
    assert (judge.samples, judge.cassette_mode, judge.budget.prompt_tokens) == (3, "record", 5_000_000)
    assert (member.name, member.api_key_env, member.timeout_s) == ("local", "LLM_API_KEY", 60)


def test_an_address_and_a_model_are_enough(tmp_path: Path) -> None:
    judge = load(tmp_path, LEAST)
    assert (judge.cassette_mode, judge.max_classification, judge.samples) == ("off", "internal", None)
    assert (judge.temperature, judge.seed, judge.max_tokens, judge.context_tokens) == (0, 7, 700, 8000)
    [member] = judge.members
    assert (member.max_concurrency, member.timeout_s, member.deadline_s, member.max_retries) == (4, 60, 600, 4)


@pytest.mark.parametrize("name", ["LLM_API_KEY", "A_API_KEY_2", "OPENAI_API_KEY", "X9_API_KEY_10"])
def test_a_variable_that_ends_in_api_key_is_named(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, f'{LEAST}api_key_env = "{name}"').members[0].api_key_env == name


@pytest.mark.parametrize(
    "value",
    ['"sk-canary-0123456789"', '"sk_canary_API_KEY"', '"_API_KEY canary"', '"CANARY_API_KEY\\n"', '["canary"]', "77777",
     '"HOME_canary"', '"CANARY"', '"9_API_KEY_canary"', '""', '{canary = "sk"}', "true"],
)  # fmt: skip
def test_a_key_in_the_file_is_refused_and_not_shown(tmp_path: Path, value: str) -> None:
    error = refused(tmp_path, f"{LEAST}api_key_env = {value}")
    assert error.code == "judge.api_key_env"
    told = f"{error}{error.args}".lower().replace("api_key_env", "").replace("llm_api_key", "")
    assert "canary" not in told
    assert "77777" not in told


def test_a_key_under_another_name_is_refused_and_not_shown(tmp_path: Path) -> None:
    error = refused(tmp_path, f'{LEAST}api_key = "sk-canary"')
    assert error.code == "judge.unknown_key"
    assert "canary" not in f"{error}{error.args}"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "missing_key"),
        ("members = []", "value"),
        (LEAST.replace('model = "m"', ""), "missing_key"),
        (LEAST.replace('model = "m"', 'model = ""'), "value"),
        ("version = 2\n" + LEAST, "value"),
        ("versoin = 1\n" + LEAST, "unknown_key"),
        ("samples = 0\n" + LEAST, "value"),
        ("samples = 2.0\n" + LEAST, "value"),
        ('samples = "3"\n' + LEAST, "value"),
        ("temperature = 2.5\n" + LEAST, "value"),
        ("temperature = nan\n" + LEAST, "value"),
        ("top_p = 0.0\n" + LEAST, "value"),
        ("seed = -1\n" + LEAST, "value"),
        ("max_tokens = 0\n" + LEAST, "value"),
        ("context_tokens = 2000\n" + LEAST, "context_tokens"),
        ('max_classification = "restricted"\n' + LEAST, "value"),
        ('allow_hosts = ["*.example.org"]\n' + LEAST, "host"),
        ('allow_hosts = ["https://llm.example.org"]\n' + LEAST, "host"),
        ('allow_hosts = "llm.example.org"\n' + LEAST, "value"),
        ('cassette = "../out"\n' + LEAST, "path"),
        ('cassette = "/etc"\n' + LEAST, "path"),
        ('cassette = "a\\\\b"\n' + LEAST, "path"),
        ('calibration = "C:/x"\n' + LEAST, "path"),
        ('cassette_mode = "replay"\n' + LEAST, "cassette"),
        ('cassette_mode = "sometimes"\n' + LEAST, "value"),
        ("[budget]\nrequests = 0\n" + LEAST, "value"),
        ("[budget]\nmoney = 1\n" + LEAST, "unknown_key"),
        (LEAST + "max_concurrency = 0", "value"),
        (LEAST + "max_concurrency = 257", "value"),
        (LEAST + "timeout_s = 0", "value"),
        (LEAST + "timeout_s = inf", "value"),
        (LEAST + "deadline_s = -1.0", "value"),
        (LEAST + "max_retries = 11", "value"),
        (LEAST + "base_url = 5", "syntax"),
        (LEAST.replace('"http://127.0.0.1/v1"', "5"), "base_url"),
        (LEAST + LEAST, "member_twice"),
        ("a = [", "syntax"),
    ],
)
def test_a_slip_is_met_with_the_key_and_the_mend(tmp_path: Path, text: str, code: str) -> None:
    assert refused(tmp_path, text).code == f"judge.{code}"


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(JudgeFileError, match="no such file"):
        load_judge_file(tmp_path / "judge.toml")


def test_the_command_line_makes_the_same_thing() -> None:
    judge = quick_judge(
        "https://LLM.example.org:8443/v1", "m", max_requests=5, timeout_s=3.0, samples=None, context_tokens=9000,
        api_key_env="LLM_API_KEY",
    )  # fmt: skip
    assert judge.allow_hosts == ("llm.example.org:8443",)  # what was typed is allowed; consent is another flag
    assert (judge.budget.requests, judge.members[0].timeout_s, judge.context_tokens) == (5, 3.0, 9000)
    assert quick_judge("http://127.0.0.1", "m").members == quick_judge("http://127.0.0.1", "m").members
    for flags in ({"timeout_s": 0.0}, {"api_key_env": "sk-canary"}, {"colour": "red"}):
        with pytest.raises(JudgeFileError, match="command line") as refusal:
            quick_judge("http://127.0.0.1", "m", **flags)
        assert "canary" not in str(refusal.value)
