"""A model that is judged by what it was taught."""

from audit.selftest.accuracies import released_classifier
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "accuracy-of-training-records",
    "The claimed accuracy was measured on the records that the model was trained on",
    caught_by=("integrity.accuracy",),
)
def accuracy_of_training_records(make: Workshop, *, planted: bool) -> System:
    """Claim what was measured on the training records, or on others."""
    return released_classifier(make, judged_on="training" if planted else "others")
