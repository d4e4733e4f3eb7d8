"""The report for machines, as `render` and `gate` write it; each exporter is loaded where it is asked for."""

from pathlib import Path

from reports.statement import Statement
from reports.verdict import Verdict

EXPORTS = ("sarif", "junit", "oscal")
"""What `render --format` takes besides the report for people."""


def exported(kind: str, statement: Statement, verdict: Verdict | None, source: Path | None = None) -> bytes:
    """Return the report as `sarif`, `junit`, `oscal` or `summary`, with the verdict where there is one.

    Raises:
        SystemFileError: `source.…`, the system file on the side, by which SARIF knows lines, is not the report's.
    """
    if kind == "sarif":
        from reports.export_sarif import export_sarif
        from reports.source_lines import source_lines

        return export_sarif(statement.report, verdict, source_lines(source, statement.report) if source else None)
    if kind == "junit":
        from reports.export_junit import export_junit

        return export_junit(statement.report, verdict)
    if kind == "oscal":
        from reports.export_oscal import export_oscal

        return export_oscal(statement.report, verdict, report_sha256=statement.sha256)
    from reports.export_summary import export_summary

    return export_summary(statement.report, verdict, report_sha256=statement.sha256)
