"""The tree of exceptions: each comes whole out of a worker process, and bears an exit code of the command line."""

import importlib
import pickle
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

import pytest

import audit
import compliance.errors
import reports
import secagg
import unlearning.errors
from reports import errors
from reports.errors import FedauditError, VerificationError

PACKAGES = (audit, compliance, reports, secagg, unlearning)


def defined(package: ModuleType) -> Iterator[type[FedauditError]]:
    """The errors of a package, from the modules that say so in their names, and from those that verify."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if re.search(r"error|verified$|bundle$|artifacts$|check$|executors$|_folder$", found.name):
            for one in vars(importlib.import_module(found.name)).values():
                if isinstance(one, type) and issubclass(one, FedauditError) and one.__module__ == found.name:
                    yield one


KINDS = sorted({one for package in PACKAGES for one in defined(package)}, key=str)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_comes_whole_out_of_a_worker(kind: type[FedauditError]) -> None:
    error = kind("a.b", "One sentence.", "The mend.")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.code, again.message, again.hint) == ("a.b", "One sentence.", "The mend.")
    assert again.exit_code == error.exit_code
    assert str(again) == "One sentence.\n  The mend."


def test_no_error_is_a_verdict_and_only_verifying_says_not_authentic() -> None:
    assert len(KINDS) >= 25
    for kind in KINDS:
        assert kind.exit_code in (2, 3, 4)
        assert (kind.exit_code == 4) == issubclass(kind, VerificationError)


def test_the_tree_is_drawn_whole() -> None:
    drawn = "".join(str(module.__doc__) for module in (errors, compliance.errors, unlearning.errors))
    assert [kind.__name__ for kind in KINDS if kind.__name__ not in drawn] == []
