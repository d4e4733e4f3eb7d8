"""Whether the declared aggregation rule withstands malicious clients, rehearsed on a stand-in federation.

The rule is what is asked about; model and data are not the system's. So the answer is a screening: a rule that gives
way here, where clients are alike and attackers simple, has not been shown to hold anywhere.
"""

from collections.abc import Iterator
from dataclasses import replace

from audit.answer import skipped
from audit.attacks.aggregation_rules import Rule, declared_rule, reckoned_with
from audit.attacks.malicious_clients import Question, compare
from audit.attacks.poisoning_answer import answered
from audit.decision import LEAST_RECORDS
from reports.check import Context, check
from reports.model import Basis, Effort, Finding, Remedy, Severity, Status, Strength, System

FEDERATIONS = {Effort.SMOKE: 9, Effort.STANDARD: LEAST_RECORDS, Effort.FULL: 128}
"""Nine of nine against none of nine is the least that five attacks can accuse with (p = 0.0098 after Holm)."""
SHARES = {Effort.SMOKE: (0.3,), Effort.STANDARD: (0.1, 0.3), Effort.FULL: (0.1, 0.2, 0.3)}
FEWEST, MOST = 10, 20
"""Clients of the stand-in: fewer cannot have a tenth that is malicious, more cost time and change little."""


@check(
    "attack.poisoning",
    "The aggregation rule withstands malicious clients",
    needs=("federation",),
    controls=("EU-AIA:15(5)#data-poisoning", "EU-AIA:annex-IV(2)(g)"),
    kinds=("robustness",),
    strength=Strength.SCREENING,
    severity=Severity.HIGH,
)
def poisoning(system: System, ctx: Context) -> Iterator[Finding]:
    """Let 10 to 30 % of a stand-in's clients be malicious, under the declared rule and under the plain mean.

    They flip labels, replace the model or plant a backdoor; from other rules than the mean they also hide.

    A federation is subverted when the attacker's wish holds for half of the probes. Fails when the declared rule is
    subverted oftener than it is without malicious clients (McNemar, p <= 0.01 after Holm); passes when at most 5 % of
    federations are, with 95 % confidence, while the same attacks subvert the plain mean and the rule lets the
    federation learn; else inconclusive, as where the rule has a name that nobody knows. Skipped where no rule is
    declared, and where the server sees sums alone, of which no rule can leave anybody out.
    """
    federation = system.federation
    if federation is not None and federation.visibility == "aggregate":
        yield skipped(ctx, "Of sums alone no rule can leave out a malicious client.", "sums-only")
        return
    if federation is None or federation.aggregation is None:
        yield skipped(ctx, "It is not declared by which rule updates become a model.", "undeclared-rule")
        return
    clients = federation.clients_per_round or federation.clients or FEWEST
    stand_in = min(max(clients, FEWEST), MOST)
    rule = _applied(declared_rule(federation.aggregation), clients, stand_in)
    if rule is None:
        told = f"The rule {federation.aggregation[:60]!r} is none that can be rehearsed here with {stand_in} clients."
        reason = "not-applicable:unknown-rule"
        yield ctx.finding(Status.INCONCLUSIVE, told, basis=Basis.DECLARED, remedy=_DECLARE, reason=reason)
        return
    question = Question(rule, stand_in, SHARES[ctx.effort])
    compared = list(ctx.map(compare, [question] * FEDERATIONS[ctx.effort], purpose="federations"))
    yield answered(system, ctx, question, compared)


_DECLARE = Remedy(
    parameter="federation.aggregation", direction="set", value="median",
    text="Declare the rule: mean, median, trimmed-mean(share), krum(share), multi-krum(share) or norm-clipping.",
)  # fmt: skip


def _applied(rule: Rule | None, clients: int, stand_in: int) -> Rule | None:
    """Return the rule for as many clients as the stand-in has: a count of the owner's becomes a share."""
    if rule is None or not rule.name.endswith("krum"):
        return rule
    number = rule.number
    if number is not None and number >= 1:
        number = number / clients
        rule = replace(rule, number=number)
    return rule if 2 * reckoned_with(stand_in, number) + 2 < stand_in and (number is None or number < 1) else None
