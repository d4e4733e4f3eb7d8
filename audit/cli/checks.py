"""`fedaudit checks`: which questions there are, and which a system would be asked."""

from pathlib import Path

import click

from audit.cli.answer import Answer, command

PATH = click.Path(path_type=Path)


@command("checks")
@click.option("--system", type=PATH, help="Say which checks would run on this system file, which not, and why.")
@click.option("--checks", "plugins", multiple=True, type=PATH, help="A Python file with checks.")
def checks(system: Path | None, plugins: tuple[Path, ...]) -> Answer:
    """List the checks: id, the sentence that is true when it passes, and what it needs."""
    from audit.manifest import load_system
    from audit.plan import capabilities, load_plugin, plan
    from reports.check import discover, unique

    known = unique((*discover(), *(check for plugin in plugins for check in load_plugin(plugin))))
    planned = {}
    if system is not None:
        loaded = load_system(system)
        planned = {one.check.id: one for one in plan(loaded.system, known, capabilities=capabilities())}
    rows = []
    lines = []
    for check in known:
        verdict = planned.get(check.id)
        rows.append(
            {
                "id": check.id,
                "title": check.title,
                "strength": str(check.strength),
                "needs": list(check.needs),
                "controls": list(check.controls),
                "runs": verdict.runs if verdict else None,
                "missing": [verdict.because] if verdict and not verdict.runs else [],
            }
        )
        mark = "" if verdict is None else ("runs   " if verdict.runs else "skipped ")
        lines.append(f"{mark}{click.style(check.id, bold=True)}: {check.title}")
        if verdict is None:
            lines.append(f"    needs {', '.join(check.needs) or 'nothing'}")
        elif not verdict.runs:
            lines.append(f"    {verdict.because}")
    return Answer(text="\n".join(lines), fields={"checks": rows})
