"""What an edit keeps of the prompts that it made forgotten, so that a later request need not see them again.

    statistics.safetensors    metadata "fedaudit" = canonical JSON of `ForgottenHeader`
    layers.<l>.<tokens>.forget.gram            upper triangle of the sum of h h^T, float64, shape (m (m + 1) / 2,)
    layers.<l>.<tokens>.forget.total (k, m)    layers.<l>.<tokens>.forget.output_total (k, d)

The rows are those that an edit moves, as each token set has them, on the model without an edit of that layer. Such a
file is personal data in another shape: whoever holds the model can ask it about a prompt. It may be deleted where no
request is to follow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import torch
from pydantic import Field
from safetensors.torch import save
from torch import Tensor

from reports.artifacts import read_tensors
from reports.canonical import canonical_json
from reports.nouns import Count, Noun, Sha256
from unlearning.errors import StatisticsError
from unlearning.llm.fixed_point import square, triangle
from unlearning.llm.layer_statistics import LayerStatistics
from unlearning.llm.statistics_file import KEY, header_of

__all__ = ["ForgottenHeader", "ForgottenSums", "SummedTokens", "read_forgotten"]

SCHEMA: Final = "fedaudit.lunar-forgotten/1"
SummedTokens = Literal["last", "prompt", "refusal"]
AtLeastOne = Annotated[Count, Field(ge=1)]


class SummedSet(Noun):
    """The rows of one token set, in each layer."""

    directions: AtLeastOne
    """k."""
    tokens: AtLeastOne
    """Rows."""


class ForgottenHeader(Noun):
    """What a file of such sums says of itself."""

    schema_id: Annotated[Literal["fedaudit.lunar-forgotten/1"], Field(alias="schema")] = SCHEMA
    """Always `fedaudit.lunar-forgotten/1`."""
    weights: Sha256
    """Digest of the weights of the edited model."""
    template: Sha256
    """Digest of the frame that questions were put into."""
    refusal: Sha256
    """Digest of the tokens that the model refuses with."""
    layers: Annotated[tuple[Count, ...], Field(min_length=1)]
    """Blocks, in ascending order."""
    width: AtLeastOne
    """m."""
    hidden_size: AtLeastOne
    """d."""
    prompts: AtLeastOne
    """Questions and paraphrases that the rows are of."""
    sets: Annotated[dict[SummedTokens, SummedSet], Field(min_length=1)]
    """By token set."""


@dataclass(frozen=True, eq=False)
class ForgottenSums:
    """Sums of one request."""

    header: ForgottenHeader
    sums: Mapping[tuple[int, SummedTokens], LayerStatistics]
    """By layer and token set."""

    @classmethod
    def of(
        cls, sums: Mapping[tuple[int, SummedTokens], LayerStatistics], *, weights: str, template: str, refusal: str
    ) -> "ForgottenSums":
        """Return sums with what they say of themselves; every layer has every token set."""
        first = next(iter(sums.values()))
        sets = {tokens: SummedSet(directions=one.shapes[2], tokens=one.tokens) for (_, tokens), one in sums.items()}
        header = ForgottenHeader(
            weights=weights, template=template, refusal=refusal, layers=tuple(sorted({layer for layer, _ in sums})),
            width=first.shapes[0], hidden_size=first.shapes[1], prompts=first.prompts, sets=sets,
        )  # fmt: skip
        return cls(header, sums)

    @property
    def layers(self) -> Sequence[int]:
        """Blocks, in ascending order."""
        return self.header.layers

    def to_bytes(self) -> bytes:
        """Return the file."""
        told = canonical_json(self.header.model_dump(mode="json", by_alias=True)).decode()
        tensors: dict[str, Tensor] = {}
        for (layer, tokens), one in self.sums.items():
            parts = {"gram": triangle(one.gram), "total": one.total, "output_total": one.output_total}
            tensors |= {_name(layer, tokens, part): tensor.cpu().contiguous() for part, tensor in parts.items()}
        return save(tensors, metadata={KEY: told})


def read_forgotten(path: Path) -> ForgottenSums:
    """Return the sums of a file.

    Raises:
        StatisticsError: `llm.statistics`, it is no file of such sums, or does not hold what its header says.
        reports.errors.FileError: it is refused or broken.
    """
    tensors = read_tensors(path)
    header = header_of(path, ForgottenHeader)
    m, d = header.width, header.hidden_size
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in header.layers:
        for name, one in header.sets.items():
            own = {"gram": (m * (m + 1) // 2,), "total": (one.directions, m), "output_total": (one.directions, d)}
            shapes |= {_name(layer, name, part): shape for part, shape in own.items()}
    sound = {name: tuple(tensor.shape) for name, tensor in tensors.items()} == shapes
    sound = sound and all(one.dtype == torch.float64 and bool(one.isfinite().all()) for one in tensors.values())
    if not sound or list(header.layers) != sorted(set(header.layers)):
        told = f"{path.name}: its header and its tensors disagree, or a number is not finite"
        raise StatisticsError("llm.statistics", told, "Restore the edit's folder.")
    sums: dict[tuple[int, SummedTokens], LayerStatistics] = {}
    for layer in header.layers:
        for name, one in header.sets.items():
            gram, total, outputs = (tensors[_name(layer, name, part)] for part in ("gram", "total", "output_total"))
            sums[layer, name] = LayerStatistics(square(gram, m), total, outputs, one.tokens, header.prompts)
    return ForgottenSums(header, sums)


def _name(layer: int, tokens: str, part: str) -> str:
    return f"layers.{layer}.{tokens}.forget.{part}"
