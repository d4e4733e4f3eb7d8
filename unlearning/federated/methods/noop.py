"""Doing nothing: the negative control of every verification."""

from typing import ClassVar

from unlearning.federated.methods.base import Method, Setting, UnlearningResult, continued


class NoOp(Method):
    """Returns the models before."""

    name: ClassVar[str] = "no-op"

    def run(self, setting: Setting) -> UnlearningResult:
        """Return the models before."""
        return UnlearningResult(continued(setting.before), "none", warnings=("nothing was done",))
