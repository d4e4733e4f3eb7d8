"""Secure aggregation for Flower's Message API, which ships none: a mod for the clients, a grid for the server.

    app = ClientApp()

    @app.train(mods=[secagg_mod(policy, identity)])
    def train(message: Message, context: Context) -> Message: ...      # as ever

    strategy.start(grid=SecAggGrid(grid, SecAggConfig(...)), initial_arrays=..., num_rounds=3)

The round lives in the client's `context.state` between two messages, secrets included, since one ClientApp object
serves many nodes and processes; it is taken out while a message is worked on and gone after the unmasking, a refusal,
an error, a `close` or the next round's header. A client that the server loses on the way keeps it until then.
"""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from secagg.client import SecAggClient
from secagg.failures import MALICIOUS
from secagg.flower.arrays import Model
from secagg.flower.config import SecAggConfig
from secagg.flower.exchange import CLOSE, RECORD, VECTOR, Request, answered, packed, refused
from secagg.flower.grid import SecAggGrid
from secagg.flower.once import Once, OnceFolder
from secagg.flower.trained import Trained, is_training, read_trained
from secagg.keys import Identity
from secagg.messages import Message as ProtocolMessage
from secagg.messages import Refusal, read
from secagg.policy import ClientPolicy
from secagg.proposal import Proposal
from secagg.records import Advertise, Consistency, Header, MaskedInput, Shares, Unmask
from secagg.wire import MalformedRecord

if TYPE_CHECKING:
    from flwr.app import ArrayRecord, Context, Message, RecordDict
    from flwr.clientapp.typing import ClientAppCallable, Mod

__all__ = [
    "SESSIONS",
    "OnceFolder",
    "SecAggConfig",
    "SecAggGrid",
    "SecureTraining",
    "Trained",
    "is_training",
    "secagg_mod",
]

SESSIONS = "fedaudit_secagg_sessions"
"""Config record in a client's state that outlives the rounds: digests of those it joined. No secret."""
_log = logging.getLogger(__name__)


def secagg_mod(
    policy: ClientPolicy | None = None,
    identity: "Identity | Callable[[Context], Identity] | None" = None,
    *,
    once: Once | None = None,
) -> "Mod":
    """Return the mod that answers `train` messages by secure aggregation; all other messages pass it by.

    Args:
        policy: The weakest round to join; None takes the defaults.
        identity: Signs what this client says. A function gets the node's context: one app serves many nodes, and under
            ray an app is pickled, which a key cannot be.
        once: Sees to it, against a malicious server, that no step is taken twice at the same time; None takes an
            `OnceFolder`. Against an honest-but-curious one the state suffices, and no file is written.

    A `train` message that is not part of a round is refused: no update leaves without a mask. What it averages is the
    model's arrays; of the metrics only `num-examples` counts, and only with integer weighting. What goes to the server
    in the clear is whether training failed, by the name of the exception.
    """
    return SecureTraining(policy or ClientPolicy(), identity, read_trained, once or OnceFolder())


class SecureTraining:
    """The mod: each message restores the client, takes one step, and puts the round back into the state."""

    def __init__(
        self,
        policy: ClientPolicy,
        identity: "Identity | Callable[[Context], Identity] | None",
        read_reply: "Callable[[RecordDict], Trained]",
        once: Once,
    ) -> None:
        self._policy, self._identity, self._read_reply, self._once = policy, identity, read_reply, once
        self._warned = False

    def __call__(self, message: "Message", context: "Context", call_next: "ClientAppCallable") -> "Message":
        """Answer a message."""
        from flwr.app import Message, RecordDict

        if not is_training(message):
            return call_next(message, context)
        try:
            request = _expected(message, context)
        except Refusal as refusal:  # of another round, or of none: the open one goes on
            _log.warning("node %s refuses a train message: %s", context.node_id, refusal)
            return Message(RecordDict({RECORD: refused("unknown", refusal)}), reply_to=message)
        client = self._restored(context)
        reply = self._answered(client, request, message, lambda: call_next(message, context))
        _keep(client, context)
        return reply

    def _answered(
        self, client: SecAggClient, request: Request, message: "Message", train: "Callable[[], Message]"
    ) -> "Message":
        """Return the reply to a request; unless it is an answer, the client's round is closed."""
        from flwr.app import Error, Message, RecordDict
        from flwr.common.constant import ErrorCode

        try:
            return Message(self._answer(client, request, message, train), reply_to=message)
        except Refusal as refusal:
            _log.warning("client %s refuses in phase %s: %s", client.client_id, request.phase, refusal)
            client.close()
            return Message(RecordDict({RECORD: refused(request.phase, refusal)}), reply_to=message)
        except Exception as error:
            # raised further, it would leave the state as it was before this message, with the round's secrets in it
            _log.exception("client %s drops out of the round in phase %s", client.client_id, request.phase)
            client.close()
            reason = f"{type(error).__name__} in phase {request.phase}; the client's own log says more"
            return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)

    def _restored(self, context: "Context") -> SecAggClient:
        """Return the client as its last message left it; nothing of the round stays in the state meanwhile."""
        records = context.state.config_records
        state: dict[str, Any] = {"joined": b"", **records.get(SESSIONS, {}), **records.get(RECORD, {})}
        if RECORD in records:
            del context.state[RECORD]
        identity = self._identity(context) if callable(self._identity) else self._identity
        return SecAggClient.restore(state, str(context.node_id), identity, self._policy)

    def _answer(
        self, client: SecAggClient, request: Request, message: "Message", train: "Callable[[], Message]"
    ) -> "RecordDict":
        from flwr.app import RecordDict

        content = RecordDict()
        if request.phase == CLOSE:
            client.close()
            return content
        if request.phase == Advertise.TYPE:
            proposal = Proposal(_read(request.header, Header).body)
            if proposal.session != request.session:
                raise Refusal("bad-header", "the header is of another round than the request")
            client.open(proposal)
            self._require_first(client, request)
            answer: ProtocolMessage[Any] = client.advertise()
        elif request.phase == MaskedInput.TYPE:
            self._require_first(client, request)
            answer, content[VECTOR] = self._masked(client, request, message, train)
        else:
            self._require_first(client, request)
            answer = _step(client, request)
        content[RECORD] = answered(request.phase, answer)
        return content

    def _masked(
        self, client: SecAggClient, request: Request, message: "Message", train: "Callable[[], Message]"
    ) -> "tuple[ProtocolMessage[MaskedInput], ArrayRecord]":
        from flwr.app import RecordDict

        message.content = RecordDict({name: one for name, one in message.content.items() if name != RECORD})
        model = Model.sent_in(message.content)
        trained = self._read_reply(train().content)
        self._warn_once(trained.unsent)
        answer, vector = client.mask(
            request.included,
            request.payloads,
            model.update_to(trained.arrays),
            rng=np.random.default_rng(),
            weight=trained.weight or 0,  # refused with integer weighting, not looked at otherwise
            model_sha256=model.digest(),
        )
        if client.saturated:
            _log.warning("client %s: %d elements were clipped", client.client_id, client.saturated)
        return answer, packed(vector)

    def _require_first(self, client: SecAggClient, request: Request) -> None:
        """Refuse a step that is being taken already, where the server may have asked twice at the same time."""
        malicious = client.proposal is not None and client.proposal.header.server_trust == MALICIOUS
        if malicious and not self._once(request.session, client.client_id, request.phase):
            raise Refusal("phase-order", f"{request.phase} was asked before")

    def _warn_once(self, names: tuple[str, ...]) -> None:
        if names and not self._warned:
            self._warned = True
            _log.warning("metrics of one client are not sent under secure aggregation: %s", ", ".join(names))


def _step(client: SecAggClient, request: Request) -> ProtocolMessage[Any]:
    """Return the answer in a phase that is the protocol's alone."""
    if request.phase == Shares.TYPE:
        return client.share(request.included, _messages(request.payloads, Advertise))
    if request.phase == Consistency.TYPE:
        return client.consistency(request.included)
    if request.phase == Unmask.TYPE:
        return client.unmask(request.included, _messages(request.payloads, Consistency))
    raise Refusal("phase-order", "there is no such phase")


def _messages(payloads: Mapping[str, bytes], kind: Any) -> dict[str, ProtocolMessage[Any]]:
    return {peer: _read(data, kind) for peer, data in payloads.items()}


def _read(data: bytes, kind: Any) -> ProtocolMessage[Any]:
    try:
        return read(data, kind)
    except MalformedRecord as error:
        raise Refusal("bad-header", f"a message inside the request is malformed: {error}") from error


def _expected(message: "Message", context: "Context") -> Request:
    """Return the request of a message, which belongs to the open round or opens one; or refuse it."""
    request = Request.found_in(message.content)
    held: Mapping[str, Any] = context.state.config_records.get(RECORD) or {}
    if request.phase != Advertise.TYPE and held.get("session") != request.session:
        raise Refusal("phase-order", "the round of this request is not open here")
    return request


def _keep(client: SecAggClient, context: "Context") -> None:
    """Put what must last into the state: the sessions for good, the round while it is open."""
    from flwr.app import ConfigRecord

    state = client.state()
    joined = state.pop("joined")
    if joined:
        context.state[SESSIONS] = ConfigRecord({"joined": joined})
    if client.proposal is not None:
        context.state[RECORD] = ConfigRecord({"session": client.proposal.session, **state})
