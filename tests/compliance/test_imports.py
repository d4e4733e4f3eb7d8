"""What the package loads, and what its own words never say: asked of every module at once."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import compliance

ROOT = Path(compliance.__file__).parent
MODULES = sorted(
    ".".join(("compliance", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for file in ROOT.rglob("*.py")
)
VERDICT = re.compile(
    r"\b(?:complian(?:t|ce)|compl(?:y|ies)|certif(?:y|ies|ied)|conform(?:s|ant|ing)|legal advice)\b", re.IGNORECASE
)
NAMES = re.compile(r"compliance\.[a-z-]+|fedaudit compliance|^compliance$|Compliance \[(?:1-5|Text)\]")
"""Of our package, our command, and the columns and profiles of AIReg-Bench."""
SPEAKS_OF_DOCUMENTS = {"addressed.py", "instructions.py", "lookalikes.py", "aireg.py", "aireg_repository.py"}
"""Hold patterns of what documents say, and AIReg-Bench's own words for its items."""


def test_no_module_needs_torch_or_what_reads_workbooks_and_pdf() -> None:
    script = (
        "import importlib, sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'openpyxl', 'pypdf')))\n"  # an import of them now fails
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(len(sys.argv) - 1)"
    )
    done = subprocess.run([sys.executable, "-c", script, *MODULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-600:]
    assert int(done.stdout) == len(MODULES) > 80


def said(source: str) -> Iterator[tuple[int, str]]:
    """Yield the strings of a module with their lines; docstrings, which nobody is told, are left out."""
    tree = ast.parse(source)
    told = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, told)]
    bare = [one.value for body in bodies for one in body if isinstance(one, ast.Expr)]
    docstrings = {id(one) for one in bare if isinstance(one, ast.Constant)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_no_string_of_ours_decides(file: Path) -> None:
    if file.name not in SPEAKS_OF_DOCUMENTS:
        for line, text in said(file.read_text(encoding="utf-8")):
            assert not VERDICT.search(NAMES.sub("", text)), f"line {line}: {text[:80]}"


@pytest.mark.parametrize("file", sorted((ROOT / "templates").iterdir()), ids=lambda file: file.name)
def test_no_template_of_ours_decides(file: Path) -> None:
    assert not VERDICT.search(NAMES.sub("", file.read_text(encoding="utf-8")))


def test_a_verdict_would_be_noticed() -> None:
    [(line, text)] = said('"""Docstring: compliant."""\n\ndef f():\n    """Certified."""\n    return "it complies"\n')
    assert line == 5
    assert VERDICT.search(text)
