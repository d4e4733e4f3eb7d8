"""Federated unlearning inside a Flower run (extra `[flower]`); flwr is imported in use.

The server records what may have to be undone, and later has the federation forget; a client answers both phases, keeps
receipts, and can refuse to go on.

    strategy = RecordingStrategy(FedAvg(), Path("recording"))              # train, and keep what forgetting may need
    strategy = FFUMStrategy(FedAvg(), [node], {"rounds": 3})               # later: start it with the trained model
    app = ClientApp(mods=[recorder_mod, deletion_guard_mod])
"""

from unlearning.federated.flower.assignment import phase_of
from unlearning.federated.flower.client import unlearn_max, unlearn_min
from unlearning.federated.flower.executed import ExecutedRound
from unlearning.federated.flower.ffum import FFUMStrategy
from unlearning.federated.flower.mods import deletion_guard_mod, deletion_requested, recorder_mod, request_deletion
from unlearning.federated.flower.receipts import Receipt, receipts
from unlearning.federated.flower.recording import RecordingStrategy

__all__ = [
    "ExecutedRound",
    "FFUMStrategy",
    "Receipt",
    "RecordingStrategy",
    "deletion_guard_mod",
    "deletion_requested",
    "phase_of",
    "receipts",
    "recorder_mod",
    "request_deletion",
    "unlearn_max",
    "unlearn_min",
]
