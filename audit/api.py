"""An audit in one call, from a notebook or a training script: what `fedaudit run` does, without a terminal.

from audit.api import audit_system

audited = audit_system("recorded/system.toml", "bundle", key="auditor.key")
for finding in audited.report.findings:
    print(finding.status, finding.check, finding.summary)
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audit.executors import named_executor
from audit.request import Audited, Progress, Request
from audit.run import run_audit
from reports.errors import KeyFileError
from reports.keyfile import read_private_key
from reports.keys import PrivateKey
from reports.model import Effort
from reports.renderings import standard_renderings

__all__ = ["audit_system"]


def _no_passphrase() -> bytes:
    raise KeyFileError("key.passphrase", "the key needs a passphrase", "Hand in passphrase=, a function that gives it.")


def audit_system(
    system: str | Path,
    bundle: str | Path,
    *,
    key: str | Path | PrivateKey | None = None,
    passphrase: Callable[[], bytes] = _no_passphrase,
    effort: Effort | str = Effort.STANDARD,
    executor: str = "serial",
    now: datetime | None = None,
    progress: Progress | None = None,
    **asked: Any,
) -> Audited:
    """Ask every check that applies to a system, and write its bundle with the report for people in it.

    Args:
        system: The system.toml.
        bundle: The folder to write; must not exist.
        key: Signs the report: a key, or its file; unsigned where None.
        passphrase: Gives the passphrase, where the file needs one.
        effort: `smoke`, `standard` or `full`.
        executor: Where trials run: `serial`, `process` or `ray`; the answers are the same.
        now: The clock of the run, with its offset; by default the time at which it begins.
        progress: Told how it goes.
        **asked: Further fields of `audit.request.Request`, such as `only`, `seed`, `auditor` and `options`. A run of
            this bundle that was stopped is refused, unless `leftover` says what becomes of it.

    Raises:
        FedauditError: the system, a file of it, or the key cannot be used; nothing was written. See `run_audit`.
        ValueError: there is no such effort, or `now` has no offset.
    """
    signer = key if isinstance(key, PrivateKey) or key is None else read_private_key(Path(key), passphrase)
    request = Request(
        system_file=Path(system),
        bundle=Path(bundle),
        now=now or datetime.now(UTC).replace(microsecond=0),
        now_was_said=now is not None,
        effort=Effort(effort),
        **{"leftover": "refuse", **asked},
    )
    return run_audit(
        request, key=signer, render=standard_renderings, executor=named_executor(executor), progress=progress
    )
