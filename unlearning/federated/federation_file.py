"""`federation.toml`: what a simulated federation is made of, as nouns, and the file as one of them."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from reports.errors import ReportError
from reports.nouns import Noun, Text
from reports.system import RelativePath
from reports.tomlfile import parse_noun, read_toml
from unlearning.errors import FederationFileError
from unlearning.federated.recipe import AtLeastOne, TrainingRecipe

SCHEMA = "fedaudit.federation/1"


class DataFiles(Noun):
    """`[data]`: npz files with the arrays `x` (n, *input_shape) and `y` (n,)."""

    train: RelativePath
    """Also holds `client` (n,): the client of each example."""
    test: RelativePath
    """Judges utility."""
    holdout: RelativePath | None = None
    """Never trained on; twin sets are drawn from it."""
    twin: RelativePath | None = None
    """Held-out data corrupted by the same process as the forget client's."""
    probes: RelativePath | None = None
    """Backdoor queries; `y` is the target label."""


class ModelChoice(Noun):
    """`[model]`: which model is trained."""

    architecture: Literal["mlp", "cnn", "definition"]
    """A standard one, or the owner's."""
    hidden: AtLeastOne = 64
    """Width of the hidden layer of "mlp"."""
    classes: Annotated[AtLeastOne, Field(ge=2)]
    """Number of labels."""
    definition: Annotated[Text, Field(pattern=r"^[^:]+\.py:[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """`model.py:build`, a function without arguments; running it needs `--trust-code`."""

    @model_validator(mode="after")
    def _definition_where_asked(self) -> Self:
        if (self.architecture == "definition") != (self.definition is not None):
            raise ValueError('definition = "model.py:build" goes with architecture = "definition", and only with it')
        return self


class Recording(Noun):
    """`[recording]`: what is kept of a training."""

    global_models: Literal["none", "last", "interval", "all"] = "all"
    """Which rounds' global models."""
    client_updates: Literal["none", "last", "interval", "all"] = "none"
    """Which rounds' client updates."""
    interval: AtLeastOne = 2
    """Rounds between two that are kept, for "interval"."""
    dtype: Literal["float32", "float16"] = "float32"
    """Number format of what is kept."""


class GroupRule(Noun):
    """`[secure_aggregation]`: whether the server sees sums alone."""

    enabled: Annotated[bool, Field(strict=True)] = False
    """Whether single updates are hidden."""
    minimum_group: AtLeastOne = 2
    """Fewest clients whose sum the server may see."""


class FederationFile(Noun):
    """The whole file."""

    schema_id: Annotated[Literal["fedaudit.federation/1"], Field(alias="schema")]
    """Always `fedaudit.federation/1`."""
    data: DataFiles
    """Where the examples lie."""
    model: ModelChoice
    """What is trained."""
    training: TrainingRecipe
    """How."""
    recording: Recording = Recording()
    """What is kept."""
    secure_aggregation: GroupRule = GroupRule()
    """What the server sees."""


def read_federation_file(path: Path) -> FederationFile:
    """Return `federation.toml` as a noun.

    Raises:
        FederationFileError: It cannot be read, or a key is unknown, missing or wrong; names file, key and mend.
    """
    try:
        tables = read_toml(path, ReportError, "federation")
        return parse_noun(FederationFile, tables, path, ReportError, "federation")
    except ReportError as error:
        raise FederationFileError(error.code, error.message, error.hint) from error
