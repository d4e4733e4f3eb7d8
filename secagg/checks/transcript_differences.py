"""Whether rounds were run as declared: the keys of system.toml against what the headers of transcripts say."""

from collections.abc import Iterator, Mapping, Sequence

from reports.model import Remedy, System
from secagg.checks.transcript_codes import OTHERWISE
from secagg.checks.transcript_question import Found, fit
from secagg.checks.transcript_rounds import section_of
from secagg.declaration import SECTION
from secagg.failures import HONEST_BUT_CURIOUS
from secagg.flower.records import PROTOCOL as CAPTURE
from secagg.records import PROTOCOL, Header
from secagg.verification import VerifiedRound
from secagg.violations import Violation

Value = str | int | float | bool | None
_PROTOCOLS: Mapping[str, str] = {PROTOCOL: "fedaudit-secagg", CAPTURE: "flower-secaggplus"}
_GENERATORS: Mapping[str, str] = {PROTOCOL: "aes256-ctr", CAPTURE: "mt19937"}
"""The generator of masks that a protocol fixes; Flower draws them from NumPy's legacy one."""

_FLOWER = {"flower-secagg", "flower-secaggplus"}
"""One protocol: the first deals shares to everybody."""
_WORDS: Mapping[str, frozenset[str]] = {
    "protocol": frozenset(("fedaudit-secagg", "openfl-secagg", *_FLOWER)),
    "prg": frozenset(("aes256-ctr", "aes128-ctr", "chacha20", "mt19937", "python-random")),
}


def differences(system: System, rounds: Sequence[VerifiedRound]) -> Iterator[Found]:
    """Yield what differs, transcript by transcript; a key that is not declared, or not recorded, is not compared.

    A trusted server is judged as an honest-but-curious one, so the two words are one here. Of protocol and generator
    only words that are known here are compared: two free texts can mean one thing.
    """
    section, federation = section_of(system), system.federation
    trust = federation.server_trust if federation else None
    for one in rounds:
        for key, recorded in _recorded(one):
            declared: Value = getattr(section, key)
            known = key not in _WORDS or declared in _WORDS[key]
            same = declared == recorded or (key == "protocol" and {declared, recorded} == _FLOWER)
            if declared is not None and known and not same:
                yield _difference(one.path, f"{SECTION}.{key}", declared, recorded)
        told = HONEST_BUT_CURIOUS if trust == "trusted" else trust
        if one.header is not None and told is not None and told != one.header.server_trust:
            yield _difference(one.path, "federation.server_trust", trust, one.header.server_trust)


def _difference(path: str, key: str, declared: Value, recorded: Value) -> Found:
    detail = f"{key.rsplit('.', 1)[-1]} is declared {_shown(declared)} and recorded {_shown(recorded)}"
    text = f"Run rounds with {key} = {_shown(declared)}, or declare what is run."
    remedy = Remedy(parameter=key, direction="set", value=_shown(recorded), text=text)
    return Found(path, Violation(OTHERWISE, Header.TYPE, None, detail), remedy)


def _recorded(one: VerifiedRound) -> Iterator[tuple[str, Value]]:
    """Yield the keys of the section that a transcript shows."""
    if not one.clients:
        return  # no header that can be read
    yield "protocol", _PROTOCOLS.get(one.protocol, one.protocol)
    if one.protocol in _GENERATORS:
        yield "prg", _GENERATORS[one.protocol]
    yield "clients", one.clients
    yield "degree", one.degree
    yield "threshold", one.threshold
    header = one.header
    if header is None:
        return
    yield "corrupt_fraction", header.corrupt_fraction
    yield "dropout_fraction", header.dropout_fraction
    yield "clipping_range", header.quantization.clipping_range
    yield "quantization_levels", header.quantization.levels
    yield "max_weight", header.quantization.max_weight
    yield "modulus_bits", header.modulus_bits
    yield "signed_keys", header.signatures
    yield "consistency_check", header.consistency_check
    yield "beacon_source", header.beacon_source


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else fit(str(value), 100)
