"""A server that brings stale updates up to date by guessing the records behind them, and keeps what it guessed."""

import numpy as np

from audit.selftest.flaw import flaw
from audit.selftest.released import LAYERS, classifier, records, untrained
from audit.selftest.shared_outputs import class_means, write_estimates
from audit.selftest.workshop import Workshop
from reports.model import System

CLIENTS, EACH = 64, 4
"""Clients, and the records of each; a class mean is the nearest to some of them by luck, so there are many."""
ERROR = 0.1
"""Standard deviation of a pixel of an estimate, of a range of one."""
OWN = 400
"""Digits of which the server has the means by class."""


@flaw(
    "stale-estimates",
    "The server keeps an estimate of each record behind a stale update",
    caught_by=("attack.inversion",),
)
def stale_estimates(make: Workshop, *, planted: bool) -> System:
    """Keep near copies of the clients' records (arXiv:2309.13536), or the mean of each record's class alone."""
    digits = make.digits(CLIENTS * EACH, CLIENTS, 0)
    own, public = (digits.reference.take(rows) for rows in np.split(np.arange(len(digits.reference)), [OWN]))
    noise, means = make.rng("estimates"), class_means(own)
    for number, held in enumerate(digits.clients):
        near = held.x.numpy() + ERROR * noise.normal(size=held.x.shape)
        write_estimates(make, number, held, near if planted else means[held.y.numpy()])
    model = classifier(make, untrained(make, LAYERS), LAYERS)
    tables = {"model": model, "data": records(make, {"reference": public})}
    return make.finish({"system": {"name": "stale", "version": "1"}, **tables})
