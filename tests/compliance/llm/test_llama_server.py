"""A real language model behind a real server: plumbing alone. What it says is of no account, only how it is read."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from compliance.judge_file import quick_judge
from compliance.llm.client import Reply
from compliance.llm.panel import Panel, open_panel

pytestmark = pytest.mark.llm

SCHEMA = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "maxLength": 600},
        "answer": {"type": "string", "enum": ["supports", "contradicts", "insufficient_evidence"]},
        "score": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
        "quotes": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
    },
    "required": ["reason", "answer", "score", "quotes"],
    "additionalProperties": False,
}
TEXTS = ("Risks are listed and reviewed each month.", "Nobody looks at risks.", "The lift holds eight people.")


def asked(url: str, folder: Path, **more: Any) -> tuple[Panel, list[Reply[int]]]:
    """Ask about three texts."""
    judge = quick_judge(url, "smollm2", max_concurrency=2, max_tokens=160, timeout_s=300.0)

    async def run() -> tuple[Panel, list[Reply[int]]]:
        async with open_panel(judge, folder, consent=(), classification="public", **more) as panel:
            client = panel.members[0].client
            questions = [
                [
                    {"role": "system", "content": "You judge texts."},
                    {"role": "user", "content": f"Are risks managed? {t}"},
                ]
                for t in TEXTS
            ]
            return panel, list(await asyncio.gather(*(client.ask(q, SCHEMA, check=len) for q in questions)))

    return asyncio.run(run())


def test_a_small_model_answers_in_json_or_not_at_all(llama_url: str, tmp_path: Path) -> None:
    panel, replies = asked(llama_url, tmp_path, mode="record", cassette=tmp_path / "tape")
    for reply in replies:
        assert reply.status in ("answered", "invalid_output")
        assert (reply.value is not None) == (reply.status == "answered") == (reply.problem == "")
        assert reply.model == "smollm2"
    assert any(reply.status == "answered" for reply in replies)  # its grammar makes JSON of anything
    assert {reply.rung for reply in replies} == {"json_object_schema"}  # 500 to json_schema, as the ladder expects
    assert panel.usage.requests == sum(reply.requests for reply in replies)
    assert panel.usage.completion_tokens > 0

    again, replayed = asked(llama_url, tmp_path, mode="replay", cassette=tmp_path / "tape")
    assert replayed == replies
    assert (again.usage, again.egress) == (panel.usage, panel.egress)
    assert again.members[0].client.sent.requests == 0


def test_the_other_path_is_found_on_a_real_server(llama_url: str, tmp_path: Path) -> None:
    _, replies = asked(llama_url.removesuffix("/v1"), tmp_path)
    assert {reply.model for reply in replies} == {"smollm2"}
