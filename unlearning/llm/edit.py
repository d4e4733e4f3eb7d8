"""An edit of a language model as a small artefact: applied, reverted bit by bit, saved, and exported as an adapter.

    before ──apply──▶ after      W' = round(W + D) in the named tensors, in no other
    before ◀─revert── after      with the help of `undo`, since W' - D does not round to W

Both refuse a model whose digest is not the one that the edit was made for, and look at what comes out: a damaged edit
changes nothing. Arithmetic: `unlearning.llm.bits`. Method: LUNAR (arXiv 2502.07218); the artefact is ours.
"""

import difflib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from reports.version import VERSION
from unlearning.errors import EditError
from unlearning.llm.adapter_export import write_adapter
from unlearning.llm.bits import FLOATS, restored, shifted, undo_of
from unlearning.llm.edit_folder import EditContents, edit_digest, read_edit, write_edit
from unlearning.llm.edit_nouns import EditedModel, EditedSet, EditMeta, GateFigures
from unlearning.llm.forgotten_sums import ForgottenSums
from unlearning.llm.model_io import LanguageModel, Tensors, state_of, weights_digest
from unlearning.llm.update import FullUpdate, LowRankUpdate, Update

__all__ = [
    "EditMeta",
    "EditedModel",
    "EditedSet",
    "FullUpdate",
    "GateFigures",
    "LowRankUpdate",
    "LunarEdit",
    "load_edit",
    "make_edit",
]


@dataclass(frozen=True, eq=False)
class LunarEdit:
    """What was added to a model to make it refuse, and what is needed to take it off again."""

    updates: tuple[Update, ...]
    """One a changed tensor."""
    meta: EditMeta
    """Where it comes from, and the digests of the model before and after."""
    undo: Mapping[str, bytes]
    """By tensor: what reverting needs besides the update."""
    forgotten: ForgottenSums | None = None
    """What a later request needs of this one; None where it was withheld."""
    read_sha256: str = ""
    """Of the folder that it was read from."""

    @functools.cached_property
    def sha256(self) -> str:
        """The digest that its `edit.json` bears."""
        return self.read_sha256 or edit_digest(self._contents)

    @property
    def _contents(self) -> EditContents:
        return EditContents(self.updates, self.meta, self.undo, self.forgotten)

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of the tensors that it changes, in the order of the updates."""
        return tuple(update.tensor for update in self.updates)

    @property
    def parameters(self) -> int:
        """How many numbers define it."""
        return sum(update.parameters for update in self.updates)

    def apply(self, before: LanguageModel | Tensors) -> dict[str, Tensor]:
        """Return the tensors that the edit changes, changed; what is given is left as it is.

        Args:
            before: The model that the edit was made for, or all of its tensors.

        Raises:
            EditError: `llm.digest`, it is another model, or the edit is damaged; `llm.edit`, a tensor is missing, tied,
                quantised or of another shape.
        """
        state = self._state(before)
        _require(weights_digest(state), self.meta.model.before, "the model is not the one that the edit was made for")
        changed = _changed(self.updates, state)
        _require(weights_digest({**state, **changed}), self.meta.model.after, "the edit gives something else")
        return changed

    def revert(self, after: LanguageModel | Tensors) -> dict[str, Tensor]:
        """Return the tensors that the edit changed as they were before it, bit for bit; as `apply` otherwise.

        Args:
            after: The model with the edit applied, and with nothing else changed.

        Raises:
            EditError: As `apply`.
        """
        state = self._state(after)
        _require(weights_digest(state), self.meta.model.after, "the model is not what the edit leaves behind")
        found = {}
        for update in self.updates:
            try:
                found[update.tensor] = restored(state[update.tensor], update.delta, self.undo[update.tensor])
            except ValueError as error:
                told = f"undo.safetensors: {update.tensor}: {error}"
                raise EditError("llm.edit", told, "Restore the edit's folder.") from error
        _require(weights_digest({**state, **found}), self.meta.model.before, "the edit does not give back what it took")
        return found

    def save(self, folder: Path) -> None:
        """Write the edit's folder, whole or not at all: edit.json, edit.safetensors, undo.safetensors.

        Where sums for a later request are known, they are written to statistics.safetensors.

        Raises:
            UnlearningError: `unlearning.folder`, something is there already.
        """
        write_edit(self._contents, folder)

    def to_adapter(self, folder: Path) -> None:
        """Write the edit as a PEFT LoRA adapter of the same rank, so that it can travel like one.

        Raises:
            EditError: `llm.edit`, an update has no low rank, or modules differ by layer so that no adapter holds it.
            UnlearningError: `unlearning.folder`, something is there already.
        """
        low = [update for update in self.updates if isinstance(update, LowRankUpdate)]
        if len(low) != len(self.updates):
            mend = "Save the edit, or the model, instead."
            raise EditError("llm.edit", "an edit that holds whole differences is no low-rank adapter", mend)
        write_adapter(low, folder, base=self.meta.model.before)

    def _state(self, of: LanguageModel | Tensors) -> Tensors:
        """Return the tensors of a model in which all that the edit names can be changed."""
        return editable(of, {update.tensor: update.shape for update in self.updates})


def make_edit(
    updates: Sequence[Update],
    before: LanguageModel | Tensors,
    *,
    architecture: str = "",
    method: str = "lunar",
    solver: str = "closed",
    sets: Mapping[str, EditedSet] | None = None,
    gate: GateFigures | None = None,
    requests: int = 1,
    previous: str | None = None,
    seed: int = 0,
) -> LunarEdit:
    """Return the edit that adds some updates to a model: both digests taken, and how to undo it.

    Args:
        updates: One a tensor.
        before: The model, or all of its tensors.
        architecture: Class of transformers, where only tensors are given.
        method: Method of unlearning.
        solver: How the updates were found.
        sets: What they were made from.
        gate: What the gate told.
        requests: Erasure requests honoured so far, this one among them.
        previous: SHA-256 of the edit before.
        seed: Root seed.

    Raises:
        EditError: `llm.edit`, there is no update, two change one tensor, a tensor is missing, tied, quantised or of
            another shape, or the result is not finite.
    """
    named = [update.tensor for update in updates]
    if not named or len(set(named)) != len(named):
        raise EditError("llm.edit", "an edit changes at least one tensor, and each once", "Add the updates up first.")
    state = editable(before, {update.tensor: update.shape for update in updates})
    changed = _changed(updates, state)
    undo = {update.tensor: undo_of(state[update.tensor], changed[update.tensor], update.delta) for update in updates}
    shown = architecture or (type(before.module).__name__ if isinstance(before, LanguageModel) else "unknown")
    digests = weights_digest(state), weights_digest({**state, **changed})
    meta = EditMeta(
        method=method, solver=solver, model=EditedModel(architecture=shown, before=digests[0], after=digests[1]),
        sets=dict(sets or {}), gate=gate, requests=requests, previous=previous, seed=seed, tool_version=VERSION,
    )  # fmt: skip
    return LunarEdit(tuple(updates), meta, undo)


def load_edit(folder: Path) -> LunarEdit:
    """Return the edit of a folder, or of the `edit.json` in it.

    Raises:
        EditError: `llm.edit`, a file is missing or not what it should be; `llm.digest`, one was altered.
        reports.errors.FileError: a file of tensors is refused or broken.
    """
    found = read_edit(folder.parent if folder.name == "edit.json" else folder)
    return LunarEdit(found.updates, found.meta, found.undo, found.forgotten, found.sha256)


def editable(of: LanguageModel | Tensors, shapes: Mapping[str, tuple[int, ...]]) -> Tensors:
    """Return the tensors of a model, having made sure that the named ones can be changed alone.

    Raises:
        EditError: `llm.edit`, one is missing, quantised, of another shape, or tied to another.
    """
    state = of if isinstance(of, Mapping) else state_of(of)
    for name, shape in shapes.items():
        if name not in state:
            near = difflib.get_close_matches(name, state, n=1)
            mend = f"Did you mean {near[0]!r}?" if near else "Take the model that the edit was made for."
            raise EditError("llm.edit", f"the model has no tensor {name!r:.200}", mend)
        tensor = state[name]
        if tensor.dtype not in FLOATS:
            mend = "Load the model unquantised, as float32, float16 or bfloat16."
            raise EditError("llm.edit", f"{name} holds {str(tensor.dtype).removeprefix('torch.')}", mend)
        if tuple(tensor.shape) != shape:
            told = f"{name} has shape {tuple(tensor.shape)}, the edit has {shape}"
            raise EditError("llm.edit", told, "Take the model that the edit was made for.")
        if other := _tied(name, of, state):
            mend = "Untie the two first, or edit another tensor."
            raise EditError("llm.edit", f"{name} is tied to {other}, which would change with it", mend)
    return state


def _tied(name: str, of: LanguageModel | Tensors, state: Tensors) -> str:
    """Return another name under which the same numbers are used; empty where there is none."""
    every = state if isinstance(of, Mapping) else dict(of.module.named_parameters(remove_duplicate=False))
    place = state[name].data_ptr()
    return next((other for other, tensor in every.items() if other != name and tensor.data_ptr() == place), "")


def _changed(updates: Sequence[Update], state: Tensors) -> dict[str, Tensor]:
    """Return the tensors of the updates with these added."""
    changed = {update.tensor: shifted(state[update.tensor], update.delta) for update in updates}
    for name, tensor in changed.items():
        if not bool(tensor.isfinite().all()):
            told = f"with the edit {name} holds a number that {str(tensor.dtype).removeprefix('torch.')} cannot hold"
            raise EditError("llm.edit", told, "Take a smaller coefficient, or a model in bfloat16 or float32.")
    return changed


def _require(found: str, due: str, told: str) -> None:
    if found != due:
        message = f"{told}: its weights have the digest {found}, edit.json says {due}"
        raise EditError("llm.digest", message, "Take the model and the edit that belong together; nothing was written.")
