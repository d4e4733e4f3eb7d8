"""`judge.toml`: which language models read the documents, how they are asked, and what may leave for whom.

    judge.toml ──load_judge_file──▶ JudgeFile (members, budget, cassette) ──llm.panel.open_panel──▶ Panel

The file names the variable that holds a key, never a key: whatever stands there and is no such name is refused without
being shown. Paths are relative to the file and stay below its folder.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from compliance.errors import JudgeFileError
from reports.nouns import Count, FiniteNumber, Noun, Text, Word
from reports.tomlfile import parse_noun, read_toml

__all__ = [
    "BudgetLimits",
    "CassetteMode",
    "Classification",
    "JudgeFile",
    "Member",
    "load_judge_file",
    "quick_judge",
]

CassetteMode = Literal["off", "auto", "record", "replay"]
"""Whether answers are recorded, replayed, both, or neither."""
Classification = Literal["public", "internal", "confidential"]
"""How confidential a document is; `restricted` is a word of evidence."""
PROMPT_ALLOWANCE = 1500
"""Tokens kept for the duty and the rules beside a part of a document (the parts of a document: `compliance.judge`)."""
LEAST_PART = 200
"""Tokens that must be left for the part itself."""
_KEY_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*_API_KEY(_[0-9]+)?")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[0-9]{1,5})?")


def _key_variable(value: object) -> object:
    if value is None or (isinstance(value, str) and len(value) <= 200 and _KEY_VARIABLE.fullmatch(value)):
        return value
    mend = "Name the environment variable that holds the key, such as LLM_API_KEY; a key itself never stands in a file."
    raise PydanticCustomError("api_key_env", "is not the name of a variable that ends in _API_KEY", {"mend": mend})


def _address(value: object) -> object:
    if isinstance(value, str) and 0 < len(value) <= 2000:
        return value
    mend = 'Write base_url = "http://127.0.0.1:8080/v1".'  # not shown: an address may hold a password
    raise PydanticCustomError("base_url", "is no address of at most 2,000 characters", {"mend": mend})


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        mend = 'Write a host, or host:port, in lower case and without pattern, such as "llm.example.org".'
        raise PydanticCustomError("host", "is no host", {"mend": mend})
    return value


def _below(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "\\" in value or re.match(r"[A-Za-z]:", value):
        mend = "Write a path below the folder of the file, with forward slashes."
        raise PydanticCustomError("path", "leads out of the folder of the file", {"mend": mend})
    return value


KeyVariable = Annotated[str, BeforeValidator(_key_variable)]
"""The name of an environment variable, `^[A-Z][A-Z0-9_]*_API_KEY(_[0-9]+)?$`."""
Address = Annotated[Text, BeforeValidator(_address)]
"""As written; what it leads to is judged by `compliance.llm.egress`."""
Host = Annotated[str, StringConstraints(strict=True, max_length=260), AfterValidator(_host)]
"""`host` or `host:port`, compared letter by letter."""
RelativePath = Annotated[Word, AfterValidator(_below)]
"""Below the folder of the file."""
Seconds = Annotated[FiniteNumber, Field(gt=0, le=86_400)]
"""More than none, at most a day."""
AtLeastOne = Annotated[Count, Field(ge=1)]


class Member(Noun):
    """One `[[members]]`: a model behind an OpenAI-compatible endpoint."""

    name: Word = "reader"
    """Unique in the file."""
    base_url: Address
    """With or without `/v1`."""
    model: Word
    """The name that the endpoint knows the model by."""
    api_key_env: KeyVariable | None = None
    """The environment variable that holds the key; None: no key is sent."""
    max_concurrency: Annotated[AtLeastOne, Field(le=256)] = 4
    """Requests in flight at once."""
    timeout_s: Seconds = 60.0
    """Seconds that the server may be silent."""
    deadline_s: Seconds = 600.0
    """Seconds for one request over everything: connection, reply, retries and their waits."""
    max_retries: Annotated[Count, Field(le=10)] = 4
    """Further attempts after one that may succeed later."""


class BudgetLimits(Noun):
    """`[budget]`: what all members together may spend; None is no limit."""

    requests: AtLeastOne | None = None
    """Retries included."""
    prompt_tokens: AtLeastOne | None = None
    """As the endpoints count them."""
    completion_tokens: AtLeastOne | None = None
    """As the endpoints count them."""


class JudgeFile(Noun):
    """A whole `judge.toml`."""

    version: Literal[1] = 1
    """Of the format."""
    samples: Annotated[AtLeastOne, Field(le=99)] | None = None
    """Answers asked for a duty; None: by effort."""
    temperature: Annotated[FiniteNumber, Field(ge=0, le=2)] = 0.0
    """Of sampling."""
    top_p: Annotated[FiniteNumber, Field(gt=0, le=1)] = 1.0
    """Of sampling."""
    seed: Count = 7
    """Of sampling; sample i is asked with seed + i."""
    max_tokens: AtLeastOne = 700
    """Of one answer."""
    context_tokens: AtLeastOne = 8000
    """What the model reads at once."""
    max_classification: Classification = "internal"
    """The most confidential document that may leave for a remote host."""
    allow_hosts: tuple[Host, ...] = ()
    """Remote hosts that may be asked, once the command line consents too."""
    cassette: RelativePath | None = None
    """Folder of recorded answers."""
    cassette_mode: CassetteMode = "off"
    """What is done with it."""
    calibration: RelativePath | None = None
    """The calibration of this reader."""
    budget: BudgetLimits = BudgetLimits()
    """What may be spent."""
    members: Annotated[tuple[Member, ...], Field(min_length=1, max_length=16)]
    """The models; two or more are a panel."""

    @model_validator(mode="after")
    def _holds_together(self) -> "JudgeFile":
        names = [member.name for member in self.members]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise PydanticCustomError(
                "member_twice", f"two members are named {twice!r:.60}", {"mend": "Give each member a name of its own."}
            )
        if self.cassette_mode != "off" and self.cassette is None:
            mend = 'Name its folder: cassette = "cassettes/judge".'
            raise PydanticCustomError(
                "cassette", f"cassette_mode is {self.cassette_mode!r} without cassette", {"mend": mend}
            )
        least = self.max_tokens + PROMPT_ALLOWANCE + LEAST_PART
        if self.context_tokens < least:
            mend = f"With max_tokens = {self.max_tokens} write {least} or more."
            raise PydanticCustomError("context_tokens", "context_tokens leaves no room for a document", {"mend": mend})
        return self


def load_judge_file(path: Path) -> JudgeFile:
    """Return a judge file.

    Raises:
        JudgeFileError: `judge.WORD`: it is missing, no TOML, or a key is unknown, missing or out of bounds; a value
            that may be a secret is not shown.
    """
    return parse_noun(JudgeFile, read_toml(path, JudgeFileError, "judge"), path, JudgeFileError, "judge")


def quick_judge(base_url: str, model: str, *, max_requests: int | None = None, **flags: object) -> JudgeFile:
    """Return a judge of one member, as `--base-url` and the flags beside it say.

    Args:
        base_url: Of the endpoint. Its host is allowed, as it was typed; a remote one still needs consent.
        model: The name that the endpoint knows the model by.
        max_requests: Budget, in requests.
        flags: Keys of a judge file or of a member; None is left at its default.

    Raises:
        JudgeFileError: `judge.WORD`, as for a file.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    member = {name: given.pop(name) for name in Member.model_fields if name in given}
    tables: dict[str, object] = {**given, "members": [{**member, "base_url": base_url, "model": model}]}
    if max_requests is not None:
        tables["budget"] = {"requests": max_requests}
    if host := re.fullmatch(r"https?://([^/?#@]+)(/[^?#]*)?", base_url, re.IGNORECASE):
        tables.setdefault("allow_hosts", [name for name in [host[1].lower()] if _HOST.fullmatch(name)])
    return parse_noun(JudgeFile, tables, Path("command line"), JudgeFileError, "judge")
