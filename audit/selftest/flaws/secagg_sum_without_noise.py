"""A sum without noise: secure aggregation hides who said what, not what was said."""

from dataclasses import replace

from audit.selftest.flaw import flaw
from audit.selftest.secure import Rounds, recorded_system
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "secagg-sum-without-noise",
    "Nobody adds noise to what is summed",
    caught_by=("secagg.aggregate-exposure",),
)
def secagg_sum_without_noise(make: Workshop, *, planted: bool) -> System:
    """Record two rounds of bare updates and promise no noise, or of noised ones (So et al., arXiv:2106.03328)."""
    if planted:
        return recorded_system(make, replace(Rounds(), noise_multiplier=0.0), noise={})
    return recorded_system(make, Rounds())
