"""Whether a report agrees with itself (`report.inconsistent`): what no schema can say of one field alone.

A signature shows who said something, not that it can be true. A report whose auditor signed a pass that breaks its own
threshold, or a seed said to be derived that is not, is refused.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

from reports.model import Confidentiality, Finding, Measurement, Report, Status, Strength, fingerprint
from reports.salting import SALT_BYTES
from reports.seed import derived_seed


def inconsistencies(report: Report) -> Iterator[str]:
    """Yield a sentence for each way in which `report` contradicts itself, in the order of the rules."""
    for rule in RULES:
        yield from rule(report)


def _findings_sorted(report: Report) -> Iterator[str]:
    for first, second in pairwise((finding.check, finding.key) for finding in report.findings):
        if not first < second:
            what = "stands twice" if first == second else f"stands before {_named(*second)}"
            yield f"the finding {_named(*first)} {what}; findings are sorted and unique by check and key"


def _fingerprints_recompute(report: Report) -> Iterator[str]:
    for finding in report.findings:
        if finding.fingerprint != fingerprint(report.system.name, finding.check, finding.key):
            yield f"the fingerprint of {_name(finding)} is not that of its system, check and key"


def _evidence_sorted(report: Report) -> Iterator[str]:
    for first, second in pairwise(piece.sha256 for piece in report.evidence):
        if not first < second:
            yield f"the evidence {second[:12]} is out of order; evidence is sorted and unique by digest"


def _salts_have_room(report: Report) -> Iterator[str]:
    for piece in report.evidence:
        if piece.salted and piece.size < SALT_BYTES:
            yield f"the evidence {piece.sha256[:12]} is said to be salted and is smaller than a salt"
        if piece.salted and not piece.confidentiality.at_least(Confidentiality.CONFIDENTIAL):
            yield f"the evidence {piece.sha256[:12]} is salted, and {piece.confidentiality}: it may not be withheld"


def _citations_exist(report: Report) -> Iterator[str]:
    listed = {piece.sha256 for piece in report.evidence}
    for finding in report.findings:
        for cited in finding.evidence:
            if cited not in listed:
                yield f"{_name(finding)} cites the evidence {cited[:12]}, which the report does not list"


def _control_rows_exist(report: Report) -> Iterator[str]:
    known = {finding.fingerprint for finding in report.findings}
    for row in report.controls:
        for cited in row.findings:
            if cited not in known:
                yield f"the control {row.control} rests on the finding {cited[:12]}, which the report does not hold"


def _times_in_order(report: Report) -> Iterator[str]:
    if report.provenance.started > report.provenance.finished:
        yield "the run finished before it started"


def _intervals_in_order(report: Report) -> Iterator[str]:
    for finding in report.findings:
        for measurement in finding.measurements:
            if measurement.interval and measurement.interval.low > measurement.interval.high:
                yield f"the interval of {measurement.name} in {_name(finding)} ends below its start"


def _passes_keep_their_limits(report: Report) -> Iterator[str]:
    for finding in report.findings:
        for measurement in finding.measurements:
            if finding.status is Status.PASS and _breaks_its_threshold(measurement):
                yield f"{_name(finding)} passes although {measurement.name} breaks its own threshold"


def _passes_are_earned(report: Report) -> Iterator[str]:
    for finding in report.findings:
        if (
            finding.status is Status.PASS
            and finding.strength is Strength.STATISTICAL
            and not any(_could_have_failed(measurement) for measurement in finding.measurements)
        ):
            yield f"{_name(finding)} is a statistical pass without a measurement that has interval, trials and control"


def _seed_is_derived(report: Report) -> Iterator[str]:
    given = report.provenance
    if given.seed_source == "derived":
        expected = derived_seed(report.system.source.sha256, given.policy_sha256, given.nonce)
        if given.root_seed != expected:
            yield f"the root seed {given.root_seed} is not derived from system, policy and nonce; that is {expected}"


RULES: tuple[Callable[[Report], Iterator[str]], ...] = (
    _findings_sorted,
    _fingerprints_recompute,
    _evidence_sorted,
    _salts_have_room,
    _citations_exist,
    _control_rows_exist,
    _times_in_order,
    _intervals_in_order,
    _passes_keep_their_limits,
    _passes_are_earned,
    _seed_is_derived,
)
"""The rules in their order."""


def _breaks_its_threshold(measurement: Measurement) -> bool:
    if (threshold := measurement.threshold) is None:
        return False
    return measurement.value > threshold.limit if threshold.op == "<=" else measurement.value < threshold.limit


def _could_have_failed(measurement: Measurement) -> bool:
    return measurement.interval is not None and bool(measurement.n) and measurement.control is not None


def _name(finding: Finding) -> str:
    return _named(finding.check, finding.key)


def _named(check: str, key: str) -> str:
    return f"{check} [{key}]" if key else check
