"""The methods of unlearning, by name."""

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from unlearning.errors import UnlearningError
from unlearning.federated.methods.ascent import GradientAscent, ProjectedAscent
from unlearning.federated.methods.base import History, Method, Setting, UnlearningResult
from unlearning.federated.methods.distillation import KnowledgeDistillation
from unlearning.federated.methods.federaser import FedEraser
from unlearning.federated.methods.ffum import FFUM
from unlearning.federated.methods.noop import NoOp
from unlearning.federated.methods.reset import MomentumDegradation, Negation, Rewind
from unlearning.federated.methods.retrain import FineTune, RapidRetrain, Retrain

__all__ = ["METHODS", "History", "Method", "Setting", "UnlearningResult", "method"]

_KINDS: tuple[type[Method], ...] = (
    FFUM, Retrain, RapidRetrain, FineTune, GradientAscent, ProjectedAscent, FedEraser, KnowledgeDistillation, Negation,
    MomentumDegradation, Rewind, NoOp,
)  # fmt: skip
METHODS: Mapping[str, type[Method]] = {kind.name: kind for kind in _KINDS}
"""Every method, by the name that requests and transcripts use."""


def method(name: str, **parameters: Any) -> Method:
    """Return a method with its parameters.

    Raises:
        UnlearningError: There is no such method, or it takes no such parameter or value; names the allowed ones.
    """
    kind = METHODS.get(name)
    if kind is None:
        near = difflib.get_close_matches(name, METHODS, n=1)
        meant = f"Did you mean {near[0]!r}? " if near else ""
        told = f"there is no method {name!r}"
        raise UnlearningError("unlearning.method", told, f"{meant}Take one of {', '.join(METHODS)}.")
    allowed = tuple(kind.model_fields)
    for key in parameters:
        if key not in allowed:
            takes = f"It takes {', '.join(allowed)}." if allowed else "It takes none."
            raise UnlearningError("unlearning.parameter", f"{name} takes no parameter {key!r}", takes)
    try:
        return kind(**parameters)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "parameters"
        told = f"{name}: {key} = {parameters.get(key)!r}: {first['msg']}"
        raise UnlearningError("unlearning.parameter", told, f"Correct {key}.") from error
