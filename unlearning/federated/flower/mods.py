"""Flower mods for a client: receipts of what it was asked and sent, and a guard once it has asked to be forgotten.

    app = ClientApp(mods=[recorder_mod, deletion_guard_mod])

The guard is what a client can do itself: whatever the server sends, from the request on the client trains no more, but
for the max phase that forgets it. Who asks is the client, by `request_deletion` in one of its own functions, or its
operator, by starting the node with `deletion-requested` in its node config.
"""

import logging
from typing import TYPE_CHECKING

from unlearning.federated.flower.receipts import Receipt, models_in, round_of, write_receipt
from unlearning.federated.flower.records import UNLEARN_MAX, is_training

if TYPE_CHECKING:
    from flwr.app import Context, Message
    from flwr.clientapp.typing import ClientAppCallable

__all__ = ["DELETION", "deletion_guard_mod", "deletion_requested", "recorder_mod", "request_deletion"]

DELETION = "deletion-requested"
"""Key of a node's config, and name of a config record in its state: the client has asked to be forgotten."""
_log = logging.getLogger(__name__)


def recorder_mod(message: "Message", context: "Context", call_next: "ClientAppCallable") -> "Message":
    """Answer a message, and keep a receipt of what came and what went, by digest.

    A message that is answered with an error, or raises, has sent nothing of the client and leaves none.
    """
    number, received = round_of(message), models_in(message.content)  # before: the app may write on what it is given
    reply = call_next(message, context)
    if reply.has_content():
        kind = message.metadata.message_type
        sent = models_in(reply.content)
        write_receipt(context, Receipt(act="answered", message=kind, round=number, received=received, sent=sent))
    return reply


def deletion_guard_mod(message: "Message", context: "Context", call_next: "ClientAppCallable") -> "Message":
    """Refuse to train once the client has asked to be forgotten: an error to the server, a receipt for the client.

    Messages of the max phase pass, and those that are no training.
    """
    from flwr.app import Error, Message
    from flwr.common.constant import ErrorCode

    kind = message.metadata.message_type
    if not deletion_requested(context) or not is_training(message) or kind == UNLEARN_MAX:
        return call_next(message, context)
    receipt = Receipt(act="refused", message=kind, round=round_of(message), received=models_in(message.content))
    digest = write_receipt(context, receipt)
    _log.info("node %s has asked to be forgotten and refuses a %s message", context.node_id, kind)
    reason = f"{DELETION}: this client has asked to be forgotten and trains no more; receipt {digest}"
    return Message(Error(ErrorCode.MOD_FAILED_PRECONDITION, reason), reply_to=message)


def request_deletion(context: "Context") -> None:
    """Let a client ask to be forgotten; said twice, it is said once."""
    from flwr.app import ConfigRecord

    if not deletion_requested(context):
        digest = write_receipt(context, Receipt(act="deletion-requested"))
        context.state[DELETION] = ConfigRecord({"receipt": digest})


def deletion_requested(context: "Context") -> bool:
    """Tell whether a client, or its operator, has asked that it be forgotten."""
    return DELETION in context.state.config_records or bool(context.node_config.get(DELETION, False))
