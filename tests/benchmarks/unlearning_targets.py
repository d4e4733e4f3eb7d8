"""The specification's targets B1 to B10, judged from what was measured; nothing is measured here."""

import itertools
import statistics
from collections.abc import Iterator, Sequence

from scipy import stats
from unlearning_rows import Figure, Store, Target, over_seeds

DIRECTED_KL = ("ffum kl", "ffum kl 2 + 1", "ffum kl 3 + 0")
RESET = {"ffum kl, reset": 4.0, "ffum kl, reset, lr .3": 4.0, "ffum kl, reset, short": 7.0}
"""By setting: the work ratio asked."""
RAPID = {"rapid-retrain": 4.0, "rapid-retrain, 5 rounds": 6.0}
REJECTED = ("no-op", "finetune", "ffum kl")
NOISY, BACKDOOR = "noisy", "backdoor"
SHARES = {NOISY: 0.60, BACKDOOR: 0.65}


def targets(store: Store) -> Iterator[Target]:
    """Yield a row for every target that something was measured for."""
    yield from b1(store)
    yield from b2(store)
    yield from b3(store)
    yield from b4(store)
    yield from b5(store)
    yield from b6(store)
    yield from b7_and_b9(store)
    yield from b8(store)
    yield from b10(store)


def column(store: Store, source: str, scenario: str, method: str, name: str) -> list[float]:
    """Return one figure of a method, seed by seed; `after - before` is a difference."""
    first, _, second = name.partition(" - ")
    rows = store.of("methods", source=source, scenario=scenario, method=method)
    return [row[first] - (row[second] if second else 0) for row in rows if row.get(first) is not None]


def b1(store: Store) -> Iterator[Target]:
    """MNIST: directed f-FUM beside fine-tuning."""

    def of(method: str, name: str) -> Figure | None:
        return over_seeds(column(store, "mnist", BACKDOOR, method, name))

    tuned = {name: of("finetune", name) for name in ("probe_after", "js_forget")}
    for method in DIRECTED_KL:
        work = of(method, "work_ratio")
        if work is None:
            continue
        for name, stretch in (("probe_after", 0.03), ("js_forget", 1.5)):
            found, other = of(method, name), tuned[name]
            if found is None or other is None:
                continue
            what = f"mnist backdoor, {method}: {name}"
            yield Target("B1", what, str(found), f"< finetune's {other.mean:.3f}", found.mean < other.mean)
            yield Target("B1", what, str(found), f"<= {stretch}", found.mean <= stretch, "stretch")
        yield Target("B1", f"mnist backdoor, {method}: work ratio", str(work), ">= 6", work.mean >= 6)
        lost = of(method, "test_after - test_before")
        if lost is not None:
            what = f"mnist backdoor, {method}: test accuracy gained"
            yield Target("B1", what, str(lost), ">= -0.005", lost.mean >= -0.005, "stretch")


def b2(store: Store) -> Iterator[Target]:
    """Directed f-FUM against the model before, over many seeds and three divergences."""
    records = store.of("directed")
    keys = sorted({(record["source"], row["method"]) for record in records for row in record["rows"]})
    for (source, method), name in itertools.product(keys, ("probe", "forget")):
        gains = [
            row[name] - record["before"][name]
            for record in records
            if record["source"] == source
            for row in record["rows"]
            if row["method"] == method
        ]
        found = over_seeds(gains)
        if found is None:
            continue
        violations = sum(gain > 0 for gain in gains)
        told = f"{found}, {violations} violations"
        what = f"{source} backdoor, {method}: {name} minus before's"
        yield Target("B2", what, told, "upper end < 0", found.high < 0)
        yield Target("B2", what, told, "no violation", violations == 0, "stretch")


def b3(store: Store) -> Iterator[Target]:
    """f-FUM with reset: told from matched references as rarely as may be."""
    for scenario, (method, work_asked) in itertools.product((NOISY, BACKDOOR), RESET.items()):
        found = over_seeds(column(store, "digits", scenario, method, "auc"))
        tuned = over_seeds(column(store, "digits", scenario, "finetune", "auc"))
        work = over_seeds(column(store, "digits", scenario, method, "work_ratio"))
        gain = over_seeds(column(store, "digits", scenario, method, "test_after - test_before"))
        if found is None or tuned is None or work is None or gain is None:
            continue
        place = f"digits {scenario}, {method}"
        most = SHARES[scenario] + (0.05 if work_asked > 4 else 0)
        yield Target("B3", f"{place}: U-LiRA", str(found), f"< finetune's {tuned.mean:.3f}", found.mean < tuned.mean)
        yield Target("B3", f"{place}: U-LiRA", str(found), f"<= {most:.2f}", found.mean <= most, "stretch")
        yield Target("B3", f"{place}: work ratio", str(work), f">= {work_asked:g}", work.mean >= work_asked)
        yield Target("B3", f"{place}: test gained", str(gain), ">= -0.025", gain.mean >= -0.025, "stretch")


def b4(store: Store) -> Iterator[Target]:
    """Rapid retraining: no more to be told than of retrained models, and as accurate as before."""
    for scenario, (method, work_asked) in itertools.product((NOISY, BACKDOOR, "dir0.3"), RAPID.items()):

        def of(name: str, place: str = scenario, of: str = method) -> Figure | None:
            return over_seeds(column(store, "digits", place, of, name))

        told, gain, work = of("auc"), of("test_after - test_before"), of("work_ratio")
        if told is None or gain is None or work is None:
            continue
        place, strength = f"digits {scenario}, {method}", "required" if work_asked == 4 else "stretch"
        yield Target("B4", f"{place}: U-LiRA", str(told), "contains .5", told.low <= 0.5 <= told.high, strength)
        yield Target("B4", f"{place}: test gained", str(gain), ">= -0.01", gain.mean >= -0.01, strength)
        yield Target("B4", f"{place}: work ratio", str(work), f">= {work_asked:g}", work.mean >= work_asked, strength)


def b5(store: Store) -> Iterator[Target]:
    """The rank test: its level on fresh controls, and what it rejects."""
    for models in sorted({record["models"] for record in store.of("controls")}):
        p_values = [p for record in store.of("controls", models=models) for p in record["p_values"]]
        level = 1 / (models + 1)
        rejected = sum(p <= level + 1e-12 for p in p_values)
        low, high = (int(end) for end in stats.binom.interval(0.99, len(p_values), level))
        what = f"V14, {models} oracles: fresh controls rejected at 1/{models + 1}"
        found = f"{rejected} of {len(p_values)}"
        yield Target("B5", what, found, f"{low} to {high}", low <= rejected <= high)
    for scenario, method in itertools.product((NOISY, BACKDOOR), REJECTED):
        counts = column(store, "digits", scenario, method, "rejected")
        if counts:
            rejected, asked = sum(counts), sum(column(store, "digits", scenario, method, "asked"))
            what, found = f"digits {scenario}, {method}: rejected", f"{rejected:g} of {asked:g} (n={len(counts)} seeds)"
            yield Target("B5", what, found, ">= .95", rejected >= 0.95 * asked)


def b6(store: Store) -> Iterator[Target]:
    """U-LiRA on what nothing tells apart, and on what did nothing."""
    controls = [auc for scenario in (NOISY, BACKDOOR) for auc in column(store, "digits", scenario, "retrain", "auc")]
    found = over_seeds(controls)
    if found is not None:
        told = f"{found}, {min(controls):.3f} to {max(controls):.3f}"
        yield Target("B6", "digits, U-LiRA of retrained models", told, ".47 to .53", 0.47 <= found.mean <= 0.53)
        inside = sum(0.47 <= auc <= 0.53 for auc in controls)
        yield Target(
            "B6", "the same, each alone", f"{inside} of {len(controls)} inside", "all", inside == len(controls)
        )
    original = over_seeds(column(store, "digits", NOISY, "no-op", "auc"))
    if original is not None:
        yield Target("B6", "digits noisy, U-LiRA of originals", str(original), ">= .90", original.mean >= 0.9)


def b7_and_b9(store: Store) -> Iterator[Target]:
    """The standard verification, in a process of its own."""
    for record in store.of("verification"):
        told = f"{record['cpu']:.1f} s CPU, {record['wall']:.1f} s wall, {record['status']}"
        what = f"standard verification, digits {record['scenario']}, {record['method']}"
        yield Target("B7", what, told, "<= 60 s of one core", record["cpu"] <= 60)
        yield Target("B7", what, told, "<= 30 s", record["cpu"] <= 30, "stretch")
        memory = f"{record['peak_mebibytes']:.0f} MiB"
        yield Target("B9", f"{what}: peak memory", memory, "<= 1.5 GB", record["peak_mebibytes"] <= 1.5e9 / 2**20)


def b8(store: Store) -> Iterator[Target]:
    """Stacked against sequential."""
    for record in store.of("engines"):
        ratio = statistics.median(record["ratios"])
        told = f"{ratio:.1f} x (median of {len(record['ratios'])} turns; {record['alone']} one after another)"
        what = f"{record['models']} federations stacked, against one after another"
        yield Target("B8", what, told, ">= 4 x", ratio >= 4)
        yield Target("B8", what, told, ">= 8 x", ratio >= 8, "stretch")


def b10(store: Store) -> Iterator[Target]:
    """Seconds of a federation, by how many are trained."""
    records = store.of("scale")
    for clients in sorted({record["clients"] for record in records}):
        each = {record["models"]: record["each"] for record in records if record["clients"] == clients}
        told = ", ".join(f"{models}: {seconds:.3f} s" for models, seconds in sorted(each.items()))
        flat: Sequence[float] = [seconds for models, seconds in each.items() if models >= 64]
        met = max(flat) <= 1.5 * min(flat) if len(flat) > 1 else None
        yield Target("B10", f"seconds of a federation, {clients} clients", told, "flat within 1.5 from 64", met)
    for record in records:
        if record["models"] == 1024 and record["clients"] == 10:
            minutes = record["seconds"] / 2 / 60
            told = f"{record['seconds']:.0f} s of one core"
            yield Target("B10", "1,024 oracles on two cores", told, "< 5 min", minutes < 5, "stretch")
