"""What can go wrong in unlearning, as a tree.

    FedauditError                      reports/errors.py
    └── UnlearningError                whatever leaves this package
        ├── ModelError                 a model cannot be built or loaded
        │   ├── LayersError            an entry of a layer list is wrong
        │   └── ModelMismatch          tensors do not fit the model
        ├── FederationFileError        federation.toml or a file it names cannot be used
        └── TrainingDiverged           a loss is no longer finite (exit 3)

Each carries a machine code, one sentence for people and, in `hint`, the mend.
"""

from reports.errors import FedauditError


class UnlearningError(FedauditError):
    """Whatever leaves this package on purpose."""


class ModelError(UnlearningError):
    """A model cannot be built or loaded as described."""


class LayersError(ModelError):
    """An entry of a layer list is wrong; the message names the entry."""


class ModelMismatch(ModelError):  # noqa: N818 - the contract's name: it tells what was found, not that it is an error
    """Tensors do not fit the model; the message names the tensor and both shapes."""


class FederationFileError(UnlearningError):
    """`federation.toml`, or a file it names, cannot be used as it stands."""


class TrainingDiverged(UnlearningError):  # noqa: N818 - it says what happened
    """A loss is no longer finite; the message names round and client, the hint the parameter to lower."""

    exit_code = 3
