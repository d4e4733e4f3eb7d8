"""The report for machines, as `render` and `gate` write it; each exporter is loaded where it is asked for."""

from reports.statement import Statement
from reports.verdict import Verdict

EXPORTS = ("sarif", "junit", "oscal")
"""What `render --format` takes besides the report for people."""


def exported(kind: str, statement: Statement, verdict: Verdict | None) -> bytes:
    """Return the report as `sarif`, `junit`, `oscal` or `summary`, with the verdict where there is one."""
    if kind == "sarif":
        from reports.export_sarif import export_sarif

        return export_sarif(statement.report, verdict)
    if kind == "junit":
        from reports.export_junit import export_junit

        return export_junit(statement.report, verdict)
    if kind == "oscal":
        from reports.export_oscal import export_oscal

        return export_oscal(statement.report, verdict, report_sha256=statement.sha256)
    from reports.export_summary import export_summary

    return export_summary(statement.report, verdict, report_sha256=statement.sha256)
