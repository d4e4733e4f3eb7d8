"""The files by which a CI service finds its job, written for the place of the system in its repository.

The services read them from the root of a repository alone; the paths inside them start there too.
"""

import json
import re
import shlex
from importlib.resources import files
from pathlib import Path, PurePosixPath

from reports.errors import FileError
from reports.version import VERSION

SERVICES = ("github", "gitlab", "pre-commit")
"""What `init --ci` takes."""
INCLUDING = PurePosixPath(".gitlab-ci.yml")
"""A pipeline that a repository may have already: it is kept, and a line added by hand names our job."""
_PLACES = {
    "github": {".github/actions/fedaudit/action.yml": "action.yml", ".github/workflows/fedaudit.yml": "workflow.yml"},
    "gitlab": {".gitlab/fedaudit.yml": "gitlab.yml", str(INCLUDING): "gitlab-ci.yml"},
    "pre-commit": {".pre-commit-config.yaml": "pre-commit.yaml"},
}
_PLAIN = re.compile(r"[\w+,=@. /-]*")
"""Names of folders that mean nothing to YAML, to a shell or to a service."""


def repository_of(folder: Path) -> Path:
    """Return the root of the repository that `folder` lies in, or will lie in; `folder` itself where there is none."""
    place = folder.resolve()
    return next((one for one in (place, *place.parents) if (one / ".git").exists()), place)


def ci_files(service: str, folder: Path) -> dict[Path, str]:
    """Return the files of a service by path, for the system in `folder`.

    Raises:
        FileError: `init.folder_name`, the way from the root of the repository to `folder` has letters that a service
            would read as something else.
    """
    root = repository_of(folder)
    way = folder.resolve().relative_to(root).as_posix()
    if way == ".":
        root = folder  # as the caller wrote it
    prefix = "" if way == "." else f"{way}/"
    if not _PLAIN.fullmatch(prefix):
        mend = "Use letters, digits, blanks and +,=@._- in the names of folders."
        raise FileError("init.folder_name", f"{folder}: {way!r} cannot be written into a CI file", mend)
    return {root / place: _placed(_template(name), prefix) for place, name in _PLACES[service].items()}


def _template(name: str) -> str:
    return (files("reports") / "ci" / name).read_text(encoding="utf-8")


def _placed(text: str, prefix: str) -> str:
    """Return a template for a system below `prefix` ("" or a folder with its slash), at this version of fedaudit."""
    lint = shlex.join(
        ["fedaudit", "gate", "--lint", "--policy", f"{prefix}policy.toml", "--trust", f"{prefix}trust.toml"]
    )
    values = {
        '"fedaudit"': f"fedaudit=={VERSION}",
        '"system.toml"': f"{prefix}system.toml",
        '"policy.toml"': f"{prefix}policy.toml",
        '"trust.toml"': f"{prefix}trust.toml",
        '"waivers.toml"': f"{prefix}waivers.toml",
        '"fedaudit gate --lint --policy policy.toml --trust trust.toml"': lint,
        r'"^[^/]*\\.(toml|pub|pem)$"': rf"^{re.escape(prefix)}[^/]*\.(toml|pub|pem)$",
    }
    for quoted, value in values.items():
        text = text.replace(quoted, json.dumps(value, ensure_ascii=False))
    return text
