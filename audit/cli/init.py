"""`fedaudit init`: the three files one starts from, commented; the files of a CI service; the schemas."""

import json
import shlex
from importlib.resources import files
from pathlib import Path

import click

from audit.cli.answer import Answer, command
from audit.cli.ci_files import INCLUDING, SERVICES, ci_files
from reports.errors import FileError

STARTERS = ("system.toml", "policy.toml", "trust.toml")
UNNAMED = '"my-system"'
"""The name in the templates; a folder's own takes its place."""


@command("init")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--ci", "service", type=click.Choice(SERVICES), help="Write what this service needs to run the gate.")
@click.option(
    "--schemas", is_flag=True, help="Write the JSON Schemas of all that is written and read, into DIR/schema."
)
def init(folder: Path, service: str | None, schemas: bool) -> Answer:
    """Write a commented system.toml, policy.toml and trust.toml into DIR; nothing is overwritten.

    With --ci or --schemas those of the three that are there already are kept. What --ci writes lies at the root of the
    git repository that DIR is in, where the services look for it.
    """
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise FileError("init.not_a_folder", f"{path}: is no folder", "Name another folder.")
    texts = _starters(folder)
    kept = [path for path in texts if _is_there(path)] if service or schemas else []
    if service:
        texts |= ci_files(service, folder)
        kept += [path for path in texts if path.name == str(INCLUDING) and _is_there(path)]
    if schemas:
        texts |= {folder / "schema" / name: text for name, text in _schemas().items()}
    texts = {path: text for path, text in texts.items() if path not in kept}
    for path in texts:
        if _is_there(path):
            mend = "Nothing was written. Choose another folder, or move the file away."
            raise FileError("init.exists", f"{path}: exists already", mend)
    _write(texts)
    lines = [
        *(f"wrote {path}" for path in texts),
        *(f"kept {path}" for path in kept),
        "",
        *_next(folder, service, kept),
    ]
    return Answer(text="\n".join(lines), fields={"written": [str(path) for path in texts]})


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _starters(folder: Path) -> dict[Path, str]:
    """Return the templates by path, the system called after its folder where that makes a name."""
    place, name = files("audit.cli") / "templates", folder.resolve().name
    usable = name.isprintable() and 0 < len(name) <= 200
    own = json.dumps(name, ensure_ascii=False) if usable else UNNAMED
    return {folder / file: (place / file).read_text(encoding="utf-8").replace(UNNAMED, own) for file in STARTERS}


def _schemas() -> dict[str, str]:
    """Return the published schemas by file name."""
    published = sorted((files("reports") / "schema").iterdir(), key=lambda one: one.name)
    return {one.name: one.read_text(encoding="utf-8") for one in published if one.name.endswith(".json")}


def _next(folder: Path, service: str | None, kept: list[Path]) -> list[str]:
    """Return what to do now."""
    system = shlex.quote(str(folder / STARTERS[0]))
    if service is None:
        return [
            f"Say in {folder / STARTERS[0]} what there is; then:",
            f"  fedaudit checks --system {system}",
            f"  fedaudit run {system} -o {shlex.quote(str(folder / 'bundle'))}",
        ]
    lines = ["The first lines of these files say what they need: the key, and who may change them."]
    if any(path.name == str(INCLUDING) for path in kept):
        lines.append(f"Add to {INCLUDING}: include: [{{local: .gitlab/fedaudit.yml}}]")
    if service == "pre-commit":
        lines.append("Then: pre-commit install")
    return lines


def _write(texts: dict[Path, str]) -> None:
    """Write all files or none."""
    written: list[Path] = []
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                written.append(path)
                file.write(text)
    except OSError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
