"""`fedaudit secagg`: choose and assess the parameters of secure aggregation, with or without a system file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from audit.cli.answer import Answer, command
from audit.cli.secagg_bench import bench
from audit.cli.secagg_simulate import simulate
from audit.cli.secagg_transcript import verify_transcript
from reports.errors import SystemFileError

if TYPE_CHECKING:
    from secagg.limits import ParameterError
    from secagg.params import Assessment, InfeasibleParameters

CURIOUS = "honest-but-curious"
_OPTIONS = (
    click.option("--corrupt-fraction", type=float, default=0.05, show_default=True, help="Share of corrupt clients."),
    click.option("--dropout-fraction", type=float, default=0.05, show_default=True, help="Share of clients lost."),
    click.option("--server-trust", type=click.Choice([CURIOUS, "malicious"]), default=CURIOUS, show_default=True),
    click.option("--sigma", type=float, default=40.0, show_default=True, help="Bits of privacy wanted."),
    click.option("--eta", type=float, default=20.0, show_default=True, help="Bits of correctness wanted."),
    click.option("--complete-below", type=int, default=100, show_default=True, help="Smaller cohorts: all with all."),
    click.option("--min-corrupt", type=int, default=1, show_default=True, help="Corrupt clients at least."),
    click.option("--rule", type=click.Choice(["guarded", "published"]), default="guarded", show_default=True),
)
_DECLARED = ("clients", "degree", "threshold", "corrupt_fraction", "dropout_fraction", "server_trust")
"""What a system file says itself, so that it is not said beside one."""
_COHORT = ("clients", "corrupt_fraction", "dropout_fraction", "server_trust", "min_corrupt")


def _cohort_options(function: Callable[..., Answer]) -> Callable[..., Answer]:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@command("params")
@click.option("--clients", type=int, required=True, help="Clients in a cohort.")
@_cohort_options
def params(**asked: Any) -> Answer:
    """Choose degree and threshold for a cohort; exit 3 where there is no choice.

    The published rule is there for comparison: what it takes can be worth less than was wanted.
    """
    from secagg.limits import ParameterError
    from secagg.params import InfeasibleParameters

    try:
        chosen = _choice(asked)
    except ParameterError as error:
        raise _usage(error) from error
    schema = {"schema": "fedaudit.secagg.params/1"}
    if isinstance(chosen, InfeasibleParameters):
        return Answer(
            fields={**schema, **_without_choice(asked), **_feasibility(chosen, asked)},
            exit_code=3,
            code="secagg.infeasible",
            message=chosen.reason,
            hint=_nearest(chosen),
        )
    lines = [f"{click.style(_pair(chosen), bold=True)} ({asked['rule']} rule)", *_levels(chosen, asked)]
    if not chosen.sufficient(asked["sigma"], asked["eta"]):
        lines.append(click.style("That is less than was wanted: take the guarded rule.", fg="yellow"))
    return Answer(text="\n".join(lines), fields={**schema, **chosen.as_fields(), **_feasibility(chosen, asked)})


@command("assess")
@click.option("--system", type=click.Path(path_type=Path), help="Read the numbers from a system file instead.")
@click.option("--clients", type=int, help="Clients in a cohort.")
@click.option("--degree", type=int, help="Neighbours of a client, itself not counted.")
@click.option("--threshold", type=int, help="Shares that rebuild a secret.")
@_cohort_options
@click.pass_context
def assess(context: click.Context, /, system: Path | None, **asked: Any) -> Answer:
    """Say what a degree and a threshold are worth; exit 1 if that is less than wanted."""
    from secagg.limits import ParameterError
    from secagg.params import InfeasibleParameters, assess_parameters

    if system is not None:
        typed = [name for name in _DECLARED if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if typed:
            raise click.UsageError(f"{_flag(typed[0])} and --system exclude each other: the file says it")
        asked |= _declared(system)
    for name in _DECLARED:
        if asked[name] is None:
            raise click.UsageError(f"{_flag(name)} is missing; give it, or --system FILE")
    try:
        numbers = {name: asked[name] for name in (*_COHORT, "degree", "threshold")}
        assessed, chosen = assess_parameters(**numbers), _choice(asked)
    except ParameterError as error:
        raise _usage(error) if system is None else _in_file(error, system) from error
    sufficient = assessed.sufficient(asked["sigma"], asked["eta"])
    verdict = click.style("sufficient", fg="green") if sufficient else click.style("NOT sufficient", fg="red")
    better = _nearest(chosen) if isinstance(chosen, InfeasibleParameters) else _pair(chosen)
    return Answer(
        text="\n".join([f"{_pair(assessed)}: {verdict}", *_levels(assessed, asked), f"{asked['rule']} rule: {better}"]),
        fields={
            "schema": "fedaudit.secagg.assess/1",
            **assessed.as_fields(),
            **_feasibility(chosen, asked),
            "sufficient": sufficient,
        },
        exit_code=0 if sufficient else 1,
        code="ok" if sufficient else "secagg.insufficient",
        message="" if sufficient else f"{_pair(assessed)} are worth less than was wanted",
    )


@click.group("secagg")
def secagg() -> None:
    """Secure aggregation alone: which parameters to take, and what given ones buy."""


secagg.add_command(params)
secagg.add_command(assess)
secagg.add_command(bench)
secagg.add_command(simulate)
secagg.add_command(verify_transcript)


def _choice(asked: Mapping[str, Any]) -> "Assessment | InfeasibleParameters":
    """Return what the asked rule takes, assessed, or why it takes nothing."""
    from secagg.params import InfeasibleParameters, select_parameters

    wanted = {name: asked[name] for name in (*_COHORT, "sigma", "eta", "complete_below", "rule")}
    try:
        return select_parameters(**wanted).assessment
    except InfeasibleParameters as error:
        return error


def _declared(system: Path) -> dict[str, object]:
    """Return what a system file declares; raises SystemFileError with the key that is missing."""
    from dataclasses import asdict

    from audit.manifest import load_system
    from secagg.declaration import declared_round, missing_keys

    loaded = load_system(system).system
    declared = declared_round(loaded)
    if declared is None:
        key = missing_keys(loaded)[0]
        raise SystemFileError("system.missing_key", f"{system.name}: {key}: is missing", "Add it to that section.")
    return asdict(declared)


def _feasibility(choice: "Assessment | InfeasibleParameters", asked: Mapping[str, Any]) -> dict[str, object]:
    from secagg.params import InfeasibleParameters

    refused = choice if isinstance(choice, InfeasibleParameters) else None
    return {
        "rule": asked["rule"],
        "feasible": refused is None,
        "reason": refused.reason if refused else "",
        "feasible_dropout_fraction": refused.feasible_dropout_fraction if refused else asked["dropout_fraction"],
    }


def _without_choice(asked: Mapping[str, Any]) -> dict[str, object]:
    """Return the keys of an assessment where there is none to make."""
    from secagg.failures import Cohort

    cohort = Cohort.of_fractions(**{name: asked[name] for name in _COHORT})
    unknown = ("degree", "threshold", "complete", "sigma_bits", "sigma_certain", "sigma_bits_one_more", "eta_bits")
    return {
        "clients": cohort.clients,
        "corrupt": cohort.corrupt,
        "dropped": cohort.dropped,
        "server_trust": cohort.server_trust,
        **dict.fromkeys((*unknown, "eta_certain")),
    }


def _pair(assessed: "Assessment") -> str:
    return f"degree {assessed.degree}, threshold {assessed.threshold}"


def _levels(assessed: "Assessment", asked: Mapping[str, Any]) -> list[str]:
    from secagg.params import in_words

    counted = f"{assessed.corrupt} corrupt and {assessed.dropped} dropped of {assessed.clients} clients"
    one_more = f"one more corrupt client: {in_words(assessed.sigma_bits_one_more)}"
    return [
        f"  counted      {counted}; {assessed.server_trust} server",
        f"  privacy      {in_words(assessed.sigma_bits)} ({asked['sigma']:g} wanted; {one_more})",
        f"  correctness  {in_words(assessed.eta_bits)} ({asked['eta']:g} wanted)",
    ]


def _nearest(error: "InfeasibleParameters") -> str:
    if error.feasible_dropout_fraction is None:
        return "Not even without drop-outs is there a choice: take more clients."
    return f"The nearest feasible drop-out fraction is {error.feasible_dropout_fraction}."


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _usage(error: "ParameterError") -> click.UsageError:
    return click.UsageError(f"{_flag(error.name)} is {error.value!r}; allowed is {error.allowed}")


def _in_file(error: "ParameterError", system: Path) -> Exception:
    from secagg.declaration import SECTION

    if error.name not in _DECLARED:
        return _usage(error)
    key = f"federation.{error.name}" if error.name == "server_trust" else f"{SECTION}.{error.name}"
    message = f"{system.name}: {key}: is {error.value!r}; allowed is {error.allowed}"
    return SystemFileError("system.value", message, "Correct the value.")
