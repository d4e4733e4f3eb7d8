"""`fedaudit init`: the three files one starts from, commented."""

import json
import shlex
from importlib.resources import files
from pathlib import Path

import click

from audit.cli.answer import Answer, command
from reports.errors import FileError

TEMPLATES = ("system.toml", "policy.toml", "trust.toml")
UNNAMED = '"my-system"'
"""The name in the templates; a folder's own takes its place."""


@command("init")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def init(folder: Path) -> Answer:
    """Write a commented system.toml, policy.toml and trust.toml into DIR; nothing is overwritten."""
    targets = [folder / name for name in TEMPLATES]
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise FileError("init.not_a_folder", f"{path}: is no folder", "Name another folder.")
    for path in targets:
        if path.exists() or path.is_symlink():
            mend = "Nothing was written. Choose another folder, or move the file away."
            raise FileError("init.exists", f"{path}: exists already", mend)
    folder.mkdir(parents=True, exist_ok=True)
    _write(targets, _named(folder.resolve().name))
    system = shlex.quote(str(targets[0]))
    lines = [
        *(f"wrote {path}" for path in targets),
        "",
        f"Say in {targets[0]} what there is; then:",
        f"  fedaudit checks --system {system}",
        f"  fedaudit run {system} -o {shlex.quote(str(folder / 'bundle'))}",
    ]
    return Answer(text="\n".join(lines), fields={"written": [str(path) for path in targets]})


def _named(name: str) -> dict[str, str]:
    """Return the templates by file name, the system called after its folder where that makes a name."""
    folder = files("audit.cli") / "templates"
    usable = name.isprintable() and 0 < len(name) <= 200
    own = json.dumps(name, ensure_ascii=False) if usable else UNNAMED
    return {file: (folder / file).read_text(encoding="utf-8").replace(UNNAMED, own) for file in TEMPLATES}


def _write(targets: list[Path], texts: dict[str, str]) -> None:
    """Write all files or none."""
    written: list[Path] = []
    try:
        for path in targets:
            with path.open("x", encoding="utf-8", newline="\n") as file:
                written.append(path)
                file.write(texts[path.name])
    except OSError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
