"""A model and its labels, counted from different numbers."""

from audit.selftest.accuracies import numbered_classifier
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "accuracy-labels-shifted",
    "The released model counts its labels from another number than the records do",
    caught_by=("integrity.accuracy",),
)
def accuracy_labels_shifted(make: Workshop, *, planted: bool) -> System:
    """Move the model's outputs on by one label, or leave them."""
    return numbered_classifier(make, shift=1 if planted else 0)
