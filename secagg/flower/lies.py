"""The lies that a server can tell Flower's clients, one class each; what they do stands in their first line."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from secagg.flower.harness import kind_of, node_id
from secagg.flower.hostile import CLIENTS, COLLUDER, STATE, VICTIM, Hostile, Told, Vector, agreed, combined, key_pair
from secagg.flower.recording import CONFIGS
from secagg.flower.rehearsal import FlowerRound, Rehearsal

STRANGER = node_id(CLIENTS)
PEERS = tuple(node_id(i) for i in range(1, CLIENTS))


class LowThreshold(Hostile):
    """One share gives a secret back, and a colluding client has one of each."""

    def bend(self, told: Told) -> bool:
        """Set the threshold to 1 for everybody."""
        if told.stage == "setup":
            told.configs["threshold"] = 1
        return told.stage == "setup"

    def learn(self, run: Rehearsal) -> Vector | None:
        """Take the mask key from the colluder's state, the seed from its answer."""
        state: dict[str, Any] = dict(run.grid.contexts[COLLUDER].state.config_records.get(STATE, {}))
        held = dict(zip(state.get("sk1_share_dict:K", ()), state.get("sk1_share_dict:V", ()), strict=True))
        seeds = self.seed_shares[VICTIM]
        return self.opened(combined(seeds[:1]), combined([held[VICTIM]])) if VICTIM in held and seeds else None


class SmallCohort(Hostile):
    """Two clients, one of which colludes: the sum less its own update is the victim's."""

    clients = 2
    setting = FlowerRound(1.0, 2)

    def bend(self, told: Told) -> bool:
        """Say nothing false: the cohort is that small."""
        return told.stage == "setup"

    def learn(self, run: Rehearsal) -> Vector | None:
        """Subtract what the colluder knows to be its own."""
        return None if run.mean is None else self.quantised(2 * run.mean - run.updates[1])


class SparseGraph(Hostile):
    """Two neighbours a client, and two shares to give a secret back."""

    clients = 8
    setting = FlowerRound(3, 2)

    def bend(self, told: Told) -> bool:
        """Say nothing false: the graph is that sparse."""
        return told.stage == "setup"


class OverflowRing(Hostile):
    """So many levels that the sum can wrap around the ring."""

    setting = FlowerRound(CLIENTS, 3, quantization_range=1 << 30)

    def bend(self, told: Told) -> bool:
        """Say nothing false: the ring is that small."""
        return told.stage == "setup"


class KeySubstitution(Hostile):
    """The victim gets keys of the server's in the place of all its peers'."""

    def __init__(self) -> None:
        super().__init__()
        self._mask = {peer: key_pair() for peer in PEERS}
        self._share = {peer: key_pair() for peer in PEERS}

    def bend(self, told: Told) -> bool:
        """Exchange the keys, and later the sealed shares that should come from their owners."""
        if told.node != VICTIM:
            return False
        if told.stage == "share_keys":
            for peer in PEERS:
                told.configs[str(peer)] = [self._mask[peer][1], self._share[peer][1]]
            return True
        if told.stage == "collect_masked_vectors":
            told.configs["srcs"] = list(PEERS)
            told.configs["ctxts"] = [self._sealed(peer) for peer in PEERS]
        return False

    def learn(self, run: Rehearsal) -> Vector | None:  # noqa: ARG002  (no colluder is needed)
        """Open the shares that the victim sealed for its peers."""
        from flwr.common.secure_aggregation.crypto.symmetric_encryption import decrypt
        from flwr.common.secure_aggregation.secaggplus_utils import share_keys_plaintext_separate

        dealt = self.dealt.get(VICTIM, {})
        if not dealt:
            return None
        opened = [share_keys_plaintext_separate(decrypt(self._key(peer), sealed)) for peer, sealed in dealt.items()]
        pairs = {peer: agreed(self._mask[peer][0], self.keys[VICTIM][0]) for peer in dealt}
        return self.unmasked(combined([seed for _, _, seed, _ in opened]), pairs)

    def _key(self, peer: int) -> bytes:
        return agreed(self._share[peer][0], self.keys[VICTIM][1])

    def _sealed(self, peer: int) -> bytes:
        from flwr.common.secure_aggregation.crypto.symmetric_encryption import encrypt
        from flwr.common.secure_aggregation.secaggplus_utils import share_keys_plaintext_concat

        return encrypt(self._key(peer), share_keys_plaintext_concat(peer, VICTIM, bytes(52), bytes(324)))


class DuplicateKey(Hostile):
    """The victim gets the same keys for two peers."""

    def bend(self, told: Told) -> bool:
        """Give the second peer the first one's keys."""
        if (told.stage, told.node) != ("share_keys", VICTIM):
            return False
        told.configs[str(PEERS[1])] = told.configs[str(PEERS[0])]
        return True


class CiphertextSwap(Hostile):
    """The victim gets each peer's sealed shares as another's."""

    def bend(self, told: Told) -> bool:
        """Move every ciphertext by one place."""
        if (told.stage, told.node) != ("collect_masked_vectors", VICTIM):
            return False
        told.configs["ctxts"] = [*told.configs["ctxts"][1:], told.configs["ctxts"][0]]
        return True


class CiphertextReplay(Hostile):
    """The victim gets the sealed shares of the round before."""

    rounds = 2

    def __init__(self) -> None:
        super().__init__()
        self._before: list[bytes] = []

    def bend(self, told: Told) -> bool:
        """Keep the ciphertexts of the first round for the second."""
        if (told.stage, told.node) != ("collect_masked_vectors", VICTIM):
            return False
        if not self._before:
            self._before = list(told.configs["ctxts"])
            return False
        told.configs["ctxts"] = self._before
        return True


class SessionReplay(Hostile):
    """The victim is asked to begin the same round again, after its masked update was sent."""

    def bend(self, told: Told) -> bool:
        """Ask for setup where unmask belongs."""
        if told.stage == "setup" and told.node == VICTIM:
            self._setup = dict(told.configs)
        if (told.stage, told.node) != ("unmask", VICTIM):
            return False
        told.configs.clear()
        told.configs.update(self._setup)
        return True


class Outsider(Hostile):
    """A node is said to have survived that took no part."""

    def bend(self, told: Told) -> bool:
        """Add it to everybody's survivors."""
        if told.stage == "unmask":
            told.configs["active_nids"] = [*told.configs["active_nids"], STRANGER]
        return told.stage == "unmask"


class Isolate(Hostile):
    """All but the victim and a colluder are said to be dead."""

    def bend(self, told: Told) -> bool:
        """Tell everybody so."""
        if told.stage == "unmask":
            everybody = [*told.configs["active_nids"], *told.configs["dead_nids"]]
            told.configs["active_nids"] = [one for one in everybody if one in (VICTIM, COLLUDER)]
            told.configs["dead_nids"] = [one for one in everybody if one not in (VICTIM, COLLUDER)]
        return told.stage == "unmask"

    def learn(self, run: Rehearsal) -> Vector | None:
        """Unmask the victim: pairwise masks with the dead by their keys, with the colluder by its own."""
        state: dict[str, Any] = dict(run.grid.contexts[COLLUDER].state.config_records.get(STATE, {}))
        if min((len(self.key_shares[peer]) for peer in PEERS[1:]), default=0) < self.setting.reconstruction_threshold:
            return None
        private = {peer: combined(self.key_shares[peer]) for peer in PEERS[1:]} | {COLLUDER: state.get("sk1", b"")}
        pairs = {peer: agreed(key, self.keys[VICTIM][0]) for peer, key in private.items()}
        return self.unmasked(combined(self.seed_shares[VICTIM]), pairs)


class SplitView(Hostile):
    """Half of the clients hear that the victim survived, half that it dropped out."""

    def bend(self, told: Told) -> bool:
        """Tell the second half of the clients that it is dead."""
        if told.stage == "unmask" and told.node in PEERS[CLIENTS // 2 - 1 :]:
            told.configs["active_nids"] = [one for one in told.configs["active_nids"] if one != VICTIM]
            told.configs["dead_nids"] = [*told.configs["dead_nids"], VICTIM]
            return True
        return False


class OverlappingLists(Hostile):
    """Everybody hears in one breath that the victim survived and that it dropped out."""

    def bend(self, told: Told) -> bool:
        """Add it to the dead without taking it from the survivors."""
        if told.stage == "unmask":
            told.configs["dead_nids"] = [*told.configs["dead_nids"], VICTIM]
        return told.stage == "unmask"


class SecondUnmask(Hostile):
    """Everybody is asked to unmask once more, the victim now dead."""

    def __call__(self, message: Any, deliver: Any) -> Any:
        """Ask a second time where unmask is asked."""
        again, node = deepcopy(message), message.metadata.dst_node_id
        reply = super().__call__(message, deliver)
        if kind_of(again) == "unmask":
            configs = again.content[CONFIGS]
            configs["active_nids"] = [one for one in configs["active_nids"] if one != VICTIM]
            configs["dead_nids"] = [VICTIM]
            self.lied.add(("unmask", node))
            self.hear(Told("unmask", node, configs), deliver(again))
        return reply


class WrongModel(Hostile):
    """The victim gets another global model than the rest."""

    def __call__(self, message: Any, deliver: Any) -> Any:
        """Exchange the model on its way to the victim."""
        from flwr.app import ArrayRecord

        for name, record in list(message.content.array_records.items()):
            if message.metadata.dst_node_id == VICTIM:
                arrays = [np.asarray(array.numpy()) + 1 for array in record.values()]
                message.content[name] = ArrayRecord(arrays)
                self.lied.add(("collect_masked_vectors", VICTIM))
        return super().__call__(message, deliver)


LIES: Mapping[str, type[Hostile]] = {
    "low-threshold": LowThreshold,
    "small-cohort": SmallCohort,
    "sparse-graph": SparseGraph,
    "overflow-ring": OverflowRing,
    "key-substitution": KeySubstitution,
    "duplicate-key": DuplicateKey,
    "ciphertext-swap": CiphertextSwap,
    "ciphertext-replay": CiphertextReplay,
    "session-replay": SessionReplay,
    "outsider": Outsider,
    "isolate": Isolate,
    "split-view": SplitView,
    "overlapping-lists": OverlappingLists,
    "second-unmask": SecondUnmask,
    "wrong-model": WrongModel,
}
