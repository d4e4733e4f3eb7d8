"""`unlearning.federated.compatibility`: whether the method can be carried out under the declared aggregation."""

from collections.abc import Iterator

from reports.check import Context, check
from reports.model import (
    Basis,
    ErasureRequest,
    Federation,
    Finding,
    Remedy,
    Severity,
    Status,
    Strength,
    System,
)  # fmt: skip
from unlearning.federated.checks.verified import CONTROLS, KINDS, asked, delivered_of, key_of, skip
from unlearning.federated.delivered import Delivered
from unlearning.federated.federation_file import GroupRule
from unlearning.federated.methods import METHODS, Method
from unlearning.federated.plan import aggregation_conflicts

OTHER_METHOD = Remedy(
    parameter="unlearning.method", direction="set", value="rapid-retrain",
    text="Take a method that asks the server for sums alone, such as rapid-retrain.",
)  # fmt: skip


@check(
    "unlearning.federated.compatibility",
    "The method of unlearning fits the declared aggregation",
    needs=("unlearning", "federation"),
    controls=CONTROLS,
    kinds=KINDS,
    strength=Strength.DOCUMENT,
    severity=Severity.MEDIUM,
)
def compatibility(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether the method needs what the declared aggregation hides from the server.

    Fails when only sums are said to be visible and the method needs single clients' updates; passes when it does not,
    or when updates are visible; inconclusive for a method that is not known here.
    """
    yield from asked(system, ctx, _answer, ())


def _answer(system: System, ctx: Context, declared: ErasureRequest) -> Finding:
    federation = system.federation or Federation()
    visibility = federation.visibility or ("aggregate" if federation.secure_aggregation else None)
    if visibility is None:
        return skip(ctx, declared, "Nobody says what the server sees.", "missing:federation.visibility")
    delivered = delivered_of(system, ctx, declared)
    name = declared.method or (delivered.header.method if delivered.header else None)
    if name is None:
        return skip(ctx, declared, "Nobody says by which method it was unlearned.", "missing:unlearning.method")
    method = delivered.method or _with_defaults(name)
    if visibility == "update":
        return _finding(ctx, declared, Status.PASS, "The server sees each client's update, and so all a method needs.")
    if method is None:
        told = f"What {name[:60]!r} needs of the server is not known here."
        return _finding(ctx, declared, Status.INCONCLUSIVE, told, reason="unknown-method")
    conflicts = aggregation_conflicts(method, _forgetting(delivered), GroupRule(enabled=True))
    if conflicts:
        told = f"The server is said to see sums alone, which the method does not go with: {conflicts[0]}."
        return _finding(ctx, declared, Status.FAIL, told, remedy=OTHER_METHOD)
    return _finding(ctx, declared, Status.PASS, f"{method.name} asks the server for sums alone.")


def _with_defaults(name: str) -> Method | None:
    return METHODS[name]() if name in METHODS else None


def _forgetting(delivered: Delivered) -> int:
    """Return how many clients hold what is to be forgotten and answered; one where nobody says."""
    if delivered.split is None:
        return 1
    offline = () if delivered.header is None else delivered.header.offline
    return sum(client not in offline for client in delivered.split.forget)


def _finding(
    ctx: Context, declared: ErasureRequest, status: Status, told: str, *, remedy: Remedy | None = None, reason: str = ""
) -> Finding:
    limits = ("Whether the federation aggregates as declared is the owner's word.",)
    return ctx.finding(
        status, told[:300], key=key_of(declared), basis=Basis.DECLARED, remedy=remedy, limitations=limits, reason=reason
    )
