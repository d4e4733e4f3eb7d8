"""One check is asked: what it answers, and what becomes of it where it breaks off.

An exception in a check is its finding, and the others are still asked; foreign words never reach the report.
"""

import logging
from collections.abc import Iterable

from audit.plan import Planned
from audit.store_errors import RunStoreError, StoppedError
from reports.check import Check, Context
from reports.errors import FedauditError
from reports.model import Finding, Remedy, Severity, Status
from reports.trials import TrialError

log = logging.getLogger(__name__)


def ask(planned: Planned, context: Context, *, files_must_fit: bool = False) -> tuple[Finding, ...]:
    """Return what one check answers, at least one finding; an exception in it is a finding with status `error`.

    Raises:
        FedauditError: a file cannot be used, and `files_must_fit`.
        RunStoreError, StoppedError: what was finished cannot be kept, or not be read again; a worker was killed.
    """
    if not planned.runs:
        return (context.finding(Status.SKIPPED, planned.because, severity=Severity.INFO, reason=planned.reason),)
    try:
        found = tuple(planned.check.ask(context.system, context))
        _accept(planned.check, found)
    except (RunStoreError, StoppedError):
        raise
    except Exception as error:  # the run goes on, and the report says what broke
        if files_must_fit and isinstance(error, FedauditError) and error.exit_code == FedauditError.exit_code:
            raise
        log.debug("%s stopped with %s", planned.check.id, type(error).__name__, exc_info=error)
        return (_too_large(context) if _out_of_memory(error) else _broken(context, error),)
    return found


def _accept(check: Check, found: Iterable[Finding]) -> None:
    """Refuse answers that the report could not tell apart or attribute."""
    keys = [finding.key for finding in found]
    if not keys:
        raise ValueError("the check yielded no finding")
    if len(set(keys)) < len(keys):
        raise ValueError("the check yielded two findings with one key")
    if any(finding.check != check.id for finding in found):
        raise ValueError("the check yielded a finding of another check")


def _out_of_memory(error: Exception) -> bool:
    """Tell whether the machine had too little memory; torch says so of the CPU in words alone."""
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


def _too_large(context: Context) -> Finding:
    remedy = Remedy(
        parameter="effort", direction="lower",
        text="Ask on a machine with more memory, on --device cpu, or at a lower effort.",
    )  # fmt: skip
    summary = "The machine's memory did not suffice, so the check gave no answer."
    return context.finding(Status.INCONCLUSIVE, summary, remedy=remedy, reason="budget")


def _broken(context: Context, error: Exception) -> Finding:
    kind = error.kind if isinstance(error, TrialError) else type(error).__name__
    detail = ""
    if isinstance(error, FedauditError):  # ours are written for readers; others may hold anything
        detail = str(error).replace(f"{context.folder}/", "")
    elif isinstance(error, ValueError) and str(error).startswith("the check yielded"):
        detail = str(error)
    summary = f"The check stopped with {kind} and gave no answer."
    return context.finding(Status.ERROR, summary, detail=detail, reason=f"exception:{kind}")
