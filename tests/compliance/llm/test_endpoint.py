"""Keys: where they come from, and that a reply that echoes one is cleaned, however it is spelled."""

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.judge_file import Member, quick_judge
from compliance.llm.egress import Target, read_url
from compliance.llm.endpoint import MissingKey, endpoint_of, key_from, redact

KEY = "sk-canary/0123456789"
LOCAL, REMOTE = Target(read_url("http://127.0.0.1:1")), Target(read_url("https://llm.example.org"))
MEMBER = Member(base_url="http://127.0.0.1:1", model="m", api_key_env="LLM_API_KEY")


def test_the_key_is_read_when_it_is_needed() -> None:
    environment = {"LLM_API_KEY": KEY}
    key = key_from(MEMBER, REMOTE, environment)
    assert key is not None
    environment["LLM_API_KEY"] = "another-key"
    assert key() == "another-key"
    assert key_from(MEMBER.model_copy(update={"api_key_env": None}), REMOTE, environment) is None


def test_a_remote_endpoint_without_its_key_is_not_asked_and_a_local_one_is() -> None:
    assert key_from(MEMBER, LOCAL, {}) is None
    with pytest.raises(MissingKey, match="LLM_API_KEY is not set") as refusal:
        key_from(MEMBER, REMOTE, {"LLM_API_KEY": ""})
    assert (refusal.value.code, refusal.value.exit_code) == ("endpoint.no_key", 2)
    assert isinstance(pickle.loads(pickle.dumps(refusal.value)), MissingKey)


@pytest.mark.parametrize("value", ["sk-canary\n", "sk canary", "sk-canary\r\nX-Evil: 1", "sk-cänary", "\x00canary"])
def test_what_fits_in_no_header_is_refused_and_not_shown(value: str) -> None:
    for target in (LOCAL, REMOTE):
        with pytest.raises(MissingKey) as refusal:
            key_from(MEMBER, target, {"LLM_API_KEY": value})
        assert "nary" not in f"{refusal.value}{refusal.value.args}"


def test_a_key_is_in_no_representation_of_an_endpoint() -> None:
    judge = quick_judge("http://127.0.0.1:1", "m", api_key_env="LLM_API_KEY")
    found = endpoint_of(judge.members[0], judge, LOCAL, lambda: KEY)
    assert found.headers() == {"Authorization": f"Bearer {KEY}"}
    assert KEY not in repr(found)
    assert "key=" not in repr(found)


@given(st.recursive(st.sampled_from([KEY, f"a{KEY}b", "x", 1, None]), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from([KEY, "k"]), inner), max_leaves=6), st.booleans(), st.booleans())  # fmt: skip
def test_no_reader_of_a_cleaned_reply_finds_the_key(value: object, escaped: bool, twice: bool) -> None:
    text = json.dumps(json.dumps(value) if twice else value)
    if escaped:  # as a server may write it: `\\u0073k…` and `\\/` are the same letters to every reader of JSON
        text = text.replace("sk-", "\\u0073k-").replace("/", "\\/")
    clean = redact(text, KEY)
    assert KEY not in clean
    read = json.loads(clean)
    assert KEY not in json.dumps(read, ensure_ascii=False)
    assert KEY not in (str(json.loads(read)) if twice else str(read))


def test_what_holds_no_key_stays_byte_for_byte() -> None:
    for text in ('{"a" : "\\u00e9\\/"}', "no json \\", '["none"]', '{"a": NaN}', "\\" * 100_000, "[" * 5000 + "\\"):
        assert redact(text, KEY) == text
        assert redact(text, "none") == text  # a word of four letters is no secret
