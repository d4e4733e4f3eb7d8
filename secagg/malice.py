"""Hostile servers against clients: every knob, what stops it, and what it gives away where nothing does.

A knob is one lie of `secagg.lies`. Driven against a client with defences it must be refused with its code; driven
against the weak client it shows what the defence is for: where the table says so, the victim's own vector is worked
out from what the server then holds, and compared with what the victim put in.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from secrets import token_bytes
from typing import NamedTuple, TypeVar

import numpy as np

from secagg.failures import MALICIOUS
from secagg.hostile import MaliciousServer, Masked
from secagg.keys import Entropy, Identity
from secagg.lies import LIES
from secagg.messages import Refusal
from secagg.outcome import AttackOutcome, Refused, RoundResult, peak_rss_mib
from secagg.participants import Factory, Participant, factory_of
from secagg.plain_sum import SeededUpdates, Updates, dice_of, update_of
from secagg.policy import ClientPolicy
from secagg.records import Header
from secagg.setting import RoundConfig, make_identities
from secagg.weak_client import WeakClient

__all__ = ["FEWEST_CLIENTS", "KNOBS", "MaliciousServer", "WeakClient", "drive_knob", "simulate_attack"]

Answer = TypeVar("Answer")
FEWEST_CLIENTS = 8
"""The smallest cohort in which every knob is refused for its own reason."""


class Knob(NamedTuple):
    """What a knob must meet with."""

    code: str
    """Of the refusal."""
    leaks: bool
    """Whether a client that refuses nothing gives its vector away."""


KNOBS: Mapping[str, Knob] = {
    "low-threshold": Knob("policy-threshold", leaks=True),
    "small-cohort": Knob("policy-cohort", leaks=True),
    "sparse-graph": Knob("policy-degree", leaks=False),
    "overflow-ring": Knob("policy-overflow", leaks=False),
    "server-beacon": Knob("policy-beacon", leaks=False),
    "key-substitution": Knob("bad-signature", leaks=True),
    "duplicate-key": Knob("duplicate-key", leaks=False),
    "low-order-key": Knob("low-order-key", leaks=False),
    "ciphertext-swap": Knob("bad-ciphertext", leaks=False),
    "ciphertext-replay": Knob("bad-ciphertext", leaks=False),
    "session-replay": Knob("session-reused", leaks=False),
    "outsider": Knob("not-subset", leaks=False),
    "isolate": Knob("too-few-survivors", leaks=True),
    "split-view": Knob("view-mismatch", leaks=True),
    "forged-consistency": Knob("bad-signature", leaks=False),
    "second-unmask": Knob("phase-order", leaks=True),
    "late-change": Knob("view-mismatch", leaks=True),
    "wrong-model": Knob("model-mismatch", leaks=False),
}
_PARAMETERS = ("policy-threshold", "policy-degree")
_LOOSER = (("required_sigma",), ("required_eta",), ("required_sigma", "required_eta"))


def drive_knob(
    knob: str,
    client: str | Factory = "strict",
    *,
    config: RoundConfig | None = None,
    updates: Updates | None = None,
    rng: np.random.Generator | None = None,
    entropy: Entropy = token_bytes,
) -> AttackOutcome:
    """Turn one knob against a cohort of clients and return what came of it.

    Args:
        knob: of `KNOBS`.
        client: `strict`, `weak`, or what makes a client with the methods of `secagg.client.SecAggClient`.
        config: the round that the server bends, of at least `FEWEST_CLIENTS`; by default 8 clients and 16 elements.
        updates: one a client; drawn if not given.
        rng: graph, updates and rounding; seeded with 0 if not given.
        entropy: gives the keys.

    Raises:
        KeyError: there is no such knob.
        ValueError: too few clients.
    """
    attack = simulate_attack(knob, client, config=config, updates=updates, rng=rng, entropy=entropy).attack
    if attack is None:
        raise AssertionError("an attack has an outcome")
    return attack


def simulate_attack(
    knob: str,
    client: str | Factory = "strict",
    *,
    config: RoundConfig | None = None,
    updates: Updates | None = None,
    rng: np.random.Generator | None = None,
    entropy: Entropy = token_bytes,
) -> RoundResult:
    """Return `drive_knob`'s outcome as the result of a round, which has no sum: the server is after something else."""
    asked, dice = config or RoundConfig(FEWEST_CLIENTS, 16), rng or np.random.default_rng(0)
    if asked.clients < FEWEST_CLIENTS:
        raise ValueError(f"a knob wants {FEWEST_CLIENTS} clients or more, not {asked.clients}")
    # the hostile server's round: everything a client may ask for is there, and one weight for all
    rule = replace(asked.quantization, weighting="uniform", max_weight=1)
    bent = replace(asked, server_trust=MALICIOUS, quantization=rule, weights=None).chosen()
    seed = int(dice.integers(2**63))
    drive = Drive(knob, factory_of(client), bent, updates or SeededUpdates(seed, bent.length), seed, entropy)
    return drive.run(dice.bytes(32))


class Drive:
    """One knob against one cohort."""

    def __init__(
        self, knob: str, make: Factory, config: RoundConfig, updates: Updates, seed: int, entropy: Entropy
    ) -> None:
        self._knob, self._lie, self._config = knob, LIES[knob], config
        self._updates, self._seed, self._entropy = updates, seed, entropy
        self._make = make
        self._identities: dict[str, Identity] = make_identities(config.ids, entropy)
        self._rows = {one: row for row, one in enumerate(config.ids)}
        self._clients: dict[str, Participant] = {}
        self._loosened: tuple[str, ...] = ()
        self._refusals: list[Refused] = []
        self._gone: set[str] = set()

    def run(self, beacon: bytes) -> RoundResult:
        """Play the round, and the encore if there is one."""
        header = replace(self._config.header(beacon, self._identities), consistency_check=True)
        policy, self._loosened = self._policy(header)
        identities, entropy = self._identities, self._entropy
        self._clients = {one: self._make(one, identities[one], policy, entropy) for one in self._config.ids}
        rehearsed = self._rehearse(header) if self._lie.rehearsed else None
        server = MaliciousServer(self._knob, header, identities, rehearsed, entropy)
        self._play(server)
        if server.encore:
            self._encore(server)
        return self._result(server)

    def _policy(self, header: Header) -> tuple[ClientPolicy, tuple[str, ...]]:
        """Return the clients' policy, and the fields that were loosened in it.

        A split view wants a threshold that is refused before the lie can be told; so may the numbers of the setting.
        """
        policy = self._config.policy(self._identities)
        server = MaliciousServer(self._knob, header, self._identities)
        if KNOBS[self._knob].code in _PARAMETERS or _refusal(policy, server) not in _PARAMETERS:
            return policy, ()
        for fields in _LOOSER:
            looser = replace(policy, **dict.fromkeys(fields, 0.0))  # type: ignore[arg-type]  # both are numbers
            if _refusal(looser, server) not in _PARAMETERS:
                return looser, fields
        return policy, ()

    def _rehearse(self, header: Header) -> dict[str, dict[str, bytes]]:
        """Play a whole honest round with the same clients; return what was sealed, by recipient and sender."""
        first = MaliciousServer("session-replay", replace(header, round=header.round + 1), self._identities)
        self._play(first)
        return {one: first.sealed_for(one) for one in first.dealt}

    def _play(self, server: MaliciousServer) -> None:
        """Take all clients through the phases; who refuses is out."""
        self._clients[server.accomplice.client_id] = server.accomplice
        for one in server.proposal.ids:
            client = self._clients[one]
            self._ask(one, "open", client.open, server.proposal)
            if one not in self._gone:
                self._keep(one, "advertise", server.keys, client.advertise)
        first = frozenset(server.keys)
        for one in sorted(first - {server.absent}):
            self._keep(one, "shares", server.dealt, self._clients[one].share, first, server.keys_for(one))
        second = frozenset(server.dealt)
        for one in sorted(second):
            self._keep(one, "masked-input", server.masked, self._mask, server, one, second)
        third = sorted(server.masked)
        if server.proposal.header.consistency_check:
            for one in third:
                told = server.survivors_for(one, late=False)
                self._keep(one, "consistency", server.agreements, self._clients[one].consistency, told)
        for one in third:
            if one not in self._gone:
                self._unmask(server, one, server.survivors_for(one, late=True))

    def _encore(self, server: MaliciousServer) -> None:
        """Ask once more for a step that everybody has done."""
        for one in sorted(set(server.masked) - {server.accomplice.client_id}):
            if server.encore == "open":
                server.lied_to.add(one)
                self._ask(one, "open", self._clients[one].open, server.proposal)
            elif one != server.victim:
                server.lied_to.add(one)
                self._unmask(server, one, frozenset(server.masked) - {server.victim})

    def _mask(self, server: MaliciousServer, one: str, included: frozenset[str]) -> Masked:
        row = self._rows[one]
        sealed, model = server.sealed_for(one), server.model_for(one)
        update, dice = update_of(self._updates, row), dice_of(self._seed, row)
        _, vector = self._clients[one].mask(included, sealed, update, rng=dice, model_sha256=model)
        return Masked(vector, included)

    def _unmask(self, server: MaliciousServer, one: str, told: frozenset[str]) -> None:
        answer = self._ask(one, "unmask", self._clients[one].unmask, told, server.agreements_for(one))
        if answer is not None:
            server.answers.append(answer)

    def _keep(self, one: str, phase: str, kept: dict[str, Answer], step: Callable[..., Answer], *given: object) -> None:
        answer = self._ask(one, phase, step, *given)
        if answer is not None:
            kept[one] = answer

    def _ask(self, one: str, phase: str, step: Callable[..., Answer], *given: object) -> Answer | None:
        try:
            return step(*given)
        except Refusal as refusal:
            self._refusals.append(Refused(one, phase, refusal.code))
            self._gone.add(one)
            return None

    def _result(self, server: MaliciousServer) -> RoundResult:
        lied_to = server.lied_to - {server.accomplice.client_id}
        refused = bool(lied_to) and lied_to <= self._gone
        outcome = AttackOutcome(self._knob, refused, tuple(self._refusals), self._leaked(server), self._loosened)
        header = server.proposal.header
        return RoundResult(
            status="aborted" if self._refusals else "ok",
            reason=self._refusals[0].code if self._refusals else None,
            clients=len(server.proposal.ids),
            degree=header.degree,
            threshold=header.threshold,
            phases={
                "advertised": len(server.keys),
                "shared": len(server.dealt),
                "masked": len(server.masked),
                "unmasked": len({answer.sender for answer in server.answers}),
            },
            peak_rss_mib=peak_rss_mib(),
            refusals=tuple(self._refusals),
            attack=outcome,
        )

    def _leaked(self, server: MaliciousServer) -> bool:
        """Tell whether the server has the victim's update, each element within one step of quantisation."""
        found = server.recovered()
        if found is None:
            return False
        rule = server.proposal.header.quantization
        step = 2 * rule.clipping_range / rule.levels
        update = update_of(self._updates, self._rows[server.victim])
        truth = np.clip(update.astype(np.float64), -rule.clipping_range, rule.clipping_range)
        return bool((np.abs(found * step - rule.clipping_range - truth) <= step).all())


def _refusal(policy: ClientPolicy, server: MaliciousServer) -> str:
    """Return the code with which the policy refuses what the server proposes, or nothing."""
    try:
        policy.review(server.proposal, server.victim)
    except Refusal as refusal:
        return refusal.code
    return ""
