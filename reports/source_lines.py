"""Where in the system file a finding points: for readers who show findings beside the file.

A report holds the system file by digest alone, so the file is given on the side, and must be that very one.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reports.errors import SystemFileError
from reports.model import Finding, Report
from reports.toml_lines import toml_lines
from reports.tomlfile import parse_toml, read_bounded

_SECTIONS: Mapping[str, tuple[str, ...]] = {
    "secagg": ("federation.secure_aggregation", "federation"),
    "dp": ("federation.differential_privacy", "federation"),
    "attack.membership": ("data", "model"),
    "attack.poisoning": ("federation",),
    "attack.unlearning-difference": ("unlearning",),
    "attack.aggregate": ("updates", "federation.visibility", "federation"),
    "attack": ("updates", "data", "model", "federation"),
    "unlearning": ("unlearning",),
    "compliance.claims": ("claims", "documents"),
    "compliance": ("documents", "system"),
    "integrity.accuracy": ("model", "data"),
    "integrity": ("digests", "model"),
}
"""What the checks of a family ask about, most telling first; the longest name counts."""


@dataclass(frozen=True)
class SourceLines:
    """The system file of a report, as one looks things up in it."""

    uri: str
    """Where readers find it, with `/`; relative to what they look at, such as the root of a repository."""
    lines: Mapping[str, int]
    """Line of each table and key, by path."""
    requests: Mapping[str, str]
    """Path of each `[[unlearning]]` entry, by its id."""

    def line_of(self, finding: Finding) -> int:
        """Return the line of the setting that a finding speaks of, else of its section, else the first."""
        return next((self.lines[path] for path in self._paths(finding) if path in self.lines), 1)

    def _paths(self, finding: Finding) -> Iterator[str]:
        kind, _, name = finding.key.partition("=")
        request = self.requests.get(name, "") if kind == "unlearning" else ""
        if finding.remedy:
            parameter = finding.remedy.parameter
            if request and parameter.startswith("unlearning."):
                yield f"{request}.{parameter.partition('.')[2]}"
                yield request
            yield from _upwards(parameter)
        yield from filter(None, (request, name if kind == "file" else ""))
        yield from next((_SECTIONS[one] for one in _upwards(finding.check) if one in _SECTIONS), ())
        yield "system"


def source_lines(path: Path, report: Report) -> SourceLines:
    """Return the lines of the system file at `path`, which must be the one that was audited.

    Raises:
        SystemFileError: `source.not_found`, `source.too_large`, `source.syntax`; `source.mismatch`, another file.
    """
    data = read_bounded(path, SystemFileError, "source")
    if hashlib.sha256(data).hexdigest() != report.system.source.sha256:
        mend = "Check out what was audited, or leave --source out."
        raise SystemFileError("source.mismatch", f"{path}: is not the system file that the report is about", mend)
    entries = parse_toml(data, path, SystemFileError, "source").get("unlearning")
    listed = entries if isinstance(entries, list) else []
    requests = {
        str(entry["id"]): f"unlearning[{number}]"
        for number, entry in enumerate(listed)
        if isinstance(entry, dict) and "id" in entry
    }
    return SourceLines(_uri(path, report), toml_lines(data.decode()), requests)


def _uri(path: Path, report: Report) -> str:
    """Return the path as it was given where it leads down from here; else what the report says."""
    leads_down = not path.is_absolute() and ".." not in path.parts
    return PurePosixPath(*path.parts).as_posix() if leads_down else report.system.source.path


def _upwards(path: str) -> Iterator[str]:
    """Yield a path and those above it: `a.b.c`, `a.b`, `a`."""
    while path:
        yield path
        path = path.rpartition(".")[0]
