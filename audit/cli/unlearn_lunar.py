"""`fedaudit unlearn lunar`: make a language model forget, by an edit in closed form or by erasure."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.answer import Answer, Invocation, command
from audit.cli.unlearn_lunar_federated import federated, federated_options, is_federated

if TYPE_CHECKING:
    from audit.erasing import Erasing
    from audit.hiding import Fields, Files
    from unlearning.llm.lunar_work import Settings

PATH = click.Path(path_type=Path)
TOKENS = ("auto", "last", "prompt", "refusal")
SOLVERS = ("closed", "gradient", "gradient-published")
SAME = "unlearn.lunar.same"
"""Whether --layers same was said."""
ERASING = ("base", "reset", "steps", "decoys")
"""Options of --erase."""
LAYOUTS = ("auto", "records", "pistol", "tofu", "instructions")


def _number(_ctx: click.Context, _option: click.Parameter, value: str) -> float | None:
    """Return a positive number, None for "auto"."""
    if value == "auto":
        return None
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise click.BadParameter("write auto, or a number above 0")
    return number


def _layers(ctx: click.Context, _option: click.Parameter, value: str) -> tuple[int, ...] | None:
    """Return layers such as 20,22; None for "auto", and for "same", which after an earlier request is what it means."""
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if parts in (["auto"], ["same"]):
        ctx.meta[SAME] = parts == ["same"]
        return None
    if not parts or not all(part.isascii() and part.isdecimal() for part in parts):
        raise click.BadParameter("write auto, same, or layers as 20,22")
    return tuple(int(part) for part in parts)


def _names(_ctx: click.Context, _option: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


@command("lunar")
@click.option("--model", type=PATH, required=True, metavar="DIR", help="Hugging Face folder; of an adapter, the base.")
@click.option("--adapter", type=PATH, metavar="DIR", help="A LoRA adapter that is merged into --model first.")
@click.option("--forget", type=PATH, metavar="FILE", help="Facts to forget (JSON Lines: question, answer).")
@click.option("--retain", type=PATH, metavar="FILE", help="Facts that stay.")
@click.option("--reference", type=PATH, metavar="FILE", help="Prompts that the model refuses.")
@click.option("--general", type=PATH, metavar="FILE", help="General questions whose answers stay.")
@click.option("--validation", type=PATH, metavar="FILE", help="Facts that stay by which the edit is chosen.")
@click.option("--layers", default="auto", show_default=True, callback=_layers, help="auto, same, or 20,22.")
@click.option("--top-layers", type=click.IntRange(1), default=1, show_default=True, help="How many are edited at most.")
@click.option("--tokens", type=click.Choice(TOKENS), default="auto", show_default=True, help="Which tokens move.")
@click.option("--ridge", default="auto", show_default=True, callback=_number, help="auto, or a number.")
@click.option("--coefficient", default="auto", show_default=True, callback=_number, help="auto, or the effective one.")
@click.option("--solver", type=click.Choice(SOLVERS), default="closed", show_default=True)
@click.option(
    "--previous", type=PATH, multiple=True, metavar="EDIT",
    help="An earlier edit of --model, once for each, all of them: what they hide stays hidden, in their layers.",
)  # fmt: skip
@click.option("--erase", is_flag=True, help="Remove instead of hide: reset in part, and teach anew what stays.")
@click.option("--base", type=PATH, metavar="DIR", help="With --erase: the checkpoint that fine-tuning began at.")
@click.option("--reset", type=click.FloatRange(0, 1, min_open=True), metavar="X", help="With --erase: how much of it.")
@click.option("--steps", type=click.IntRange(1), metavar="N", help="With --erase: of teaching.")
@click.option("--decoys", type=PATH, metavar="FILE", help="With --erase: questions about what nobody knows.")
@federated_options
@click.option("--save", type=click.Choice(["edit", "model", "adapter", "all"]), default="model", show_default=True)
@click.option("--compare", default="", callback=_names, metavar="NAMES", help="Run these too: all, none, or a,b.")
@click.option("--layout", type=click.Choice(LAYOUTS), default="auto", show_default=True, help="Of the files.")
@click.option("--edges", default="", callback=_names, metavar="A_B,…", help="Forget these groups; the rest stays.")
@click.option("--prompt-template", "template", metavar="TEXT", help="With {question}; else the chat template.")
@click.option("--refusals", type=PATH, metavar="FILE", help="More phrases that refuse, one a line.")
@click.option("--accept-unrefused", is_flag=True, help="Take every reference answer for a refusal.")
@click.option("--force", is_flag=True, help="Go on where what goes and what stays look alike.")
@click.option(
    "--memory", type=click.IntRange(1), default=2048, show_default=True, metavar="MIB", help="For one matrix."
)
@click.option("--threads", type=click.IntRange(1), help="Of torch; the same number gives the same bits.")
@click.option("--executor", type=click.Choice(["serial", "process", "ray"]), default="serial", show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**53 - 1), default=0, show_default=True)
@click.option("--apply", "applied", type=PATH, metavar="EDIT", help="Only apply this edit to --model.")
@click.option("--revert", "reverted", type=PATH, metavar="EDIT", help="Only take this edit off --model, bit by bit.")
@click.option("-o", "--output", type=PATH, metavar="OUT", help="Folder to write; not there, or empty.")
@click.pass_context
def lunar(ctx: click.Context, /, model: Path, adapter: Path | None, output: Path | None, **given: Any) -> Answer:
    """Make a language model refuse what it is to forget, and write OUT: OUT/edit and OUT/after.

    LUNAR hides in seconds, by a change of a few thousand numbers in one tensor that can be taken off again. What it
    hides is still there: 'fedaudit unlearn verify OUT' says so. With --erase most tensors change, for the model learns
    anew what stays; of a fine-tuned one name the --base. What is left after that, the same command says.
    """
    if output is None:
        raise click.UsageError("name the folder to write with -o OUT")
    if given["applied"] and given["reverted"]:
        raise click.UsageError("say --apply or --revert, not both")
    if not given["erase"] and (idle := [name for name in ERASING if given[name] is not None]):
        raise click.UsageError(f"--{idle[0]} is for --erase")
    if edit := given["applied"] or given["reverted"]:
        from audit.cli.unlearn_lunar_edit import changed_by_edit

        return changed_by_edit("apply" if given["applied"] else "revert", edit, model, output, adapter=adapter)
    _refuse_idle(ctx, given)
    if is_federated(given):
        return federated(model, adapter, output, _settings(given), given)
    files, settings = _files(model, adapter, given), _settings(given)
    return _hidden(ctx, files, settings, output, given)


def _refuse_idle(ctx: click.Context, given: dict[str, Any]) -> None:
    """Raise on options of several requests or layers where they say nothing."""
    if ctx.meta.get(SAME) and not given["previous"]:
        raise click.UsageError("--layers same is for a later request: name the earlier edits with --previous")
    other = "--erase" if given["erase"] else "sums of clients" if is_federated(given) else ""
    for name in ("previous", "top_layers"):
        if other and given[name] not in ((), 1):
            raise click.UsageError(f"--{name.replace('_', '-')} does not go with {other}")


def _hidden(ctx: click.Context, files: "Files", settings: "Settings", output: Path, given: dict[str, Any]) -> Answer:
    """Hide by an edit, or erase."""
    import torch

    from audit.erasing import erased
    from audit.executors import named_executor
    from audit.forgetting import said
    from audit.hiding import carried_out, read_files
    from unlearning.drafts import check_place

    check_place(output)
    rivals = _rivals(given["compare"])
    threads = torch.get_num_threads()
    if given["threads"]:
        torch.set_num_threads(given["threads"])
    invocation = ctx.find_object(Invocation) or Invocation()
    try:
        with said(invocation.color) as say:
            commission = read_files(files)
            found = (
                erased(commission, output, _erasing(files, given), rivals=rivals, say=say)
                if given["erase"]
                else carried_out(
                    commission, output, settings, save=given["save"], rivals=rivals,
                    previous=given["previous"], executor=named_executor(given["executor"]), say=say,
                )
            )  # fmt: skip
    finally:
        torch.set_num_threads(threads)
    return Answer(text=_text(found, output), fields=found)


def _files(model: Path, adapter: Path | None, given: dict[str, Any]) -> "Files":
    """Return the files that were named; those that are needed must be."""
    from audit.hiding import Files

    for name in ("forget", "reference"):
        if given[name] is None:
            raise click.UsageError(f"name a file with --{name}")
    if given["retain"] is None and not given["edges"]:
        raise click.UsageError("name a file with --retain, or groups with --edges")
    return Files(
        model=model, adapter=adapter, forget=given["forget"], retain=given["retain"] or given["forget"],
        reference=given["reference"], general=given["general"], validation=given["validation"],
        refusals=given["refusals"], layout=given["layout"], edges=given["edges"], template=given["template"],
    )  # fmt: skip


def _erasing(files: "Files", given: dict[str, Any]) -> "Erasing":
    """Return how to erase; of an adapter, what it was merged into is the base."""
    from audit.erasing import Erasing

    base = given["base"] or (files.model if files.adapter is not None else None)
    return Erasing(base=base, reset=given["reset"], steps=given["steps"], decoys=given["decoys"], seed=given["seed"])


def _settings(given: dict[str, Any]) -> "Settings":
    from unlearning.llm.lunar_work import Settings

    return Settings(
        layers=given["layers"],
        top_layers=given["top_layers"],
        tokens=None if given["tokens"] == "auto" else given["tokens"],
        ridge=given["ridge"],
        coefficient=given["coefficient"],
        solver=given["solver"],
        memory=given["memory"] << 20,
        accept_unrefused=given["accept_unrefused"],
        force=given["force"],
        seed=given["seed"],
    )


def _rivals(names: Sequence[str]) -> tuple[str, ...]:
    """Return the methods to compare with."""
    from unlearning.llm.compare import rivals_named
    from unlearning.llm.rivals import RIVALS

    if list(names) == ["all"]:
        return tuple(RIVALS)
    chosen = tuple(name for name in names if name != "none")
    rivals_named(chosen)
    return chosen


def _text(found: "Fields", output: Path) -> str:
    """Return the outcome for people."""
    before, after = found["screening"]["before"], found["screening"]["after"]
    changed = ", ".join(f"{one['tensor']} (rank {one['rank']})" for one in found["updates"])
    changed = changed or f"in {found['tensors_changed']} tensors"
    lines = [f"{click.style(found['method'], bold=True)}: {found['parameters_changed']:,} numbers change {changed}"]
    for key, shown in (
        ("forget_content", "facts to forget, said"), ("paraphrase_content", "the same, asked otherwise"),
        ("retain_rouge1", "facts that stay, said"), ("general", "general questions, right"),
        ("refusal", "facts to forget, refused"),
    ):  # fmt: skip
        if before[key] is not None:
            lines.append(f"  {shown:<26} {before[key]:.3f} before, {after[key]:.3f} after")
    lines += [f"  warning: {warning}" for warning in found["warnings"]]
    if found["comparison"]:
        lines += ["", *_table(found["comparison"])]
    hides = "What an edit hides it does not remove; what is left, this tells:"
    lines.append(hides if found["updates"] else "How far it is gone, this tells:")
    lines.append(f"verify  fedaudit unlearn verify {output}")
    return "\n".join(lines)


def _table(rows: Sequence[Any]) -> list[str]:
    """Return a comparison as lines of one width."""
    columns = {
        "deviation_score": ("DS", "{:.1f}"), "forget_content": ("said", "{:.3f}"),
        "paraphrase_content": ("otherwise", "{:.3f}"), "retain_rouge1": ("retained", "{:.3f}"),
        "general": ("general", "{:.3f}"), "fluent_refusal": ("refused", "{:.3f}"), "cpu_s": ("CPU s", "{:.1f}"),
    }  # fmt: skip
    wide = max(len(str(row["method"])) for row in rows)
    lines = [" ".join([" " * wide, *(f"{title:>9}" for title, _ in columns.values())])]
    for row in rows:
        cells = [f"{'–' if row[key] is None else shape.format(row[key]):>9}" for key, (_, shape) in columns.items()]
        lines.append(" ".join([f"{row['method']:<{wide}}", *cells]))
    return lines
