"""What a report must show before a model may go on: thresholds, required checks, and waivers that expire.

The digest of a policy is fixed before the first measurement (Regulation (EU) 2024/1689, Art. 9(8): "prior defined
metrics and probabilistic thresholds"), so it covers every rule; comments and waivers do not change it.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import rfc8785
from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from reports.errors import PolicyError
from reports.model import CheckId, Fingerprint, MeasurementName
from reports.nouns import Count, Day, Effort, FiniteNumber, Noun, Ordered, Severity, Sha256, Strength, Text, Word
from reports.tomlfile import parse_noun, read_toml

CheckGlob = Annotated[str, StringConstraints(strict=True, max_length=100, pattern=r"^[a-z0-9.*-]+$")]
"""A check id, in which `*` stands for any letters."""
Switch = Annotated[bool, Field(strict=True)]


class Support(Ordered):
    """How far evidence carries a duty of the law, least first."""

    ATTESTATION = "attestation"
    DOCUMENT = "document"
    PARTIAL = "partial"
    DIRECT = "direct"


class Requirement(Noun):
    """One `[[require]]`: a check that must pass, or a duty of the law that must be supported."""

    check: CheckId | None = None
    """Id of the check; or else `control`."""
    control: Word | None = None
    """Id of the law catalogue, such as `EU-AIA:15(5)#confidentiality`."""
    min_strength: Strength | None = None
    """Weakest proof that satisfies, for a check; None: any."""
    min_support: Support | None = None
    """Least support that satisfies, for a control; None: partial."""
    waivable: Switch = True
    """Whether a waiver may excuse it; where False, no finding of the check can be waived either."""

    @model_validator(mode="after")
    def _names_one_thing(self) -> "Requirement":
        if (self.check is None) == (self.control is None):
            raise PydanticCustomError(
                "requirement", "needs either check or control", {"mend": 'Write check = "…" or control = "…".'}
            )
        if self.check is not None and self.min_support is not None:
            raise PydanticCustomError(
                "requirement", "min_support belongs to a control", {"mend": "Write min_strength for a check."}
            )
        if self.control is not None and self.min_strength is not None:
            raise PydanticCustomError(
                "requirement", "min_strength belongs to a check", {"mend": "Write min_support for a control."}
            )
        return self


class ThresholdRule(Noun):
    """One `[[threshold]]`: a limit that the whole confidence interval of a measurement must keep."""

    check: CheckGlob
    """Whose measurements: an id, or a glob with `*`."""
    measurement: MeasurementName
    """Name of the measurement."""
    op: Literal["<=", ">="]
    """Which side satisfies; equality does."""
    limit: FiniteNumber
    """In the unit of the measurement."""
    min_n: Annotated[Count, Field(ge=1)] | None = None
    """Fewest independent trials; None: any number."""
    max_regression: Annotated[FiniteNumber, Field(ge=0)] | None = None
    """Largest step for the worse of the interval's worse end, against the baseline."""
    waivable: Switch = True
    """Whether a waiver may excuse it."""


class Waiver(Noun):
    """One `[[waivers]]`: somebody answers, for a time, for a rule that is not satisfied."""

    id: Word
    """Unique in the file."""
    check: CheckId
    """The very check; no glob."""
    system: Word
    """Name of the system it is for."""
    outcome: Literal["fail", "incomplete"] = "fail"
    """What it excuses."""
    reason: Annotated[Text, Field(min_length=20, max_length=2000)]
    """Why that is acceptable for now, at least 20 characters."""
    owner: Word
    """Who mends it."""
    approved_by: Word
    """Who allowed it; somebody else."""
    created: Day
    """First day it holds (UTC)."""
    expires: Day
    """Last day it holds (UTC)."""
    fingerprint: Fingerprint | None = None
    """Of the only finding it excuses; None: every finding of the check."""
    subject_sha256: Sha256 | None = None
    """Of the only model (or other subject of the report) it is for."""

    @model_validator(mode="after")
    def _is_answered_for(self) -> "Waiver":
        if len(self.reason.strip()) < 20:
            raise PydanticCustomError(
                "waiver_reason", "the reason is too short", {"mend": "Say in 20 characters or more why."}
            )
        for name in ("id", "owner", "approved_by"):
            if not str(getattr(self, name)).strip():
                raise PydanticCustomError("waiver_person", f"{name} is blank", {"mend": "Name somebody."})
        if self.owner.strip().casefold() == self.approved_by.strip().casefold():
            raise PydanticCustomError(
                "waiver_approver", "owner and approved_by are the same", {"mend": "Let somebody else approve it."}
            )
        if self.expires < self.created:
            raise PydanticCustomError(
                "waiver_dates", "it expires before it is created", {"mend": "Put expires on a later day."}
            )
        return self


class Policy(Noun):
    """The file policy.toml."""

    version: Annotated[int, Field(strict=True, ge=1, le=1)]
    """Of this format: 1."""
    name: Word
    """What people call it."""
    fail_on: Severity | None = None
    """Severity from which a failed finding blocks; None: none blocks by its severity."""
    confidence: Annotated[FiniteNumber, Field(gt=0, lt=1)] = 0.95
    """Least confidence of the intervals that thresholds look at."""
    on_error: Literal["incomplete", "warn"] = "incomplete"
    """What a check that broke means, where it is not required."""
    min_effort: Effort | None = None
    """Least effort of the run."""
    max_report_age_days: Count | None = None
    """Oldest report, in days."""
    max_waiver_days: Count = 180
    """Longest waiver, in days."""
    require_commitment: Switch = False
    """Whether the report must hold the digest of this policy, fixed before the run."""
    require_trust: Switch = False
    """Whether a report must be signed by somebody trusted (`--unsigned` is refused)."""
    require_derived_seed: Switch = False
    """Whether the seed must follow from the inputs, so that nobody reran until the dice pleased."""
    withheld: Literal["allow", "deny"] = "allow"
    """Whether confidential evidence may be absent from the bundle."""
    pinned: tuple[Sha256, ...] = ()
    """Assessments, calibrations and cassettes that are believed, by digest."""
    require: tuple[Requirement, ...] = ()
    """What must have been shown."""
    threshold: tuple[ThresholdRule, ...] = ()
    """What numbers must keep."""
    waivers: tuple[Waiver, ...] = ()
    """What is excused for now."""

    def blocks(self, severity: Severity) -> bool:
        """Tell whether a failure of this severity blocks by itself."""
        return self.fail_on is not None and severity.at_least(self.fail_on)

    @model_validator(mode="after")
    def _can_block(self) -> "Policy":
        if not self.require and not self.threshold and self.fail_on is None:
            raise PydanticCustomError(
                "empty",
                "it asks for nothing: every report would pass",
                {"mend": 'Add fail_on = "medium" or a [[require]].'},
            )
        check_waivers(self.waivers, self.max_waiver_days)
        return self


class WaiverFile(Noun):
    """A file of waivers alone, kept where a change under review cannot edit it."""

    version: Annotated[int, Field(strict=True, ge=1, le=1)] = 1
    """Of this format: 1. It may be left out, so that an empty file is one without waivers."""
    waivers: tuple[Waiver, ...] = ()
    """What is excused for now."""


def check_waivers(waivers: tuple[Waiver, ...], max_waiver_days: int) -> None:
    """Refuse waivers that share an id or last too long (a validator's error, with its code and its mend)."""
    seen: set[str] = set()
    for waiver in waivers:
        name = {"id": waiver.id}
        if waiver.id in seen:
            raise PydanticCustomError(
                "waiver_id", "two waivers are called {id}", name | {"mend": "Give each its own id."}
            )
        seen.add(waiver.id)
        if (waiver.expires - waiver.created).days > max_waiver_days:
            raise PydanticCustomError(
                "waiver_length",
                "waiver {id} lasts longer than max_waiver_days = {days}",
                name | {"days": max_waiver_days, "mend": "Let it expire sooner and renew it then."},
            )


def load_policy(path: Path) -> Policy:
    """Return the policy in a TOML file.

    Raises:
        PolicyError: `policy.not_found`, `.too_large`, `.syntax`, `.unknown_key`, `.missing_key`, `.value`, `.empty`,
            `.requirement`, or `.waiver_*`; the message names file and key, the hint the mend.
    """
    return parse_noun(Policy, read_toml(path, PolicyError, "policy"), path, PolicyError, "policy")


def load_waivers(path: Path, policy: Policy) -> tuple[Waiver, ...]:
    """Return the waivers of a file of their own; then the policy may hold none, or a change could exempt itself.

    Raises:
        PolicyError: as `load_policy`; `policy.waivers_twice`, the policy holds waivers too.
    """
    if policy.waivers:
        raise PolicyError(
            "policy.waivers_twice",
            f"{path}: the policy {policy.name!r} holds waivers of its own",
            "Move them into this file: where a file of waivers is given, no others count.",
        )
    waivers = parse_noun(WaiverFile, read_toml(path, PolicyError, "policy"), path, PolicyError, "policy").waivers
    try:
        check_waivers(waivers, policy.max_waiver_days)
    except PydanticCustomError as error:
        mend = str((error.context or {})["mend"])
        raise PolicyError(f"policy.{error.type}", f"{path}: {error.message()}", mend) from error
    return waivers


def policy_bytes(policy: Policy) -> bytes:
    """Return the RFC 8785 form of the policy without its waivers: what a digest and a time stamp are of."""
    return rfc8785.dumps(policy.model_dump(mode="json", exclude={"waivers"}))


def policy_digest(policy: Policy) -> str:
    """Return sha256 over the RFC 8785 form of the policy without its waivers, 64 hexadecimal digits."""
    return hashlib.sha256(policy_bytes(policy)).hexdigest()
