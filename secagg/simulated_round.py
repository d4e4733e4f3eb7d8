"""One simulated round on its way through the phases: who is asked, what it costs, and how it ends."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import thread_time
from typing import TypeVar

import numpy as np

from reports.executor import Executor
from secagg.drops import PHASES
from secagg.elsewhere import MaskedVector, MaskingTrial, mask_elsewhere
from secagg.messages import Content, Message, Refusal, RoundAborted, read
from secagg.outcome import Refused, RoundResult, peak_rss_mib
from secagg.participants import Participant
from secagg.plain_sum import PlainSum, Updates
from secagg.quantize import dequantize_mean
from secagg.records import Advertise, Consistency, MaskedInput, Shares, Unmask
from secagg.server import RingSum, SecAggServer
from secagg.setting import RoundConfig

Answer = TypeVar("Answer")
Progress = Callable[[str, int, int], None]
"""Told the phase, how many clients are through it, and how many there are."""
GUILTY = frozenset(("commitment-mismatch", "key-mismatch", "bad-dealing"))
"""Codes of an aborted round that accuse the clients that come with it."""


def silent(_phase: str, _done: int, _total: int) -> None:
    """Report no progress."""


@dataclass
class Tally:
    """What a round costs, and what went differently."""

    client_seconds: dict[str, float]
    upload_bytes: dict[str, int]
    server_seconds: float = 0.0
    saturated: int = 0
    counted: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("advertised", "shared", "masked", "unmasked"), 0)
    )
    refusals: list[Refused] = field(default_factory=list)


class SimulatedRound:
    """One round; runs once.

    Args:
        config: the round, degree and threshold chosen.
        server: holds the proposal.
        clients: by id.
        falls: client to the phase in which it vanishes.
        updates: rows, or a function from the row to one.
        seed: of the clients' dice.
        progress: told how far it is.
    """

    def __init__(
        self,
        config: RoundConfig,
        server: SecAggServer,
        clients: Mapping[str, Participant],
        falls: Mapping[str, str],
        updates: Updates,
        seed: int,
        progress: Progress = silent,
    ) -> None:
        self._config, self._server, self._clients = config, server, clients
        self._rows = {one: row for row, one in enumerate(config.ids)}
        self._places = {one: PHASES.index(phase) for one, phase in falls.items()}
        self._updates, self._seed, self._progress = updates, seed, progress
        self._plain = PlainSum(config, updates, seed) if config.compare else None
        self._tally = Tally(dict.fromkeys(config.ids, 0.0), dict.fromkeys(config.ids, 0))
        self._included: frozenset[str] = frozenset(config.ids)
        self._survivors: tuple[str, ...] = ()

    def run(self, executor: Executor) -> RoundResult:
        """Take the round through its phases; an aborted one is a result as well."""
        server = self._server
        try:
            self._phase("advertise", "advertised", self._advertise)
            self._included = frozenset(self._serve(server.roster).included)
            self._phase("shares", "shared", self._share)
            self._included = frozenset(self._serve(server.share_roster).included)
            self._phase("masked-input", "masked", lambda alive: self._mask(alive, executor))
            self._survivors = self._serve(server.survivors).included
            self._included = frozenset(self._survivors)
            if server.header.consistency_check:
                self._phase("consistency", "agreed", self._agree)
            self._phase("unmask", "unmasked", self._unmask)
            return self._ended(self._serve(server.result))
        except RoundAborted as aborted:
            return self._aborted(aborted)

    def _phase(self, phase: str, count: str, turns: Callable[[Sequence[str]], Iterator[bool]]) -> None:
        """Give every client that is still there its turn; aborts where all of them refuse."""
        alive, blamed, refused = self._alive(phase), len(self._server.blamed), len(self._tally.refusals)
        answered = 0
        for done, has_answered in enumerate(turns(alive), start=1):
            answered += has_answered
            self._progress(phase, done, len(alive))
        self._tally.counted[count] = answered - (len(self._server.blamed) - blamed)
        if not answered and len(self._tally.refusals) > refused:
            raise RoundAborted(self._tally.refusals[refused].code, (), "every client refused")

    def _alive(self, phase: str) -> Sequence[str]:
        """Return who is in the last list, has not refused, and does not vanish before this phase."""
        place, never = PHASES.index(phase), len(PHASES)
        gone = {one.client for one in self._tally.refusals}
        there = (one for one in self._config.ids if one in self._included and one not in gone)
        return [one for one in there if self._places.get(one, never) > place]

    def _advertise(self, alive: Sequence[str]) -> Iterator[bool]:
        for one in alive:
            client = self._clients[one]
            opened = self._ask(one, "open", lambda client=client: (client.open(self._server.proposal),))
            yield opened is not None and self._say(
                one, "advertise", Advertise, client.advertise, self._server.advertised
            )

    def _share(self, alive: Sequence[str]) -> Iterator[bool]:
        for one in alive:
            keys, share = self._serve(self._server.keys_for, one), self._clients[one].share
            yield self._say(one, "shares", Shares, share, self._server.shared, self._included, keys)

    def _mask(self, alive: Sequence[str], executor: Executor) -> Iterator[bool]:
        """Let the executor quantise and mask; the clients give the keys and name what comes back."""
        asked: list[str] = []
        for place, done in executor.map(mask_elsewhere, self._trials(alive, asked)):
            yield self._take(asked[place], done)
        yield from (False for _ in range(len(alive) - len(asked)))

    def _trials(self, alive: Sequence[str], asked: list[str]) -> Iterator[MaskingTrial]:
        config = self._config
        for one in alive:
            row, client = self._rows[one], self._clients[one]
            sealed = self._serve(self._server.sealed_for, one)
            masking = self._ask(
                one,
                "masked-input",
                client.masking,
                self._included,
                sealed,
                (config.length,),
                weight=1 if config.weights is None else config.weights[row],
                model_sha256=config.model_sha256,
                rounding=config.quantization.rounding,
            )
            if masking is not None:
                asked.append(one)
                updates = self._updates if callable(self._updates) else self._updates[row]
                yield MaskingTrial(masking, updates, row, self._seed)

    def _take(self, one: str, done: MaskedVector) -> bool:
        vector, client = done.vector, self._clients[one]
        self._tally.client_seconds[one] += done.seconds
        self._tally.upload_bytes[one] += vector.nbytes
        if self._config.serialised:
            vector = np.frombuffer(vector.tobytes(), vector.dtype)

        def named() -> Message[MaskedInput]:
            return client.masked(done.digest, model_sha256=self._config.model_sha256)

        sent = self._say(one, "masked-input", MaskedInput, named, lambda said: self._server.masked(said, vector))
        if sent and one not in self._server.blamed:
            self._tally.saturated += done.saturated
            if self._plain is not None:
                self._plain.add(self._rows[one])
        return sent

    def _agree(self, alive: Sequence[str]) -> Iterator[bool]:
        for one in alive:
            agree = self._clients[one].consistency
            yield self._say(one, "consistency", Consistency, agree, self._server.consistent, self._included)

    def _unmask(self, alive: Sequence[str]) -> Iterator[bool]:
        checked = self._server.header.consistency_check
        for one in alive:
            agreements = self._serve(self._server.agreements_for, one) if checked else {}
            unmask = self._clients[one].unmask
            yield self._say(one, "unmask", Unmask, unmask, self._server.unmasked, self._included, agreements)

    def _ask(self, one: str, phase: str, step: Callable[..., Answer], *given: object, **named: object) -> Answer | None:
        """Return a client's answer, timed; None where it refuses."""
        started = thread_time()
        try:
            return step(*given, **named)
        except Refusal as refusal:
            self._tally.refusals.append(Refused(one, phase, refusal.code))
            return None
        finally:
            self._tally.client_seconds[one] += thread_time() - started

    def _serve(self, step: Callable[..., Answer], *given: object) -> Answer:
        """Return the server's answer, timed."""
        started = thread_time()
        try:
            return step(*given)
        finally:
            self._tally.server_seconds += thread_time() - started

    def _say(
        self,
        one: str,
        phase: str,
        kind: type[Content],
        step: Callable[..., Message[Content]],
        take: Callable[[Message[Content]], None],
        *given: object,
    ) -> bool:
        """Ask a client for its message and hand it to the server, as bytes where the setting says so."""
        if not self._config.serialised:
            message = self._ask(one, phase, step, *given)
            if message is not None:
                self._tally.upload_bytes[one] += len(message.to_bytes())
                self._serve(take, message)
            return message is not None
        data = self._ask(one, phase, lambda: step(*given).to_bytes())
        if data is not None:
            self._tally.upload_bytes[one] += len(data)
            self._serve(lambda: take(read(data, kind)))
        return data is not None

    def _ended(self, summed: RingSum) -> RoundResult:
        total, rule, survivors = summed.total, self._config.quantization, len(summed.survivors)
        return replace(
            self._result("ok"),
            total=total,
            mean=dequantize_mean(total, rule, survivors),
            exact=None if self._plain is None else self._plain.equals(total),
            max_abs_error=None if self._plain is None else self._plain.error_of(total, survivors),
        )

    def _aborted(self, aborted: RoundAborted) -> RoundResult:
        accused = dict.fromkeys(aborted.clients, aborted.code) if aborted.code in GUILTY else {}
        return self._result("aborted", aborted.code, accused)

    def _result(self, status: str, reason: str | None = None, accused: Mapping[str, str] | None = None) -> RoundResult:
        tally, header = self._tally, self._server.header
        return RoundResult(
            status=status,
            reason=reason,
            clients=len(self._config.ids),
            degree=header.degree,
            threshold=header.threshold,
            phases={name: tally.counted[name] for name in ("advertised", "shared", "masked", "unmasked")},
            survivors=self._survivors,
            saturated=tally.saturated,
            client_ms=1000 * statistics.median(tally.client_seconds.values()),
            server_s=tally.server_seconds,
            upload_bytes=int(statistics.median(tally.upload_bytes.values())),
            peak_rss_mib=peak_rss_mib(),
            blamed={**self._server.blamed, **(accused or {})},
            refusals=tuple(tally.refusals),
        )
