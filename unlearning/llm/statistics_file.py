"""The file of a client's sums: what they were taken of, and the tensors, written whole or not at all.

    <name>.stats.safetensors    metadata "fedaudit" = canonical JSON of `StatisticsHeader`
    layers.<l>.keep.gram  layers.<l>.forget.gram      upper triangles, row by row, shape (m (m + 1) / 2,)
    layers.<l>.forget.total (k, m)                    layers.<l>.forget.output_total (k, d)

Such a file is personal data in another shape: whoever holds the model can ask it about a prompt.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeVar

import torch
from pydantic import Field, ValidationError, model_validator
from safetensors.torch import save
from torch import Tensor

from reports.artifacts import read_tensors
from reports.canonical import canonical_json, strict_json
from reports.errors import ReportError
from reports.formats import opened
from reports.nouns import Count, FiniteNumber, Noun, Sha256
from unlearning.errors import StatisticsError

__all__ = [
    "KEY",
    "StatisticsCounts",
    "StatisticsHeader",
    "StatisticsSetting",
    "header_of",
    "read_statistics",
    "write_statistics",
]

SCHEMA: Final = "fedaudit.lunar-statistics/1"
KEY = "fedaudit"
MOST_BITS = 61
Header = TypeVar("Header", bound=Noun)
Scale = Annotated[FiniteNumber, Field(gt=0)]
AtLeastOne = Annotated[Count, Field(ge=1)]


class StatisticsSetting(Noun):
    """What sums were taken of; only sums of one setting add up."""

    weights: Sha256
    """Digest of the model's weights."""
    template: Sha256
    """Digest of the frame that questions were put into."""
    reference: Sha256
    """Digest of the public prompts and the refusal, which fix the scales and the rows along the refusal."""
    tokens: Literal["last", "prompt", "refusal"]
    """Which tokens of a forget prompt were rows."""
    layers: Annotated[tuple[Count, ...], Field(min_length=1)]
    """Blocks, in ascending order."""
    width: AtLeastOne
    """m."""
    hidden_size: AtLeastOne
    """d."""
    directions: AtLeastOne
    """k."""
    input_scales: tuple[Scale, ...]
    """By layer: rows h are divided by it before they are summed."""
    output_scales: tuple[Scale, ...]
    """By layer: states x are divided by it."""

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if sorted(set(self.layers)) != list(self.layers):
            raise ValueError("layers must ascend")
        if not len(self.layers) == len(self.input_scales) == len(self.output_scales):
            raise ValueError("each layer needs one scale for h and one for x")
        return self


class StatisticsCounts(Noun):
    """How much was summed."""

    clients: Count
    """Clients in the sum."""
    forget_clients: Count
    """Of them, those that had something to forget."""
    keep_tokens: Count
    """Rows of the keep set, in each layer."""
    keep_prompts: Count
    """Passages of the keep set."""
    forget_tokens: Count
    """Rows of the forget set, in each layer."""
    forget_prompts: Count
    """Passages of the forget set."""


class StatisticsHeader(Noun):
    """What a file says of itself."""

    schema_id: Annotated[Literal["fedaudit.lunar-statistics/1"], Field(alias="schema")] = SCHEMA
    """Always `fedaudit.lunar-statistics/1`."""
    setting: StatisticsSetting
    """What the sums were taken of."""
    counts: StatisticsCounts
    """How much was summed."""
    fraction_bits: Annotated[Count, Field(le=MOST_BITS)] | Literal["float"]
    """Bits behind the point of the integers in the file, or that it holds float64."""


def write_statistics(header: StatisticsHeader, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write sums to a file, whole or not at all; one that is there is replaced."""
    told = canonical_header(header)
    draft = path.with_name(f".{path.name}.partial")
    try:
        draft.write_bytes(save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata={KEY: told}))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_statistics(path: Path) -> tuple[StatisticsHeader, dict[str, Tensor]]:
    """Return what a file says of itself, and its tensors, of which names, shapes and number format were checked.

    Raises:
        StatisticsError: `llm.statistics`, it is no file of sums, or does not hold what its header says.
        reports.errors.FileError: it is refused or broken.
    """
    tensors = read_tensors(path)
    header = header_of(path, StatisticsHeader)
    expected = shapes_of(header.setting)
    if tensors.keys() != expected.keys():
        odd = sorted(tensors.keys() ^ expected.keys())[0]
        raise _wrong(path, f"its header and its tensors disagree about {odd!r:.200}")
    number = torch.float64 if header.fraction_bits == "float" else torch.int64
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != expected[name] or tensor.dtype != number or not bool(tensor.isfinite().all()):
            told = f"{name} has shape {tuple(tensor.shape)} of {tensor.dtype}, or numbers that are not finite"
            raise _wrong(path, f"{told}; it needs {expected[name]} of {number}")
    return header, tensors


def shapes_of(setting: StatisticsSetting) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a file by name, in the order in which a vector holds them."""
    triangle = setting.width * (setting.width + 1) // 2
    parts = {
        "keep.gram": (triangle,),
        "forget.gram": (triangle,),
        "forget.total": (setting.directions, setting.width),
        "forget.output_total": (setting.directions, setting.hidden_size),
    }
    return {f"layers.{layer}.{part}": shape for layer in setting.layers for part, shape in parts.items()}


def canonical_header(header: StatisticsHeader) -> str:
    """Return the header as it stands in a file."""
    return canonical_json(header.model_dump(mode="json", by_alias=True)).decode()


def header_of(path: Path, kind: type[Header]) -> Header:
    """Return what the metadata of a file say of it, whose promises about bytes were checked before.

    Raises:
        StatisticsError: `llm.statistics`, they are none of this kind.
    """
    with opened(path) as file:
        whole = strict_json(file.read(int.from_bytes(file.read(8), "little")))
    metadata = whole.get("__metadata__", {}) if isinstance(whole, dict) else {}
    if KEY not in metadata:
        raise _wrong(path, "it says nothing of what was summed")
    data = str(metadata[KEY]).encode()
    try:
        strict_json(data)
        return kind.model_validate_json(data)
    except ReportError as error:
        raise _wrong(path, f"its header: {error.message}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:200]
        raise _wrong(path, f"its header: {place}{': ' if place else ''}{first['msg']}") from error


def _wrong(path: Path, problem: str) -> StatisticsError:
    mend = "Write it anew with 'fedaudit unlearn lunar --client-statistics'."
    return StatisticsError("llm.statistics", f"{path.name}: {problem}", mend)
