"""What the checks share that try code out: whose code it is, what the effort allows, which duties they bear on."""

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from reports.check import Context
from reports.model import Effort, Finding, Severity, Status, System
from secagg.declaration import SECTION

OWN_PROTOCOL = "fedaudit-secagg"
FLOWER_PROTOCOLS = ("flower-secaggplus", "flower-secagg")
FRAMEWORK = "federation.framework"
_OWN = f"{SECTION}.protocol={OWN_PROTOCOL}"
FLOWER = "|".join((*(f"{SECTION}.protocol={name}" for name in FLOWER_PROTOCOLS), f"{FRAMEWORK}=flower"))
"""Need of a check that tries Flower's code out."""
CODE_AT_HAND = (SECTION, f"{_OWN}|{FLOWER}", f"{_OWN}|extra:flower")
"""Needs of a check that runs the protocol's code: our own, or Flower's where flwr is installed.

An app of Flower's that declares no secure aggregation is not accused of the one that Flower offers.
"""
CONFIDENTIALITY = "EU-AIA:15(5)#confidentiality"
ROBUSTNESS = "EU-AIA:15(4)"
SECURITY = "GDPR:32(1)(b)"
INTEGRITY = "GDPR:5(1)(f)"
TESTED = ("GDPR:32(1)(d)", "EU-AIA:annex-IV(2)(g)")
"""Every test serves these two."""
INSTALL = "pip install fedaudit[flower]"
OWN_CODE = "What is asked is the code of this fedaudit; that the clients run it, only they can say."


class Code(StrEnum):
    """Whose code carries out the secure aggregation of a system."""

    OWN = "fedaudit-secagg"
    FLOWER = "flower"
    OTHER = "other"
    """Declared, and not at hand."""


def code_of(system: System) -> Code:
    """Return whose code it is: by the declared protocol, and where there is none by the framework."""
    federation = system.federation
    declared = federation.secure_aggregation if federation else None
    protocol = declared.protocol if declared else None
    if protocol is None:
        return Code.FLOWER if federation is not None and federation.framework == "flower" else Code.OTHER
    if protocol == OWN_PROTOCOL:
        return Code.OWN
    return Code.FLOWER if protocol in FLOWER_PROTOCOLS else Code.OTHER


def has_flower() -> bool:
    """Tell whether flwr is installed, without importing it."""
    return importlib.util.find_spec("flwr") is not None


def software() -> str:
    """Return the installed flwr with its version, for evidence and limitations."""
    return f"flwr {importlib.metadata.version('flwr')}"


def flower_limits(function: str) -> tuple[str, ...]:
    """Return what a measurement on Flower's `function`, by its qualified name, does not show."""
    return (f"Measured on {function} of the installed {software()}; other versions may differ.",)


def not_at_hand(system: System, ctx: Context) -> Finding | None:
    """Return the skipped finding where there is no code to run: not installed, or that of a stranger."""
    code = code_of(system)
    if code is Code.OTHER:
        return ctx.finding(
            Status.SKIPPED,
            "The declared protocol's code is not at hand: fedaudit runs its own and Flower's.",
            severity=Severity.INFO,
            reason=f"not-applicable:{SECTION}.protocol",
        )
    if code is Code.FLOWER and not has_flower():
        summary = f"Flower is not installed, so its code cannot be asked: {INSTALL}."
        return ctx.finding(Status.SKIPPED, summary, severity=Severity.INFO, reason="extra:flower")
    return None


@dataclass(frozen=True)
class Budget:
    """How far an effort goes."""

    clients: int
    """Most clients of a simulated round."""
    length: int
    """Elements of an update."""
    search_bits: int
    """Of the bounded search for weak masks."""


BUDGETS: Mapping[Effort, Budget] = {
    Effort.SMOKE: Budget(20, 1_000, 12),
    Effort.STANDARD: Budget(100, 10_000, 16),
    Effort.FULL: Budget(10_000, 1_000_000, 20),
}
