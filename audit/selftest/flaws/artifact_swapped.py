"""A file that is not the one whose digest was declared."""

from safetensors.torch import save_file

from audit.manifest import load_system
from audit.selftest.delivered import MODEL, delivering, regression
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw("artifact-swapped", "The model is not the one whose digest is declared", caught_by=("integrity.artifacts",))
def artifact_swapped(make: Workshop, *, planted: bool) -> System:
    """Declare the digest of a model and put the one of one step more, or the same once more, in its place."""
    make.finish(delivering(make))
    folder = make.files.target
    save_file(regression(make, 2 if planted else 1), folder / MODEL)
    return load_system(folder / "system.toml").system
