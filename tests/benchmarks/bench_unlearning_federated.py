"""Federated unlearning and its verification: every method, the rivals and a peer in one run, and the targets B1 to B10.

    python tests/benchmarks/bench_unlearning_federated.py [digits|mnist] [--data mnist10k.npz] [--part PART ...]
        [--points small|standard|full] [--keep FILE] [--json]

Without digits or mnist both are measured; mnist needs `--data`, an npz with X (uint8, n x 28 x 28) and y, and is
skipped with a reason without it. One process, one thread; figures are means over seeds with Student's 95 % interval,
each seed another planted case and other models. `--keep` names a file of JSON lines to which every measurement is
added as it is done: a run that was cut off goes on from there. On one free core, small takes half an hour, standard
two hours. Returns 1 if something required is missed.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from attacks_rows import peak_mebibytes
from unlearning_cases import Source, digits, mnist
from unlearning_plans import OF_MNIST, PARTS, POINTS, Points
from unlearning_rows import HEAD, Store
from unlearning_tables import peer, tables
from unlearning_targets import targets

KEPT_AS = {"rapid": "methods"}
"""Parts that measure what another one measures, on more seeds."""


def main() -> int:
    """Measure, print the tables, and say which targets are missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("source", nargs="?", choices=("digits", "mnist"), help="both by default")
    parser.add_argument("--data", type=Path, help="the npz of MNIST")
    parser.add_argument("--part", action="append", choices=tuple(PARTS), help="may be given again; all by default")
    parser.add_argument("--method", action="append", help="measure these alone, as the tables name them")
    parser.add_argument("--seed", action="append", type=int, help="measure these alone, of parts that have seeds")
    parser.add_argument("--points", default="standard", choices=tuple(POINTS))
    parser.add_argument("--keep", type=Path, help="file of JSON lines that measurements are kept in")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    store, sources, notes = Store(arguments.keep), [], []
    if arguments.source != "mnist":
        sources.append(digits())
    if arguments.source != "digits" and arguments.data is None:
        notes.append("mnist is skipped: no file is named (--data mnist10k.npz)")
    elif arguments.source != "digits":
        sources.append(mnist(arguments.data))
    for source in sources:
        for part in arguments.part or PARTS:
            measure(source, part, POINTS[arguments.points], store, {"method": arguments.method, "seed": arguments.seed})
    found = list(targets(store))
    missed = [f"{row.name} {row.what}" for row in found if row.met is False and row.strength == "required"]
    if arguments.json:
        machine = {"python": platform.python_version(), "torch": torch.__version__, "load": os.getloadavg()}
        document = {"benchmark": "unlearning_federated", "points": arguments.points, "machine": machine,
                    "peak_mebibytes": round(peak_mebibytes()), "notes": notes, "records": store.records,
                    "targets": [row.fields for row in found], "missed": missed}  # fmt: skip
        print(json.dumps(document, indent=2))
    else:
        for text in (*tables(store), *peer(store), "\n".join([HEAD, *map(str, found)]), *notes):
            print(text, end="\n\n")
        print(f"{len(found)} rows, {len(missed)} required targets missed")
    return 1 if missed else 0


def measure(
    source: Source, part: str, points: Points, store: Store, only: Mapping[str, Sequence[object] | None]
) -> None:
    """Measure one part on one source, and tell of each measurement on stderr."""
    if source.name == "mnist" and part not in OF_MNIST:
        return
    for key, take in PARTS[part](source, points):
        label = {"source": source.name, **key}
        if any(wanted and label.get(name, wanted[0]) not in wanted for name, wanted in only.items()):
            continue
        store.once(KEPT_AS.get(part, part), label, take)
        print(part, *(f"{name}={value}" for name, value in label.items()), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
