"""Make a language model forget, as `fedaudit unlearn lunar` does it, and leave a folder that can be verified.

    files ─▶ model and sets ─▶ LUNAR, or partial reset and distillation ─▶ OUT/edit, OUT/after, OUT/adapter

OUT is written whole or not at all. CPU-seconds are for the one who runs it: they never enter a report.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reports.executor import Executor
from unlearning.drafts import check_place, drafted
from unlearning.llm.architectures import blocks_of
from unlearning.llm.audit import level_at_a_glance
from unlearning.llm.compare import Ready, compare
from unlearning.llm.edit import LunarEdit, load_edit
from unlearning.llm.importers import LayoutName
from unlearning.llm.lunar import LunarFit, fit_and_tell
from unlearning.llm.lunar_federated import FederatedFit
from unlearning.llm.lunar_work import Settings
from unlearning.llm.model_folder import EDIT_FOLDER, MODEL_FOLDER, save_model
from unlearning.llm.model_io import LanguageModel, Tensors, load_model, weights_digest
from unlearning.llm.records import RecordSet, by_group, read_records
from unlearning.llm.refusal import Refusals, load_refusals
from unlearning.llm.screening import Screening

__all__ = ["Commission", "Fields", "Files", "carried_out", "document", "read_files", "written"]

Fields = dict[str, Any]
Say = Callable[[str], None]
ADAPTER_FOLDER = "adapter"


@dataclass(frozen=True)
class Files:
    """Where the model and the records lie, and how they are to be read."""

    model: Path
    forget: Path
    retain: Path
    reference: Path
    adapter: Path | None = None
    general: Path | None = None
    validation: Path | None = None
    refusals: Path | None = None
    layout: LayoutName = "auto"
    edges: tuple[str, ...] = ()
    """Groups of the forget file that are to be forgotten; the rest of that file is to stay."""
    template: str | None = None


@dataclass(frozen=True, eq=False)
class Commission:
    """What was read: the model, and what it is to forget and to keep."""

    model: LanguageModel
    forget: RecordSet
    retain: RecordSet
    reference: RecordSet
    general: RecordSet | None
    validation: RecordSet | None
    refusals: Refusals


def read_files(files: Files) -> Commission:
    """Return the model and the records of some files.

    Raises:
        UnlearningError: A file cannot be used; names file, line and key, never a text.
    """
    refusals = load_refusals(files.refusals)
    retain = None if files.edges and files.retain == files.forget else _records(files, files.retain)
    forget = read_records(files.forget, files.layout)
    if files.edges:
        forget, rest = by_group(forget, files.edges, where=files.forget.name)
        retain = rest if retain is None else retain
    assert retain is not None  # noqa: S101  read above, or the rest of the forget file
    return Commission(
        _model(files), forget, retain, _records(files, files.reference, answers=False),
        None if files.general is None else _records(files, files.general),
        None if files.validation is None else _records(files, files.validation), refusals,
    )  # fmt: skip


def carried_out(
    commission: Commission,
    output: Path,
    settings: Settings,
    *,
    save: str = "model",
    rivals: tuple[str, ...] = (),
    previous: Sequence[Path] = (),
    executor: Executor | None = None,
    say: Say = lambda _told: None,
) -> Fields:
    """Hide the facts by LUNAR, write OUT, and return the document.

    Args:
        commission: The model and the records.
        output: The folder to write; not there, or empty.
        settings: What LUNAR chooses from.
        save: "edit", "model" (with the edit), "adapter" (with the edit), or "all".
        rivals: Other methods to run on the same records.
        previous: Folders of all earlier edits of the model.
        executor: Runs the passes over the model.
        say: Told what is going on.

    Raises:
        UnlearningError: A premise does not hold, or OUT cannot be written; then nothing is.
    """
    check_place(output)
    edits = [load_edit(folder) for folder in previous]
    say("choosing the edit")
    found = fit_and_tell(
        commission.model, commission.forget, commission.retain, commission.reference, general=commission.general,
        validation=commission.validation, settings=settings, refusals=commission.refusals, previous=edits,
        executor=executor,
    )  # fmt: skip
    table = _table(commission, found, rivals, settings.seed, say)
    say("writing")
    files = written(commission.model, found.variant, found.edit, output, save)
    return document(found, settings, table, files)


def written(model: LanguageModel, variant: Tensors, edit: LunarEdit | None, output: Path, save: str) -> dict[str, str]:
    """Write OUT, whole or not at all, and return what lies where."""
    files: dict[str, str] = {}
    with drafted(output) as draft:
        if edit is not None:
            edit.save(draft / EDIT_FOLDER)
            files["edit"] = str(output / EDIT_FOLDER)
        if save in ("adapter", "all") and edit is not None:
            edit.to_adapter(draft / ADAPTER_FOLDER)
            files["adapter"] = str(output / ADAPTER_FOLDER)
        if save in ("model", "all") or edit is None:
            save_model(model, draft / MODEL_FOLDER, variant=variant)
            files["after"] = str(output / MODEL_FOLDER)
    return files


def screening_fields(heard: Screening) -> Fields:
    """Return a short hearing as the document has it."""
    return {
        "forget_rouge1": heard.forget_rouge1,
        "forget_content": heard.forget_content,
        "paraphrase_content": heard.paraphrase_content,
        "retain_rouge1": heard.retain_rouge1,
        "general": heard.general,
        "refusal": heard.refusal,
        "invented": heard.invented,
        "deviation_score": heard.deviation_score,
    }


def _records(files: Files, path: Path, *, answers: bool = True) -> RecordSet:
    return read_records(path, files.layout, answers=answers)


def _model(files: Files) -> LanguageModel:
    """Return the model before; its blocks are looked for now, so that a wrong architecture is told at once."""
    if files.adapter is not None:
        model = load_model(files.adapter, base=files.model, template=files.template)
    else:
        model = load_model(files.model, template=files.template)
    blocks_of(model.module)
    return model


def _table(
    commission: Commission, found: LunarFit, rivals: tuple[str, ...], seed: int, say: Say
) -> list[Mapping[str, Any]]:
    """Return the comparison, a row a method; empty where none was asked for."""
    if not rivals:
        return []
    say(f"comparing with {', '.join(rivals)}")
    cost = found.cost
    whole = cost.collect_cpu_s + cost.solve_cpu_s + cost.select_cpu_s
    rows = compare(
        commission.model, commission.forget, commission.retain, commission.reference, general=commission.general,
        methods=rivals, ready={"lunar": Ready(found.variant, whole, cost.peak_rss_mib)}, seed=seed,
        refusals=commission.refusals, own=found.reference, level=level_of(commission, seed),
    )  # fmt: skip
    return [row.line() for row in rows]


def level_of(commission: Commission, seed: int) -> Callable[[Tensors], str]:
    """Return what tells of each model of the comparison which level the least effort of an audit gives it."""
    return level_at_a_glance(
        commission.model, forget=commission.forget, retain=commission.retain, general=commission.general,
        refusals=commission.refusals, seed=seed,
    )  # fmt: skip


def document(
    found: LunarFit | FederatedFit, settings: Settings, table: list[Mapping[str, Any]], files: dict[str, str]
) -> Fields:
    """Return what was done as one JSON object."""
    edit, cost = found.edit, found.cost
    return {
        "method": edit.meta.method,
        "solver": edit.meta.solver,
        "updates": [update.line().model_dump(mode="json", exclude_none=True) for update in edit.updates],
        "parameters_changed": edit.parameters,
        "tensors_changed": len(edit.updates),
        "before_sha256": edit.meta.model.before,
        "after_sha256": edit.meta.model.after,
        "requests": edit.meta.requests,
        "previous": edit.meta.previous,
        "reference": {"given": found.reference.given, "refused": len(found.reference.refused)},
        "gate": found.gate.model_dump(mode="json", exclude_none=True),
        "screening": {"before": screening_fields(found.before), "after": screening_fields(found.after)},
        "candidates": [
            {
                "layer": one.setting.layer,
                "tokens": one.setting.tokens,
                "ridge": one.setting.ridge,
                "effective_coefficient": one.coefficient,
                "leak": one.setting.leak,
                "deviation_score": one.screening.deviation_score,
                "fluent_refusal": one.screening.refusal,
                "retain": one.screening.retain_rouge1,
                "general": one.screening.general,
                "accepted": one.accepted,
            }
            for one in found.tried
        ],
        "cost": {**asdict(cost), "erase_cpu_s": 0.0, "peak_rss_mib": cost.peak_rss_mib},
        "comparison": table,
        "warnings": list(found.warnings),
        "seed": settings.seed,
        "files": files,
    }


def changed_digest(model: LanguageModel, variant: Tensors) -> str:
    """Return the digest of the weights with a variant's tensors in them."""
    with model.swapped(variant):
        return weights_digest(model)
