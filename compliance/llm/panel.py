"""From a judge file to models that can be asked: the guard first, then keys, then nothing until a question comes."""

import os
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import httpx

from compliance.errors import JudgeFileError
from compliance.judge_file import CassetteMode, JudgeFile
from compliance.llm.budget import Budget, Usage
from compliance.llm.cassette import Cassette
from compliance.llm.client import Egress, LLMClient
from compliance.llm.egress import Resolve, Target, check_egress, read_url, refuse_cloud_model
from compliance.llm.endpoint import endpoint_of, key_from
from compliance.llm.sending import Clock

__all__ = ["MemberSettings", "Panel", "PanelMember", "open_panel"]


@dataclass(frozen=True)
class MemberSettings:
    """What an answer depends on besides the question: the part of a calibration's fingerprint known beforehand."""

    model: str
    host: str
    """`host:port`."""
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    context_tokens: int


@dataclass(frozen=True)
class PanelMember:
    """One model of a panel."""

    name: str
    client: LLMClient
    settings: MemberSettings


@dataclass(frozen=True)
class Panel:
    """Models that can be asked."""

    members: tuple[PanelMember, ...]
    cassette: Cassette | None = None
    """Shared by all members; None where nothing is recorded or replayed."""

    @property
    def local(self) -> bool:
        """Whether every endpoint is on this machine; what it passes on cannot be seen from here."""
        return all(member.client.endpoint.target.written.local for member in self.members)

    @property
    def dropped(self) -> tuple[str, ...]:
        """Parameters that some endpoint does not know, such as `seed`; it was asked without them."""
        return tuple(sorted({name for member in self.members for name in member.client.dropped}))

    @property
    def usage(self) -> Usage:
        """What the answers of all members cost."""
        return reduce(add, (member.client.usage for member in self.members), Usage())

    @property
    def egress(self) -> tuple[Egress, ...]:
        """What went where, by host; hosts that got nothing are left out."""
        found: dict[str, Egress] = {}
        for one in (member.client.egress for member in self.members):
            before = found.get(one.host, Egress(one.host))
            found[one.host] = Egress(one.host, before.requests + one.requests, before.bytes_sent + one.bytes_sent)
        return tuple(found[host] for host in sorted(found) if found[host].requests)


@asynccontextmanager
async def open_panel(
    judge_file: JudgeFile,
    folder: Path,
    *,
    consent: Sequence[str],
    classification: str,
    mode: CassetteMode | None = None,
    cassette: Path | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    environment: Mapping[str, str] | None = None,
    resolve: Resolve | None = None,
    clock: Clock | None = None,
    rng: random.Random | None = None,
) -> AsyncIterator[Panel]:
    """Give the members of a judge file as clients; every address is judged before the first question.

    Args:
        judge_file: Read by `load_judge_file` or made by `quick_judge`.
        folder: Of the file; its paths are below.
        consent: Remote hosts that the command line names.
        classification: The most confidential document that will be sent.
        mode: Of the cassette, instead of the file's.
        cassette: Folder, instead of the file's.
        transport: Of all members; the pinned network where None. The guard holds for it too.
        environment: Where keys are looked up; the process's where None.
        resolve: Gives the addresses of a name.
        clock: Sleeps and tells the time.
        rng: For the jitter of waits.

    Raises:
        EgressRefused: `egress.refused`; no socket was opened. In a replay, which opens none, spelling alone is judged.
        EndpointError: `endpoint.no_key`: the variable of a key is unset (exit 2).
        CassetteError: `cassette.missing`: there is no such folder to replay.
        JudgeFileError: `judge.cassette`: a mode without a folder, or a folder outside.
    """
    recording = _cassette(judge_file, folder, mode, cassette)
    replays = recording is not None and recording.mode == "replay"
    budget = Budget(judge_file.budget)
    found = os.environ if environment is None else environment
    members: list[PanelMember] = []
    async with AsyncExitStack() as stack:
        for member in judge_file.members:
            written = read_url(member.base_url)
            refuse_cloud_model(written, member.model)
            target, key = Target(written), None
            if not replays:
                target = check_egress(
                    written,
                    allowed=judge_file.allow_hosts,
                    consent=consent,
                    classification=classification,
                    maximum=judge_file.max_classification,
                    resolve=resolve,
                )
                key = key_from(member, target, found)
            endpoint = endpoint_of(member, judge_file, target, key)
            client = LLMClient(endpoint, cassette=recording, budget=budget, transport=transport, clock=clock, rng=rng)
            await stack.enter_async_context(client)
            settings = MemberSettings(
                member.model,
                target.authority,
                judge_file.temperature,
                judge_file.top_p,
                judge_file.max_tokens,
                judge_file.seed,
                judge_file.context_tokens,
            )
            members.append(PanelMember(member.name, client, settings))
        yield Panel(tuple(members), recording)


def _cassette(judge_file: JudgeFile, folder: Path, mode: CassetteMode | None, cassette: Path | None) -> Cassette | None:
    asked = mode if mode is not None else judge_file.cassette_mode
    if asked == "off":
        return None
    path = cassette
    if path is None and judge_file.cassette is not None:
        path = folder / judge_file.cassette
        if not path.resolve().is_relative_to(folder.resolve()):  # through a link
            message = f"cassette: {judge_file.cassette!r:.80} leads out of the folder of the judge file"
            raise JudgeFileError("judge.cassette", message, "Move the recording below that folder.")
    if path is None:
        raise JudgeFileError("judge.cassette", f"cassette_mode is {asked!r} without cassette", "Name its folder.")
    return Cassette(path, asked)
