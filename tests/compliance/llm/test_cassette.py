"""Recordings: written whole, read back, and refused as soon as one letter is another."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import CassetteError
from compliance.llm.cassette import Asked, Cassette, Entry, exchange_key
from compliance.llm.cassette_entry import AlteredEntryError, entry_bytes, read_entry
from reports.merkle import inclusion_proof, verify_inclusion

REQUEST: dict[str, Any] = {
    "body": {"model": "m", "temperature": 0.5, "messages": [{"content": "é"}]},
    "path": "/v1/chat/completions",
    "sample": 1,
}
KEY = hashlib.sha256(rfc8785.dumps([REQUEST["path"], REQUEST["body"], REQUEST["sample"]])).hexdigest()
ENTRY = Entry(REQUEST, 200, '{"choices": "…"}', retries=2)


def recorded(folder: Path, *requests: dict[str, Any]) -> Cassette:
    cassette = Cassette(folder / "tape", "record")
    for request in requests or (REQUEST,):
        cassette.record(exchange_key(request), Entry(request, 200, "x"))
    return cassette


def asked(request: dict[str, Any] | None) -> Asked | None:
    return Asked(request, rfc8785.dumps(request["body"])) if request else None


def refusal(cassette: Cassette, key: str, request: dict[str, Any] | None = None) -> CassetteError:
    with pytest.raises(CassetteError) as refused:
        cassette.find(key, asked(request))
    assert refused.value.exit_code == 3
    return refused.value


def test_the_key_is_of_path_body_and_sample_alone() -> None:
    assert exchange_key(REQUEST) == KEY
    turned = {"sample": 1, "path": REQUEST["path"], "body": dict(reversed(REQUEST["body"].items()))}
    assert exchange_key(turned) == KEY
    for change in ({"sample": 2}, {"path": "/chat/completions"}, {"body": REQUEST["body"] | {"seed": 1}}):
        assert exchange_key(REQUEST | change) != KEY


def test_what_was_recorded_comes_back(tmp_path: Path) -> None:
    Cassette(tmp_path / "tape", "record").record(KEY, ENTRY)
    cassette = Cassette(tmp_path / "tape", "replay")
    for request in (None, REQUEST):
        found = cassette.find(KEY, asked(request))
        assert found is not None
        assert (found.request, found.status, found.body, found.retries) == (REQUEST, 200, ENTRY.body, 2)
    assert cassette.find("0" * 64) is None
    assert cassette.used == (KEY,)
    assert [file.name for file in (tmp_path / "tape").rglob("*") if file.is_file()] == [f"{KEY}.json"]


def test_a_file_is_canonical_and_states_the_digest_of_its_other_members(tmp_path: Path) -> None:
    Cassette(tmp_path, "record").record(KEY, ENTRY)
    data = (tmp_path / KEY[:2] / f"{KEY}.json").read_bytes()
    value = json.loads(data)
    assert rfc8785.dumps(value) == data
    sha256 = value.pop("sha256")
    assert sorted(value) == ["body", "request", "retries", "status"]
    assert hashlib.sha256(rfc8785.dumps(value)).hexdigest() == sha256


def test_a_file_that_somebody_laid_out_anew_is_still_read(tmp_path: Path) -> None:
    cassette = recorded(tmp_path)
    file = cassette.file_of(KEY)
    file.write_text(json.dumps(json.loads(file.read_bytes()), indent=2))
    found = Cassette(cassette.path, "replay").find(KEY, asked(REQUEST))
    assert found is not None
    assert found.body == "x"


@pytest.mark.parametrize(
    "edit",
    [
        lambda value: value | {"body": "y"},
        lambda value: value | {"status": 500},
        lambda value: value | {"retries": 1},
        lambda value: value | {"sha256": "0" * 64},
        lambda value: value | {"sha256": 5},
        lambda value: value | {"more": 1},
        lambda value: value | {"request": value["request"] | {"sample": 2}},
        lambda value: {name: member for name, member in value.items() if name != "status"},
        lambda value: [value],
    ],
)
@pytest.mark.parametrize("write", [rfc8785.dumps, lambda value: json.dumps(value).encode()], ids=["canonical", "plain"])
def test_an_altered_entry_is_refused(tmp_path: Path, edit: Any, write: Any) -> None:
    cassette = recorded(tmp_path)
    file = cassette.file_of(KEY)
    file.write_bytes(write(edit(json.loads(file.read_bytes()))))
    error = refusal(cassette, KEY, REQUEST)
    assert error.code == "cassette.altered"
    assert file.name in error.message
    with pytest.raises(CassetteError, match="altered"):
        cassette.root()


def test_an_entry_under_another_name_is_refused(tmp_path: Path) -> None:
    cassette = recorded(tmp_path)
    other = exchange_key(REQUEST | {"sample": 2})
    cassette.file_of(other).parent.mkdir(exist_ok=True)
    cassette.file_of(KEY).rename(cassette.file_of(other))
    for request in (None, REQUEST | {"sample": 2}):
        assert "another request" in refusal(cassette, other, request).message


@pytest.mark.parametrize(
    "odd", [b"NaN", b"1e999", b"9" * 40, b"[" * 500 + b"]" * 500], ids=["nan", "inf", "long", "deep"]
)
def test_a_forged_digest_over_what_has_no_canonical_form_is_told_as_altered(tmp_path: Path, odd: bytes) -> None:
    cassette = recorded(tmp_path)
    file = cassette.file_of(KEY)
    changed = re.sub(rb',"sha256":"[0-9a-f]{64}"', b"", file.read_bytes()).replace(b'"model":"m"', b'"model":%b' % odd)
    head, tail = changed.split(b',"status"')
    file.write_bytes(b'%b,"sha256":"%b","status"%b' % (head, hashlib.sha256(changed).hexdigest().encode(), tail))
    assert refusal(cassette, KEY).code == "cassette.altered"
    with pytest.raises(CassetteError, match="altered"):
        cassette.root()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFO")
def test_an_entry_that_is_no_file_blocks_nobody(tmp_path: Path) -> None:
    cassette = recorded(tmp_path)
    file = cassette.file_of(KEY)
    file.unlink()
    os.mkfifo(file)
    assert refusal(cassette, KEY, REQUEST).code == "cassette.missing"


@given(st.data())
def test_no_byte_can_be_another(data: st.DataObject) -> None:
    sound, _ = entry_bytes(ENTRY)
    place = data.draw(st.integers(0, len(sound) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(sound)
    changed[place] ^= 1 << bit
    try:
        found = read_entry(bytes(changed), asked(data.draw(st.sampled_from([None, REQUEST]))))
    except AlteredEntryError:
        return
    assert (found.request, found.status, found.body, found.retries) == (REQUEST, 200, ENTRY.body, 2)  # white space, say


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_garbage_is_told_as_altered_and_as_nothing_else(data: bytes) -> None:
    with pytest.raises(AlteredEntryError):
        read_entry(data)


def test_the_root_is_rfc_6962_over_the_keys_in_order(tmp_path: Path) -> None:
    requests = [REQUEST | {"sample": number} for number in range(5)]
    cassette = recorded(tmp_path, *requests)
    keys = sorted(exchange_key(request) for request in requests)
    assert list(cassette.keys()) == keys
    leaves = [rfc8785.dumps([key, json.loads(cassette.file_of(key).read_bytes())["sha256"]]) for key in keys]
    for index, leaf in enumerate(leaves):
        proof = inclusion_proof(leaves, index)
        assert verify_inclusion(leaf, index, 5, proof, bytes.fromhex(cassette.root()))
    assert cassette.root() == recorded(tmp_path / "again", *reversed(requests)).root()
    before = cassette.root()
    (cassette.path / "README").write_text("not an entry")
    assert cassette.root() == before
    cassette.file_of(keys[0]).unlink()
    assert cassette.root() != before


def test_the_root_of_nothing_is_the_hash_of_nothing(tmp_path: Path) -> None:
    assert Cassette(tmp_path / "tape", "auto").root() == hashlib.sha256().hexdigest()


def test_a_folder_that_is_not_there_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match="no such recording") as refusal:
        Cassette(tmp_path / "tape", "replay")
    assert (refusal.value.code, refusal.value.exit_code) == ("cassette.missing", 3)


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "tape").write_text("a file")
    with pytest.raises(CassetteError, match="cannot be written") as refusal:
        Cassette(tmp_path / "tape", "record").record(KEY, ENTRY)
    assert refusal.value.code == "cassette.write"
    (tmp_path / "other" / KEY[:2] / f"{KEY}.json").mkdir(parents=True)
    with pytest.raises(CassetteError, match="is a folder"):
        Cassette(tmp_path / "other", "replay").find(KEY)
