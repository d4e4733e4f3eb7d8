"""How a DP trainer was configured, as data: written by whoever trains, read by the auditor, never executed.

from audit.dp.record import from_opacus

record = from_opacus(engine, optimizer, loader, model)  # what PrivacyEngine.make_private returned, after training
Path("dp-record.json").write_bytes(record.to_bytes())
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StrictBool, ValidationError

from reports.canonical import canonical_json, strict_json
from reports.errors import ReportError
from reports.formats import broken, opened
from reports.nouns import LARGEST_INTEGER, Count, FiniteNumber, Noun, Word

if TYPE_CHECKING:
    from torch import nn

SCHEMA = "fedaudit.dp-record/1"
MAX_BYTES = 16 << 20
"""Of a record; an accountant with a step a line takes some 40 bytes each."""
NotNegative = Annotated[FiniteNumber, Field(ge=0)]
Rate = Annotated[FiniteNumber, Field(gt=0, le=1)]
Steps = Annotated[Count, Field(ge=1)]


class DPRecord(Noun):
    """The settings of one DP training run."""

    schema_id: Annotated[Literal["fedaudit.dp-record/1"], Field(alias="schema")]
    """Always `fedaudit.dp-record/1`."""
    history: tuple[tuple[NotNegative, Rate, Steps], ...]
    """What the accountant counted: noise multiplier, sampling rate, steps."""
    accountant: Word
    """Its mechanism: `prv`, `rdp`, `gdp`."""
    poisson_sampling: StrictBool
    """Whether batches were drawn by independent coins, as the accountant assumes."""
    secure_mode: StrictBool
    """Whether noise came from a generator for cryptography."""
    clipping: Word
    """`flat`, `per_layer`, `adaptive`, or the optimizer's own word."""
    max_grad_norm: Annotated[FiniteNumber, Field(gt=0)]
    """L2 bound on one example's gradient; of several bounds by layer, the root of their sum of squares."""
    expected_batch_size: Annotated[Count, Field(ge=1)] | None
    """What gradients were divided by; None where they were not."""
    dataset_size: Annotated[Count, Field(ge=1)]
    """Examples that batches were drawn from."""
    generator_seed: Count | None
    """Low 53 bits of the seed of the generator that noise was drawn from, where somebody handed one in."""
    modules: tuple[Word, ...]
    """Classes of the model's layers; empty where the model was not shown."""

    def to_bytes(self) -> bytes:
        """Return the record as it is stored."""
        return canonical_json(self.model_dump(mode="json", by_alias=True)) + b"\n"


def read_record(path: Path) -> DPRecord:
    """Return the record in a JSON file.

    Raises:
        BrokenFile: it cannot be read, is no strict JSON, or not a record of `SCHEMA`.
    """
    with opened(path) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise broken(path, f"it is longer than {MAX_BYTES} bytes")
    try:
        strict_json(content)
        return DPRecord.model_validate_json(content)
    except ReportError as error:
        raise broken(path, f"it is not JSON that every reader reads alike; {error.message}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise broken(path, f"{place}: {first['msg']}", f"Write it as {SCHEMA}, by audit.dp.record.") from error


def from_opacus(engine: Any, optimizer: Any, loader: Any, module: "nn.Module | None" = None) -> DPRecord:
    """Return the settings of a run of Opacus, read off the objects that ran it.

    Args:
        engine: The `opacus.PrivacyEngine`, after training.
        optimizer: The `DPOptimizer` that `make_private` returned.
        loader: The data loader that it returned.
        module: The model that it returned, for its layers; without one their check rests on the layer list.

    Raises:
        ValueError: the accountant counted no step, or the optimizer is not one of Opacus.
    """
    from opacus.optimizers import AdaClipDPOptimizer, DPOptimizer, DPPerLayerOptimizer

    if not isinstance(optimizer, DPOptimizer):
        raise ValueError(f"{type(optimizer).__name__} is no optimizer of Opacus; give what make_private returned")
    if not engine.accountant.history:
        raise ValueError("the accountant counted no step; write the record when the training is done")
    clipping = "per_layer" if isinstance(optimizer, DPPerLayerOptimizer) else "flat"
    generator, bounds = optimizer.generator, optimizer.max_grad_norm
    by_layer = tuple(map(float, bounds)) if isinstance(bounds, Iterable) else (float(bounds),)
    seeded = generator is not None and not optimizer.secure_mode
    settings = {
        "schema": SCHEMA,
        "history": [(float(noise), float(rate), int(steps)) for noise, rate, steps in engine.accountant.history],
        "accountant": engine.accountant.mechanism(),
        "poisson_sampling": _draws_by_coins(loader),
        "secure_mode": bool(engine.secure_mode and optimizer.secure_mode),
        "clipping": "adaptive" if isinstance(optimizer, AdaClipDPOptimizer) else clipping,
        "max_grad_norm": math.hypot(*by_layer),
        "expected_batch_size": optimizer.expected_batch_size,
        "dataset_size": len(loader.dataset),
        "generator_seed": int(generator.initial_seed()) & LARGEST_INTEGER if seeded else None,
        "modules": () if module is None else _layers(module),
    }
    return DPRecord.model_validate(settings)


def _draws_by_coins(loader: Any) -> bool:
    """Tell whether each example of a batch is drawn by a coin of its own, by the sampler in use, not by its owner."""
    from opacus.utils.uniform_sampler import DistributedUniformWithReplacementSampler, UniformWithReplacementSampler

    samplers = (UniformWithReplacementSampler, DistributedUniformWithReplacementSampler)
    return isinstance(getattr(loader, "batch_sampler", None), samplers)


def _layers(module: "nn.Module") -> tuple[str, ...]:
    """Return the classes of all modules without children, sorted; what wraps them does nothing of its own."""
    return tuple(sorted({type(one).__name__ for one in module.modules() if not any(True for _ in one.children())}))
