"""`fedaudit unlearn federated`: forget a client, some examples or a class, and leave a folder that can be audited."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.answer import Answer, Invocation, command

if TYPE_CHECKING:
    from unlearning.federated.folder import Figures
    from unlearning.federated.methods import Method
    from unlearning.federated.plan import Plan

PATH = click.Path(path_type=Path)
LEAST_COMPARED = 19
"""References behind each row of a comparison: the fewest with which the exact test can reject at 0.05."""


def _clients(_ctx: click.Context, _option: click.Parameter, value: str) -> frozenset[int]:
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise click.BadParameter("write clients as 2,5")
    return frozenset(map(int, parts))


def _settings(_ctx: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{value!r} is no key=value")
        found[key] = _scalar(text)
    return found


def _scalar(text: str) -> object:
    """Return a number or a truth value where the text is one, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text


@command("federated")
@click.argument("federation", type=PATH)
@click.option("--request", "asked", required=True, help="client:4, client:2,5, sample:4=0-9,12 or class:3.")
@click.option("-o", "--output", type=PATH, metavar="OUT", help="Folder to write; not there, or empty.")
@click.option("--method", "name", default="ffum", show_default=True, help="How; --compare all lists every one.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", callback=_settings, help="Of the method.")
@click.option("--divergence", help="Of f-FUM: kl, reverse-kl, js, chi2, hellinger, tv or alpha.")
@click.option("--direction", type=click.Choice(["label", "none"]), help="Of f-FUM: whether it is guarded.")
@click.option("--reset", help="Of f-FUM: none, init or rewind:N.")
@click.option("--seed", type=click.IntRange(0, 2**53 - 1), help="Of the unlearning; the recipe's where not given.")
@click.option("--plan", "only_plan", is_flag=True, help="Say what it needs and costs, and train nothing.")
@click.option("--compare", metavar="NAMES", help="Run these methods too (all, or a,b,c), and compare them.")
@click.option("--models", type=click.IntRange(3), default=LEAST_COMPARED, show_default=True, help="References a row.")
@click.option("--offline", default="", callback=_clients, help="Clients that do not answer: 2,5.")
@click.option("--accept-single-client-delta", is_flag=True, help="Let the server see what one client sends.")
@click.option("--trust-code", is_flag=True, help="Allow the model's definition to run.")
@click.option("--executor", type=click.Choice(["serial", "process", "ray"]), default="serial", show_default=True)
@click.pass_context
def federated(
    ctx: click.Context,
    federation: Path,
    asked: str,
    output: Path | None,
    name: str,
    settings: dict[str, Any],
    divergence: str | None,
    direction: str | None,
    reset: str | None,
    seed: int | None,
    only_plan: bool,
    compare: str | None,
    models: int,
    offline: frozenset[int],
    accept_single_client_delta: bool,
    trust_code: bool,
    executor: str,
) -> Answer:
    """Forget what --request names in FEDERATION (a federation.toml, or its folder), and write OUT.

    Without a recording/ beside that file, the federation is trained first and recorded there. OUT can be audited as it
    is: 'fedaudit run OUT/system.toml', 'fedaudit unlearn verify OUT'.
    """
    from audit.executors import named_executor
    from audit.forgetting import Commission, compared, honoured, said, target_of
    from unlearning.federated.methods import METHODS, method
    from unlearning.federated.plan import Conditions, plan
    from unlearning.federated.request import UnlearningRequest, ranges

    named = {"divergence": divergence, "direction": direction, "reset": reset}
    parameters = settings | {key: value for key, value in named.items() if value is not None}
    how, request = method(name, **parameters), UnlearningRequest.parse(asked)
    file, declared, simulated = target_of(federation, trust_code=trust_code)
    held = [client for client, examples in enumerate(simulated.data.clients) if len(examples)]
    if absent := sorted(offline.difference(held)):
        raise click.UsageError(f"--offline: there is no client {absent[0]}; there are {ranges(held)}")
    given = Conditions(declared.recording, declared.secure_aggregation, offline, accept_single_client_delta)
    planned = plan(how, simulated, request, given)
    if only_plan:
        return Answer(text=_plan_text(how, planned), fields={"method": name, "plan": _plan_fields(planned)})
    planned.require_feasible()
    if output is None:
        raise click.UsageError("name the folder to write with -o OUT, or say --plan")
    rivals = _rivals(compare, METHODS)
    commission = Commission(file, declared, simulated, request, how, seed, offline, planned)
    invocation = ctx.find_object(Invocation) or Invocation()
    with said(invocation.color) as say:
        found, note = honoured(commission, output, say)
        if rivals:
            run = named_executor(executor)
            found = compared(commission, output, rivals, models=models, executor=run, conditions=given, say=say)
    return Answer(text=_text(found, output, note), fields=found, message=note)


def _rivals(names: str | None, known: "Mapping[str, type[Method]]") -> tuple[str, ...]:
    """Return the methods to compare."""
    if names is None:
        return ()
    listed = tuple(known) if names == "all" else tuple(part.strip() for part in names.split(",") if part.strip())
    for one in listed:
        if one not in known:
            raise click.UsageError(f"--compare: there is no method {one!r}; there are {', '.join(known)}")
    return listed


def _plan_fields(planned: "Plan") -> dict[str, object]:
    return {
        "needs": list(planned.needs),
        "conflicts": list(planned.conflicts),
        "limitations": list(planned.limitations),
        "alternatives": list(planned.alternatives),
        "storage_bytes": planned.storage_bytes,
        "messages": planned.messages,
        "work": {
            "example_gradients": planned.work.example_gradients,
            "teacher_forwards": planned.work.teacher_forwards,
            "retrain_example_gradients": planned.retrain_example_gradients,
        },
        "feasible": planned.feasible,
    }


def _plan_text(how: "Method", planned: "Plan") -> str:
    """Return a plan for people."""
    lines = [f"{click.style(how.name, bold=True)}: {'can be run' if planned.feasible else 'cannot be run'}"]
    lines += [f"  conflict   {conflict}" for conflict in planned.conflicts]
    lines += [f"  accepted   {limitation}" for limitation in planned.limitations]
    if planned.alternatives:
        lines.append(f"  instead    {', '.join(planned.alternatives)}")
    lines.append(f"  needs      {', '.join(planned.needs) or 'nothing'}")
    lines.append(f"  storage    {planned.storage_bytes:,} bytes of the recording")
    if planned.feasible:
        gradients = planned.work.example_gradients
        ratio = planned.retrain_example_gradients / gradients if gradients else math.inf
        lines.append(f"  work       {gradients:,} gradients, {ratio:.1f} times less than retraining")
        lines.append(f"  messages   {planned.messages}")
    return "\n".join(lines)


def _text(found: "Figures", output: Path, note: str) -> str:
    """Return the outcome for people."""
    figures: Any = found
    ratio = figures["work"]["ratio"]
    cost = "no work" if ratio is None else f"{ratio:.1f} times less work than retraining"
    lines = [f"{click.style(figures['method'], bold=True)} {figures['request']['text']}: {cost}"]
    for name in ("retain", "forget", "test"):
        before, after = (figures["accuracy"][when][name] for when in ("before", "after"))
        lines.append(f"  {name:<7} accuracy {before:.3f} before, {after:.3f} after")
    if figures["probe_rate"]["after"] is not None:
        rates = figures["probe_rate"]
        lines.append(f"  probes  answered {rates['before']:.3f} before, {rates['after']:.3f} after")
    lines += [f"  warning: {warning}" for warning in figures["warnings"]]
    if figures["comparison"]:
        lines += ["", *_table(figures["comparison"])]
    lines.append("Whether it has forgotten, these figures cannot tell:")
    lines.append(f"verify  fedaudit unlearn verify {output}")
    return "\n".join([*lines, note] if note else lines)


def _table(rows: list[Mapping[str, Any]]) -> list[str]:
    """Return a comparison as lines of one width."""
    columns = {
        "accuracy": ("test", "{:.3f}"), "probe_rate": ("probes", "{:.3f}"), "js_ratio": ("JS/floor", "{:.2f}"),
        "residual_share": ("share left", "{:.2f}"), "u_lira_auc": ("U-LiRA", "{:.3f}"),
        "work_ratio": ("work", "{:.1f}x"),
    }  # fmt: skip
    wide = max(len(str(row["method"])) for row in rows)
    lines = [" ".join([" " * wide, *(f"{title:>10}" for title, _ in columns.values()), "  status"])]
    for row in rows:
        cells = [f"{'–' if row[key] is None else shape.format(row[key]):>10}" for key, (_, shape) in columns.items()]
        lines.append(" ".join([f"{row['method']:<{wide}}", *cells, f"  {row['status']}"]))
    return lines
