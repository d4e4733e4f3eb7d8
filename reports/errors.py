"""The tree of exceptions. Each carries a stable code, one sentence, and the mend.

FedauditError
├── ReportError            a report, a bundle or what judges it cannot be used
│   ├── BundleError        the folder is not what it should be
│   │   ├── UnreadableBundleError   in reports.bundle: nothing was asked about trust (exit 3)
│   │   └── VerificationError   not authentic, not complete, not about this model, not fresh (exit 4)
│   │       └── StepError  in reports.verified: the step that refused it
│   ├── TrustError         the trust file (exit 2)
│   ├── PolicyError        the policy file (exit 2)
│   ├── KeyFileError       a key file (exit 2)
│   └── TimestampError     an RFC 3161 time-stamp, or the certificate of who stamps (exit 2)
├── SystemFileError        the system file or a file that it names (exit 2)
├── FileError              a file from outside: RefusedFormat, BrokenFile in reports.artifacts (exit 2)
├── UnlearningError        in unlearning.errors: a model, a layer list, a federation file (exit 2)
├── ComplianceError        in compliance.errors: a citation, a document, a judge file (exit 2)
├── CaptureError, FolderError  in audit.capture_forms, audit.system_folder: a folder that was to be made (exit 2)
├── ExecutorError          in audit.executors: Ray or joblib is not there (exit 2)
├── RunStoreError          in audit.store_errors: what an earlier run left cannot be gone on with (exit 2)
├── CheckError             the checks themselves: DuplicateCheckError in reports.check (exit 2)
└── IncompleteError        the work could not be completed (exit 3)
    └── StoppedError       in audit.store_errors: a run that can be resumed
        ├── StoreWriteError    the disk is full, or the folder read-only
        └── WorkerLostError    a worker process was killed
"""


class FedauditError(Exception):
    """The base: what went wrong, and what the reader can do about it.

    Args:
        code: stable machine word, such as `evidence.digest`.
        message: one sentence that names the file, the key and the fault.
        hint: the mend, or empty.
    """

    exit_code = 2

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint)  # all three: an error from a worker is rebuilt from its `args`
        self.code, self.message, self.hint = code, message, hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class ReportError(FedauditError):
    """A report, a bundle, or a file that judges it, cannot be used."""


class BundleError(ReportError):
    """The bundle is not what it should be, or cannot be written."""


class VerificationError(BundleError):
    """The bundle is not authentic, complete, about this model, or fresh."""

    exit_code = 4


class TrustError(ReportError):
    """The trust file cannot be used."""


class PolicyError(ReportError):
    """The policy file cannot be used."""


class KeyFileError(ReportError):
    """A key file cannot be used."""


class TimestampError(ReportError):
    """A time-stamp, or the certificate of an authority, cannot be used."""


class SystemFileError(FedauditError):
    """The system file, or a file that it names, cannot be used as it stands."""


class FileError(FedauditError):
    """A file from outside cannot be used."""


class CheckError(FedauditError):
    """The checks themselves cannot be used."""


class IncompleteError(FedauditError):
    """The work could not be completed."""

    exit_code = 3
