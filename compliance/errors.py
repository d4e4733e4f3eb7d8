"""What can go wrong in compliance, as a tree.

    FedauditError                      reports/errors.py
    └── ComplianceError                whatever leaves this package
        ├── CitationError              a citation cannot be read
        ├── CatalogueError             no such law version, role, condition or control
        ├── DocumentError              a document cannot be read
        ├── JudgeFileError             judge.toml, thresholds.toml or a file beside them
        ├── CalibrationError           scores, a data set or a calibration file cannot be used
        ├── EgressRefused              bytes would leave for a host that was not named (exit 2)
        ├── CassetteError              a recording is missing an answer or was altered (exit 3)
        ├── BudgetSpent                no request more (exit 3)
        └── EndpointError              the model's server cannot be used (exit 3)

Each carries a machine code, one sentence for people and, in `hint`, the mend.
"""

from reports.errors import FedauditError


class ComplianceError(FedauditError):
    """Whatever leaves this package on purpose."""


class CitationError(ComplianceError):
    """A text is no citation."""


class CatalogueError(ComplianceError):
    """No such law version, role, condition or control; the message names the allowed ones."""


class DocumentError(ComplianceError):
    """A document cannot be read."""


class JudgeFileError(ComplianceError):
    """`judge.toml`, `thresholds.toml` or an assessment cannot be used as it stands."""


class CalibrationError(ComplianceError):
    """Scores, a data set of annotated items or a calibration file cannot be used."""


class EgressRefused(ComplianceError):  # noqa: N818 - it tells what was decided, not that something broke
    """Bytes would leave for a host that nobody named; no socket was opened."""


class CassetteError(ComplianceError):
    """A recording lacks an answer, or one was altered."""

    exit_code = 3


class BudgetSpent(ComplianceError):  # noqa: N818 - it tells what was found
    """The next request would go beyond the budget, so it is not sent."""

    exit_code = 3


class EndpointError(ComplianceError):
    """The server of a language model cannot be used."""

    exit_code = 3
