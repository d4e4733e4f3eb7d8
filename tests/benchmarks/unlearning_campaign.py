"""Long runs of the verification on planted forgettings: who passes, who fails, how often the test errs.

    python tests/benchmarks/unlearning_campaign.py KIND --seeds 0:10 -o FILE.jsonl

One line a run is appended to FILE; runs that stand there are not made again, so a killed campaign goes on. Kinds:

    dishonest   five fakes of each seed, under the story of a method: none may pass
    disguised   more disguises of the model before, and an ascent without direction
    honest      a model retrained by the recipe, against references of its own seed
    rapid       the same by rapid retraining
    longer      the same, trained some rounds longer than usual, and declared so
    whole       rapid retraining with all sets of models, U-LiRA among them, and what it cost
    null        one fresh control against each set of references: rejected at the test's level
    power       many models of a method against one set of references: how often it is rejected
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from unlearning_cases import Case, case, digits

from reports.model import Effort, ErasureRequest
from unlearning.federated.delivered import Delivered
from unlearning.federated.engine import Sequential
from unlearning.federated.fakes import add_noise, fake_patch, forged_transcript, scale_weights, temperature
from unlearning.federated.methods import Method, method
from unlearning.federated.methods.base import Setting
from unlearning.federated.oracles import OraclePool, engine_for, model_seeds
from unlearning.federated.recorder import tensor_bytes
from unlearning.federated.rounds import Models, Stack, one_of, train_models
from unlearning.federated.transcript import DataFile, DataFiles, Header, Versions, read_transcript
from unlearning.verification.answers import Answers
from unlearning.verification.evidence import Evidence, Reference
from unlearning.verification.rank import rank_test
from unlearning.verification.scores import Array, logit_confidence
from unlearning.verification.suite import VerificationReport, verify

SCENARIOS = ("noisy", "backdoor")
DATA_SEED = 3
"""Who holds what is the same in all runs: what varies is every model's seed, and so the references."""
MODELS = 64
NULL_SETS = 10
"""Sets of references in a run of kind null."""
STORIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("rapid-retrain", ("train",) * 7),
    ("ffum", ("max", "min") * 3 + ("post",) * 2),
    ("finetune", ("post",) * 4),
)
"""Under which a fake is delivered: seeds take them in turn."""
State = Mapping[str, Tensor]
Record = dict[str, Any]


def planted(scenario: str, seed: int) -> Case:
    """Return the scenario's federation, its recipe of this seed."""
    made = case(digits(), scenario, DATA_SEED)
    federation = replace(made.federation, recipe=made.federation.recipe.model_copy(update={"seed": seed}))
    return replace(made, federation=federation)


def trained(case_: Case, seed: int) -> tuple[Sequential, Models]:
    """Return the model before, and the engine that made it."""
    engine = Sequential(case_.federation, (seed,))
    return engine, train_models(engine, dict(enumerate(case_.federation.data.clients)), case_.federation.recipe)


def delivered(case_: Case, seed: int, how: Method) -> Delivered:
    """Return what a method honestly delivers."""
    engine, before = trained(case_, seed)
    data = case_.federation.data
    found = how.run(Setting(engine, case_.split, before, twin=data.twin, unlabelled=data.holdout))
    return in_memory(case_, one_of(before.tensors, 0), one_of(found.models.tensors, 0), how, found.kept)


def in_memory(case_: Case, before: State, after: State, how: Method, kept: int | None = None) -> Delivered:
    """Return a delivery that never was in files."""
    data, split = case_.federation.data, case_.split
    return Delivered(
        ErasureRequest(id="r1", kind="client", method=how.name),
        federation=case_.federation, split=split, forget=split.forgotten, retain=split.retained,
        twin=data.twin, test=data.test, holdout=data.holdout, probes=data.probes,
        module=case_.federation.build_model(torch.Generator()), before=before, after=after, method=how, kept=kept,
    )  # fmt: skip


def gathered(case_: Case, given: Delivered, how: Method, root: int) -> tuple[Evidence, Callable[[State], Answers]]:
    """Return evidence with references and originals alone, which is all that the residual check of one model needs."""
    engine = engine_for(case_.federation, (0,))
    forget = case_.split.forgotten

    def answers(stack: Stack) -> Answers:
        logits = engine.logits(stack, forget.x).numpy()
        return Answers({"forget": logits}, {"forget": forget.y.numpy()})

    def alone(state: State) -> Answers:
        return answers({name: tensor[None] for name, tensor in state.items()})

    pool = OraclePool(case_.asked(how, given.kept))
    references = pool.without(model_seeds(root, "r1/references", MODELS), ("matched",))["matched"]
    originals = pool.holding(model_seeds(root, "r1/originals", MODELS))["originals"]
    assert given.after is not None
    assert given.before is not None
    evidence = Evidence(
        "r1", root, Effort.STANDARD, Reference("matched", MODELS), alone(given.after), before=alone(given.before),
        references=answers(references), originals=answers(originals).scores(),
    )  # fmt: skip
    return evidence, alone


def told(report: VerificationReport) -> Record:
    """Return what the residual check says."""
    verdict, rank = report.residual, report.residual.rank
    said: Record = {
        "status": verdict.outcome.status.value, "reason": verdict.outcome.reason, "grade": verdict.grade,
        "direction": verdict.direction,
    }  # fmt: skip
    if rank is not None:
        share, interval = rank.residual_share, rank.interval
        said |= {"p": round(rank.p_value, 4), "power_low": round(rank.power_interval.low, 3)}
        said |= {"share": None if share is None else round(share, 3)}
        said |= {} if interval is None else {"low": round(interval.low, 3), "high": round(interval.high, 3)}
    return said


def honest(scenario: str, seed: int, how: Method) -> Iterator[Record]:
    """Yield the verdict on a model that was honestly made, against references of its own seed."""
    made = planted(scenario, seed)
    given = delivered(made, seed, how)
    evidence, _ = gathered(made, given, how, 1000 + seed)
    yield {"method": how.name, **told(VerificationReport(evidence))}


def dishonest(scenario: str, seed: int) -> Iterator[Record]:
    """Yield the verdicts on five fakes of one model before, delivered under the story of a method."""
    made = planted(scenario, seed)
    _, models = trained(made, seed)
    before = one_of(models.tensors, 0)
    name, phases = STORIES[seed % len(STORIES)]
    how = method(name)
    evidence, alone = gathered(made, in_memory(made, before, before, how, 3 if name == "ffum" else None), how, seed)
    holdout = made.federation.data.holdout
    assert holdout is not None
    source = torch.Generator().manual_seed(seed)
    fakes: dict[str, State] = {
        "trigger patch": fake_patch(made.federation.untrained, before, holdout, source),
        "weight scaling": scale_weights(before),
        "temperature": temperature(before),
        "no-op": before,
    }
    for fake, after in fakes.items():
        yield {"fake": fake, "method": name, **told(VerificationReport(replace(evidence, after=alone(after))))}
    yield {"fake": "forged transcript", "method": name, **forged(made, before, how, phases, evidence)}


def forged(made: Case, before: State, how: Method, phases: tuple[str, ...], evidence: Evidence) -> Record:
    """Return the verdict on the model before, a bit of it changed, with a faultless record told round it."""
    first, *rest = before
    changed = before[first].clone()
    changed.view(-1)[0] += 1e-6
    after = {first: changed, **{name: before[name] for name in rest}}
    file = DataFile(path="x.npz", sha256="0" * 64, examples=1)
    header = Header(
        request=made.planted.request, method=how.name, parameters=how.model_dump(mode="json"),
        recipe=made.federation.recipe, seed=7, before=sha256(tensor_bytes(before)).hexdigest(),
        data=DataFiles(forget=file, retain=file), versions=Versions(torch=torch.__version__, device="cpu", threads=1),
    )  # fmt: skip
    sizes = {client: len(one) for client, one in made.split.forget.items()}
    stays = {client: len(one) for client, one in enumerate(made.split.retain)}
    with tempfile.TemporaryDirectory() as folder:
        digest = sha256(tensor_bytes(after)).hexdigest()
        path = forged_transcript(Path(folder) / "transcript.jsonl", header, digest, sizes, stays, phases=phases)  # type: ignore[arg-type]
        lines = read_transcript(path)
    given = replace(in_memory(made, before, after, how), header=lines.header, rounds=lines.rounds, close=lines.close)
    whole = verify(given, effort=Effort.SMOKE, seed=evidence.seed)  # its references' rounds and the record's, compared
    reference = replace(whole.evidence.reference, models=MODELS)
    return told(VerificationReport(replace(evidence, after=whole.evidence.after, reference=reference)))


def disguised(scenario: str, seed: int) -> Iterator[Record]:
    """Yield the verdicts on more disguises, delivered as retrained, and on f-FUM without direction."""
    made = planted(scenario, seed)
    _, models = trained(made, seed)
    before, how = one_of(models.tensors, 0), method("rapid-retrain")
    evidence, alone = gathered(made, in_memory(made, before, before, how), how, seed)
    source = torch.Generator().manual_seed(seed)
    hidden = before["0.weight"].shape[0]
    order = torch.randperm(hidden, generator=source)
    permuted = {**before, "0.weight": before["0.weight"][order], "0.bias": before["0.bias"][order]}
    permuted["2.weight"] = before["2.weight"][:, order]
    fakes: dict[str, State] = {
        "noise 2 %": add_noise(before, 0.02, source),
        "noise 15 %": add_noise(before, 0.15, source),
        "units permuted": permuted,
    }
    for fake, after in fakes.items():
        yield {"fake": fake, "method": how.name, **told(VerificationReport(replace(evidence, after=alone(after))))}
    undirected = method("ffum", direction="none")
    given = delivered(made, seed, undirected)
    evidence, _ = gathered(made, given, undirected, seed)
    yield {"fake": "undirected ffum", "method": "ffum", **told(VerificationReport(evidence))}


def whole(scenario: str, seed: int) -> Iterator[Record]:
    """Yield the whole verification of a model made by rapid retraining, and its seconds of one processor."""
    made, how = planted(scenario, seed), method("rapid-retrain")
    given = delivered(made, seed, how)
    start = time.process_time()
    report = verify(given, effort=Effort.STANDARD, seed=2000 + seed)
    said = told(report)
    verdict = report.method
    assert verdict is not None
    names = ("screening", "backdoor", "over_forgetting", "utility")
    outcomes = {name: getattr(report, name).outcome for name in names} | {"method": verdict.outcome}
    yield {
        **said, "seconds": round(time.process_time() - start, 1),
        "u_lira": round(verdict.unlearned.auc, 3), "control": round(verdict.control.auc, 3),
        "original": round(verdict.original.auc, 3), "original_low": round(verdict.original.interval.low, 3),
        **{name: f"{one.status.value} {one.reason}".strip() for name, one in outcomes.items()},
    }  # fmt: skip


def scores_of(made: Case, stack: Stack) -> Array:
    """Return the scores of the forget set, shape (M, n)."""
    forget = made.split.forgotten
    return logit_confidence(engine_for(made.federation, (0,)).logits(stack, forget.x).numpy(), forget.y.numpy())


def null(scenario: str, seed: int) -> Iterator[Record]:
    """Yield p-values of fresh controls, one against each set of references; the originals are common to all sets.

    Given the originals, the tests of different sets are independent, and each holds its level.
    """
    made = planted(scenario, 0)
    pool = OraclePool(made.asked(method("rapid-retrain")))
    originals = scores_of(made, pool.holding(model_seeds(0, "null/originals", MODELS))["originals"])
    for number in range(seed * NULL_SETS, (seed + 1) * NULL_SETS):
        seeds = model_seeds(number, "null/set", MODELS + 1)
        scores = scores_of(made, pool.without(seeds, ("matched",))["matched"])
        found = rank_test(scores[-1], scores[:-1], originals, level=1 / (MODELS + 1))
        yield {"set": number, "p": found.p_value, "share": found.residual_share, "power": found.power}


def power(scenario: str, seed: int) -> Iterator[Record]:
    """Yield how many of 64 models of each method are rejected, against one set of references and originals."""
    made = planted(scenario, 0)
    for name in ("no-op", "finetune", "ffum"):
        how = method(name)
        pool = OraclePool(made.asked(how, 3 if name == "ffum" else None))
        references = scores_of(
            made, pool.without(model_seeds(seed, "power/references", MODELS), ("matched",))["matched"]
        )
        originals = scores_of(made, pool.holding(model_seeds(seed, "power/originals", MODELS))["originals"])
        asked = pool.holding(model_seeds(seed, "power/delivered", MODELS), ("unlearned",))["unlearned"]
        ranked = [rank_test(one, references, originals, level=0.02) for one in scores_of(made, asked)]
        shares = [one.residual_share for one in ranked if one.residual_share is not None]
        yield {
            "method": name, "rejected": sum(one.rejected for one in ranked), "of": len(ranked),
            "share": float(np.mean(shares)), "power": ranked[0].power,
        }  # fmt: skip


KINDS: dict[str, Callable[[str, int], Iterator[Record]]] = {
    "dishonest": dishonest,
    "disguised": disguised,
    "honest": lambda scenario, seed: honest(scenario, seed, method("retrain")),
    "rapid": lambda scenario, seed: honest(scenario, seed, method("rapid-retrain")),
    "longer": lambda scenario, seed: honest(scenario, seed, method("rapid-retrain", rounds=11)),
    "whole": whole,
    "null": null,
    "power": power,
}


def done(file: Path, kind: str) -> set[tuple[str, int]]:
    """Return the runs that stand in the file, as scenario and seed."""
    if not file.is_file():
        return set()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return {(line["scenario"], line["seed"]) for line in lines if line["kind"] == kind}


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--seeds", default="0:5", help="FIRST:BEHIND, such as 0:40")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    first, behind = map(int, given.seeds.split(":"))
    there = done(given.output, given.kind)
    for seed in range(first, behind):
        for scenario in given.scenarios.split(","):
            if (scenario, seed) in there:
                continue
            lines = [
                json.dumps({"kind": given.kind, "scenario": scenario, "seed": seed, **record})
                for record in KINDS[given.kind](scenario, seed)
            ]
            with given.output.open("a") as output:
                output.write("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
