"""One endpoint: where it is, which model it is asked for, how, and with whose key.

A key is asked of a callable when a request is built, goes into one header, and is held nowhere else.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from compliance.errors import EndpointError
from compliance.judge_file import JudgeFile, Member
from compliance.llm.egress import Target

__all__ = ["Endpoint", "MissingKey", "endpoint_of", "key_from", "redact"]

LEAST_SECRET = 8
"""Characters; a shorter key, such as a local server's "none", is no secret and is not looked for in replies."""
MOST_ESCAPES = 32
"""Backslashes before one letter: JSON within JSON, five deep."""
REDACTED = "[redacted]"
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")


class MissingKey(EndpointError):  # noqa: N818 - it tells what is missing
    """The variable that should hold a key is unset, or holds what no header can carry."""

    exit_code = 2


@dataclass(frozen=True)
class Endpoint:
    """What a client needs to ask one model."""

    target: Target
    model: str
    name: str = "reader"
    """Of the member of the panel."""
    key: Callable[[], str] | None = field(default=None, repr=False)
    """Gives the key; None: none is sent."""
    api_key_env: str | None = None
    """The variable that the key came from, for messages."""
    max_concurrency: int = 4
    timeout_s: float = 60.0
    deadline_s: float = 600.0
    max_retries: int = 4
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 7
    max_tokens: int = 700
    context_tokens: int = 8000

    def headers(self) -> dict[str, str]:
        """Return what is sent beside the body; built anew for each request, since it holds the key."""
        return {} if self.key is None else {"Authorization": f"Bearer {self.key()}"}


def endpoint_of(member: Member, judge: JudgeFile, target: Target, key: Callable[[], str] | None = None) -> Endpoint:
    """Return a member of a judge file as an endpoint."""
    return Endpoint(
        target=target,
        model=member.model,
        name=member.name,
        key=key,
        api_key_env=member.api_key_env,
        max_concurrency=member.max_concurrency,
        timeout_s=member.timeout_s,
        deadline_s=member.deadline_s,
        max_retries=member.max_retries,
        temperature=judge.temperature,
        top_p=judge.top_p,
        seed=judge.seed,
        max_tokens=judge.max_tokens,
        context_tokens=judge.context_tokens,
    )


def key_from(member: Member, target: Target, environment: Mapping[str, str]) -> Callable[[], str] | None:
    """Return what gives the key of a member; None where it has none.

    Raises:
        MissingKey: `endpoint.no_key`: the variable of a remote endpoint is unset, or its value fits in no header. The
            value is not shown. A local endpoint goes on without.
    """
    name = member.api_key_env
    if name is None:
        return None
    value = environment.get(name, "")
    if not value and target.written.local:
        return None
    if not value:
        raise MissingKey(
            "endpoint.no_key",
            f"members: {member.name!r:.60}: the variable {name} is not set",
            f"Set {name}, or take api_key_env out of the judge file.",
        )
    if not _HEADER_VALUE.fullmatch(value):
        raise MissingKey(
            "endpoint.no_key",
            f"members: {member.name!r:.60}: the variable {name} holds what no header can carry",
            "Set it to the key alone: printable ASCII, no spaces, no line break.",
        )
    return lambda: environment[name]


def redact(text: str, key: str) -> str:
    """Return a reply without the key, should it echo one; also where the escapes of JSON hide it, however often nested.

    A key of fewer than eight characters is left alone: such words stand in any text.
    """
    if len(key) < LEAST_SECRET:
        return text
    # each letter as it is, or behind backslashes, or as \u0041; the bound keeps the search linear
    letters = (rf"\\{{0,{MOST_ESCAPES}}}(?:{re.escape(one)}|(?<=\\)u(?i:{ord(one):04x}))" for one in key)
    return re.sub("".join(letters), REDACTED, text)
