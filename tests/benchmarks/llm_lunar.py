"""LUNAR from start to end on worlds it was not developed on, and every rival on the same records.

A rival's rate and steps are tuned on the slice that LUNAR chooses by; that time is told and not counted against it.
"""

from collections.abc import Iterator, Sequence

from attacks_rows import Row, peak_mebibytes
from llm_cases import FIRST_SEED, Asked, Case, tiny
from llm_tables import Table

from unlearning.llm.compare import Grid, Ready, compare
from unlearning.llm.compare import Row as Compared
from unlearning.llm.rivals import RIVALS

SEEDS = {"small": 1, "standard": 3, "full": 5}
TUNED = {"small": ("graddiff", "npo"), "standard": tuple(RIVALS), "full": tuple(RIVALS)}
SECONDS = 20.0
SMOLLM_GRID = Grid(rates=(1e-5, 3e-5, 1e-4, 3e-4), steps=(4, 8, 16))
LEAST_RETAIN = 0.95


def measure(asked: Asked) -> Iterator[Row | Table]:
    """Yield the targets on unseen worlds, and the comparison."""
    cases = [tiny(FIRST_SEED + place) for place in range(SEEDS[asked.points])] if asked.tiny else []
    for case in cases:
        yield from _targets(case, SECONDS)
    for case in cases if asked.points == "full" else cases[:1]:
        yield from _compared(case, TUNED[asked.points], Grid())
    if asked.folder is not None:
        yield from _targets(asked.smollm, None)
        if asked.points != "small":  # tuning a rival takes most of an hour
            yield from _compared(asked.smollm, TUNED[asked.points], SMOLLM_GRID)


def _targets(case: Case, seconds: float | None) -> Iterator[Row]:
    """Yield what the edited model says, all records asked."""
    fitted, spent = case.fit_cpu_s
    before, after = fitted.before, fitted.after
    update, n = fitted.edit.updates[0], len(case.world.forget)
    what = f"lunar, {case.name}"
    told = f"layer {update.layer}, {update.tokens}, rank {update.rank}, c_eff {update.effective_coefficient:g}"
    yield Row(
        f"{what}: content of forget", after.forget_content, "", "<= 0.05", after.forget_content <= 0.05, n=n, note=told
    )
    said = after.paraphrase_content
    yield Row(f"{what}: content of paraphrases", said, "", "<= 0.1", said <= 0.1, n=n)
    kept = after.retain_rouge1 / before.retain_rouge1
    yield Row(f"{what}: retain over before", kept, "", ">= 0.95", kept >= LEAST_RETAIN, n=len(case.world.retain))
    drop, most = (before.general or 0.0) - (after.general or 0.0), 0.05 if seconds else 0.02
    yield Row(f"{what}: general drop", drop, "", f"<= {most:g}", drop <= most, n=after.general_n)
    yield Row(
        f"{what}: fluent refusal",
        after.refusal,
        "",
        ">= 0.9" if seconds else "",
        after.refusal >= 0.9 if seconds else None,
        n=n,
    )
    whole = case.train_cpu_s + spent
    cost = fitted.cost
    told = f"training {case.train_cpu_s:.1f} s, passes {cost.collect_cpu_s:.2f} s, solve {cost.solve_cpu_s:.3f} s"
    yield Row(
        f"{what}: CPU time, with training",
        whole,
        "s",
        f"<= {seconds:g}" if seconds else "",
        whole <= seconds if seconds else None,
        note=told,
    )


def _compared(case: Case, methods: Sequence[str], grid: Grid) -> Iterator[Row | Table]:
    """Yield LUNAR beside each rival: what is said, and the time of the run without its tuning."""
    world, (fitted, spent) = case.world, case.fit_cpu_s
    ready = {"lunar": Ready(fitted.variant, spent, peak_mebibytes())}
    found = compare(
        case.model, world.forget, world.retain, world.reference, general=case.general, methods=methods, ready=ready,
        grid=grid, seed=world.seed,
    )  # fmt: skip
    yield Table(
        f"every method, {case.name}, {len(world.forget)} facts to forget", COLUMNS, [_line(one) for one in found]
    )
    ours, *others = found
    equal = [one for one in others if not RIVALS[one.method].control and _keeps(case, one)]
    if not (equal and _keeps(case, ours)):
        return
    best = min(equal, key=lambda one: one.screening.deviation_score)
    what, n = f"lunar beside rivals, {case.name}", len(world.forget)
    score, least = ours.screening.deviation_score, best.screening.deviation_score
    met = score < least or score == 0  # nothing is below 0, where a rival may be too
    yield Row(f"{what}: deviation score", score, "", "< best rival, or 0", met, best.method, least, n)
    told = f"its tuning {best.tuning_cpu_s:.1f} s; ours holds the choice of every setting"
    yield Row(f"{what}: CPU time", spent, "s", "<= its run", spent <= best.cpu_s, best.method, best.cpu_s, note=told)
    changed, more = ours.parameters_changed, best.parameters_changed
    yield Row(f"{what}: parameters in changed tensors", changed, "", "", None, best.method, more)


COLUMNS = (
    "method", "DS", "forget", "paraphrase", "retain", "general", "refusal", "tensors", "parameters", "CPU s",
    "tuning s", "MiB", "steps", "rate",
)  # fmt: skip


def _line(one: Compared) -> tuple[str | float | int | None, ...]:
    """Return one method as a line of the table."""
    told = one.line()
    names = (
        "method", "deviation_score", "forget_content", "paraphrase_content", "retain_rouge1", "general",
        "fluent_refusal", "tensors_changed", "parameters_changed", "cpu_s", "tuning_cpu_s", "peak_rss_mib", "steps",
        "learning_rate",
    )  # fmt: skip
    return tuple(told[name] for name in names)


def _keeps(case: Case, one: Compared) -> bool:
    """Tell whether what was to stay has stayed."""
    return one.screening.retain_rouge1 >= LEAST_RETAIN * case.fitted.before.retain_rouge1
