"""The evidence of a self-test: what was planted, with which versions, and what each check made of it."""

import platform
from datetime import date

from audit.provenance import packages
from audit.selftest.matrix import Matrix
from audit.selftest.power import power_of
from audit.store_binding import code_sha256
from reports.self_test import SelfTest
from reports.version import VERSION


def evidence_of(matrix: Matrix, on: date) -> SelfTest:
    """Return the evidence: the same whichever executor played the cases, and without their times.

    Args:
        matrix: what was observed.
        on: day of the audits' clock.
    """
    return SelfTest(
        fedaudit=VERSION,
        code_sha256=code_sha256(),
        python=platform.python_version(),
        packages=packages(),
        effort=matrix.effort,
        seeds=matrix.seeds,
        date=on,
        flaws=tuple(row.noun for row in matrix.rows),
        left_out=matrix.left_out,
        is_whole=matrix.is_whole,
        power=power_of(matrix.rows, matrix.checks),
        summary=matrix.summary,
    )
