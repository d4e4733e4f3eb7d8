"""What was measured, for people: all methods in one table for each scenario, and the peer beside them."""

from collections.abc import Iterator, Sequence

from unlearning_rows import Figure, Record, Store, over_seeds, table

COMMON = (
    ("work_ratio", "work ratio"), ("seconds", "CPU s"), ("test_after", "test"), ("forget_after", "forget"),
    ("retain_after", "retain"), ("probe_after", "probes"), ("js_forget", "JS forget"), ("js_test", "JS test"),
)  # fmt: skip
OF_MANY = (
    ("auc", "U-LiRA"), ("strict_auc", "strict"), ("tpr_at_1_percent", "TPR at 1 %"), ("share", "rho"),
    ("rejected_share", "rejected"), ("quality", "F"),
)  # fmt: skip
"""Figures that only many models a side have."""
OF_LIRA = (
    ("u_lira", "ours, U-LiRA"),
    ("lira_plain", "erasus LiRA, as it comes"),
    ("lira_shadows", "erasus LiRA, our shadows"),
)


def tables(store: Store) -> Iterator[str]:
    """Yield a table of all methods for each source and scenario: means, and half of Student's 95 % interval."""
    records = store.of("methods")
    for source, scenario in dict.fromkeys((record["source"], record["scenario"]) for record in records):
        rows = [row | _rejected(row) for row in store.of("methods", source=source, scenario=scenario)]
        columns = COMMON if source == "mnist" else COMMON + OF_MANY
        held = {"test": "test_before", "forget": "forget_before", "probes": "probe_before"}
        firsts = {row["seed"]: row for row in reversed(rows)}.values()
        before = {name: over_seeds(row.get(key) for row in firsts) for name, key in held.items()}
        told = ", ".join(f"{name} {figure}" for name, figure in before.items() if figure is not None)
        title = f"{source}, {scenario}, {rows[0]['models']} models a side; before: {told}"
        yield f"{title}\n{table(['method', 'n', *(name for _, name in columns)], _cells(rows, columns))}"


def peer(store: Store) -> Iterator[str]:
    """Yield what erasus does beside us, or why it is not there."""
    records = store.of("erasus")
    yield from dict.fromkeys(record["note"] for record in records if "note" in record)
    found = [record for record in records if "rows" in record]
    if not found:
        return
    columns = (("seconds", "CPU s"), ("test", "test"), ("forget", "forget"), ("probe", "probes"))
    rows = [row for record in found for row in record["rows"]]
    yield f"beside erasus, digits backdoor\n{table(['method', 'n', *(n for _, n in columns)], _cells(rows, columns))}"
    answers = [
        [name, *(_brief(over_seeds(record[f"{key}_{what}"] for record in found)) for what in ("no-op", "retrained"))]
        for key, name in OF_LIRA
    ]
    yield f"what is answered (AUC)\n{table(['attack', 'nothing was done', 'retrained'], answers)}"


def _cells(rows: Sequence[Record], columns: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return a row for each method, over all seeds."""
    found = []
    for name in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == name]
        found.append([name, str(len(mine)), *(_brief(over_seeds(row.get(key) for row in mine)) for key, _ in columns)])
    return found


def _rejected(row: Record) -> Record:
    return {"rejected_share": row["rejected"] / row["asked"]} if "rejected" in row else {}


def _brief(figure: Figure | None) -> str:
    """Return "0.123 ±0.020", or the value alone of one seed."""
    if figure is None:
        return "-"
    return f"{figure.mean:.3f} ±{(figure.high - figure.low) / 2:.3f}" if figure.n > 1 else f"{figure.mean:.3f}"
