"""One round of secure aggregation over a Flower grid, from the strategy's messages to the mean.

    advertise ─▶ shares ─▶ masked_input (the model goes out) ─▶ [consistency] ─▶ unmask ─▶ mean

A node that does not answer in time, answers with an error, refuses, or sends what cannot be read has dropped out; the
log says who and why. Every phase waits for `timeout`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from secagg.flower.arrays import Model
from secagg.flower.config import SecAggConfig
from secagg.flower.exchange import CLOSE, RECORD, Request, answer_in, vector_in
from secagg.messages import Message as ProtocolMessage
from secagg.messages import Refusal, RoundAborted, unsigned
from secagg.proposal import Proposal
from secagg.quantize import dequantize_mean
from secagg.records import Advertise, Body, Consistency, MaskedInput, Shares, Unmask
from secagg.server import RING_TYPES, Recorder, SecAggServer
from secagg.wire import MalformedRecord

if TYPE_CHECKING:
    from flwr.app import ArrayRecord, Message, RecordDict
    from flwr.serverapp import Grid

RecorderOf = Callable[[int], Recorder]
"""Given the round's number, from 1, what keeps its transcript; closed after the round where it is a context manager."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SecureMean:
    """What a round gives: about the survivors together, never about one of them."""

    name: str
    """Of the array record, as in the message sent."""
    arrays: "ArrayRecord"
    """The model sent plus the mean of the updates: its names, shapes and dtypes."""
    weight: int
    """W: survivors, or with integer weighting the sum of their weights."""
    survivors: tuple[str, ...]
    """Whose updates are in it, by node id."""
    lost: Mapping[str, str]
    """Who dropped out, and why."""


def secure_round(
    grid: "Grid",
    config: SecAggConfig,
    messages: "Sequence[Message]",
    number: int,
    *,
    timeout: float | None = None,
    recorder: RecorderOf | None = None,
) -> SecureMean:
    """Run one round over the nodes that the messages are for, and return the mean.

    Args:
        grid: Carries the messages.
        config: Parameters of the round.
        messages: One a node, as a strategy configures them: each with the same model, in one array record.
        number: Of the round, from 1.
        timeout: Seconds to wait for answers in each phase; None waits for all.
        recorder: Makes the keeper of the transcript.

    Raises:
        RoundAborted: There is no sum; code and clients say why.
        ValueError: The messages are not those of one round (two for a node, different models, arrays of no numbers), or
            the parameters do not suit the cohort.
        secagg.params.InfeasibleParameters: No degree and threshold are private and correct enough for it.
    """
    by_client = {str(message.metadata.dst_node_id): message for message in messages}
    if len(by_client) != len(messages):
        raise ValueError("a node has two messages; in a round each has one")
    model = _common_model(messages)
    run = str(messages[0].metadata.run_id)
    proposal = Proposal(config.header(run, number, list(by_client), model.length, model.digest()))
    with ExitStack() as stack:
        keeper = recorder(number) if recorder else None
        if isinstance(keeper, AbstractContextManager):
            stack.enter_context(keeper)
        round_ = _Round(grid, SecAggServer(proposal, keeper), by_client, timeout)
        try:
            survivors, total = round_.run()
        finally:
            round_.close()
    try:
        mean = dequantize_mean(total, config.quantization, len(survivors))
    except ValueError as error:
        raise RoundAborted("overflow", (), f"the sum cannot be right: {error}") from error
    weight = int(total[0]) if config.quantization.weighting == "integer" else len(survivors)
    return SecureMean(model.name, model.moved_by(mean), weight, survivors, round_.lost)


class _Round:
    """The server's way through the phases."""

    def __init__(
        self, grid: "Grid", server: SecAggServer, messages: "Mapping[str, Message]", timeout: float | None
    ) -> None:
        self.lost: dict[str, str] = {}
        self._grid, self._server, self._messages, self._timeout = grid, server, messages, timeout
        self._session = server.proposal.session
        self._holding: set[str] = set()
        """Clients that answered last and hold secrets of the round."""

    def run(self) -> tuple[tuple[str, ...], Any]:
        """Return the survivors and the ring sum, or raise `RoundAborted`."""
        server = self._server
        header = unsigned(server.header).to_bytes()
        opening = {client: Request(Advertise.TYPE, self._session, header) for client in server.proposal.ids}
        for message, _ in self._ask(Advertise, opening):
            server.advertised(message)
        included = self._agreed(server.roster().included)
        requests = {one: self._request(Shares, included, _bytes_of(server.keys_for(one))) for one in included}
        for message, _ in self._ask(Shares, requests):
            server.shared(message)
        included = self._agreed(server.share_roster().included)
        requests = {one: self._request(MaskedInput, included, server.sealed_for(one)) for one in included}
        for message, content in self._ask(MaskedInput, requests):
            self._add(message, content)
        included = self._agreed(server.survivors().included)
        agreements: Mapping[str, Mapping[str, bytes]] = {}
        if server.header.consistency_check:
            for message, _ in self._ask(Consistency, {one: self._request(Consistency, included) for one in included}):
                server.consistent(message)
            agreements = {one: _bytes_of(server.agreements_for(one)) for one in included}
        requests = {one: self._request(Unmask, included, agreements.get(one, {})) for one in included}
        for message, _ in self._ask(Unmask, {one: requests[one] for one in included if one in self._holding}):
            server.unmasked(message)
            self._holding.discard(message.sender)  # it has answered its last, and closed the round for itself
        result = server.result()
        self._blame()
        return result.survivors, result.total

    def close(self) -> None:
        """Tell those that still hold secrets of the round to forget them; a round that went well leaves nobody."""
        if self._holding:
            closing = [self._to(one, Request(CLOSE, self._session)) for one in sorted(self._holding)]
            list(self._grid.send_and_receive(closing, timeout=self._timeout))

    def _request(
        self, kind: type[Body], included: tuple[str, ...], payloads: Mapping[str, bytes] | None = None
    ) -> Request:
        return Request(kind.TYPE, self._session, b"", included, payloads or {})

    def _ask(
        self, kind: type[Body], requests: Mapping[str, Request]
    ) -> "Iterator[tuple[ProtocolMessage[Any], RecordDict]]":
        """Send the requests and yield each answer that can be read, with the reply it came in."""
        outgoing = [self._to(client, request) for client, request in requests.items()]
        self._holding -= set(requests)
        silent = set(requests)
        for reply in self._grid.send_and_receive(outgoing, timeout=self._timeout):
            client = str(reply.metadata.src_node_id)
            if client not in silent:
                continue
            silent.remove(client)
            if reply.has_error():
                self._lose(client, kind, f"error: {reply.error.reason}")
                continue
            try:
                message = answer_in(reply.content, kind, client)
            except (Refusal, MalformedRecord) as error:
                self._lose(client, kind, f"{'refused' if isinstance(error, Refusal) else 'unreadable'}: {error}")
                continue
            self._holding.add(client)
            yield message, reply.content
        for client in sorted(silent):
            self._lose(client, kind, "no answer in time")

    def _to(self, client: str, request: Request) -> "Message":
        from flwr.app import Message, RecordDict

        original = self._messages[client]
        content = dict(original.content.items()) if request.phase == MaskedInput.TYPE else {}
        return Message(
            RecordDict({**content, RECORD: request.record()}),
            original.metadata.dst_node_id,
            original.metadata.message_type,
            ttl=original.metadata.ttl,
            group_id=original.metadata.group_id,
        )

    def _add(self, message: ProtocolMessage[MaskedInput], content: "RecordDict") -> None:
        try:
            vector = vector_in(content, RING_TYPES[self._server.header.modulus_bits])
        except MalformedRecord as error:
            self._lose(message.sender, MaskedInput, f"unreadable: {error}")
            return
        self._server.masked(message, vector)

    def _agreed(self, included: tuple[str, ...]) -> tuple[str, ...]:
        self._blame()
        return included

    def _blame(self) -> None:
        """Say in the log what the server left out since the last time."""
        for client, code in self._server.blamed.items():
            if client not in self.lost:
                self.lost[client] = code
                _log.warning("client %s is left out: %s", client, code)

    def _lose(self, client: str, kind: type[Body], why: str) -> None:
        self.lost[client] = why
        _log.warning("client %s dropped out in phase %s: %s", client, kind.TYPE, why[:500])


def _common_model(messages: "Sequence[Message]") -> Model:
    """Return the model that all messages carry, or refuse with ValueError: a mean needs one starting point."""
    model = Model.sent_in(messages[0].content)
    first = messages[0].content.array_records[model.name]
    for message in messages[1:]:
        other = message.content.array_records.get(model.name)
        if other is first:  # strategies send one record to all
            continue
        if Model.sent_in(message.content).digest() != model.digest():
            raise ValueError("the nodes of a round get different models; secure aggregation needs one for all")
    return model


def _bytes_of(messages: Mapping[str, ProtocolMessage[Any]]) -> dict[str, bytes]:
    return {peer: message.to_bytes() for peer, message in messages.items()}
