"""Judge files: only JudgeFileError and EgressRefused; what loads is bounded, and leads to where it may."""

import tempfile
from pathlib import Path

from mutation import fuzz, mutate_bytes, mutate_lines, refusal

from compliance.errors import EgressRefused, JudgeFileError
from compliance.judge_file import load_judge_file
from compliance.llm.egress import check_egress

JUDGE = b"""version = 1
samples = 3
temperature = 0.0
top_p = 1.0
seed = 7
max_tokens = 700
context_tokens = 8000
max_classification = "internal"
allow_hosts = ["llm.example.org", "[2606:2800:21f::1]:8443"]
cassette = "cassettes/judge"
cassette_mode = "record"
calibration = "calibration.json"
[budget]
requests = 2000
prompt_tokens = 5000000
completion_tokens = 500000
[[members]]
name = "local"
base_url = "http://127.0.0.1:8080/v1"
model = "my-model"
api_key_env = "LLM_API_KEY"
max_concurrency = 4
timeout_s = 60
deadline_s = 600
max_retries = 4
[[members]]
name = "remote"
base_url = "https://llm.example.org/v1"
model = "other"
"""


def step(data: bytes, path: Path) -> str:
    """Load a judge file, and look where it leads if it loads."""
    path.write_bytes(data)
    try:
        judge = load_judge_file(path)
    except JudgeFileError as error:
        return refusal(error, prefix="judge.")
    assert judge.context_tokens > judge.max_tokens + 1500
    assert len({member.name for member in judge.members}) == len(judge.members)
    for member in judge.members:
        assert 1 <= member.max_concurrency <= 256
        assert member.api_key_env is None or "_API_KEY" in member.api_key_env
        try:
            target = check_egress(
                member.base_url,
                allowed=judge.allow_hosts,
                consent=["llm.example.org"],
                classification="internal",
                maximum=judge.max_classification,
                resolve=lambda host, _port: ["127.0.0.1" if host == "localhost" else "93.184.215.14"],
            )
        except EgressRefused as error:
            return refusal(error, prefix="egress.")
        assert target.written.local or target.written.host in ("llm.example.org", "2606:2800:21f::1")
    return "accepted"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "judge.toml"
        fuzz("judge file", [JUDGE], lambda data: step(data, place), [mutate_lines, mutate_lines, mutate_bytes])
