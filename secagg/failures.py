"""How a round of secure aggregation fails, and how likely that is at most.

The letters are those of the literature: n clients, k neighbours each, t shares to rebuild a secret, C corrupt clients,
D that drop out. The neighbours of a client are k of the n - 1 others, in random order: hypergeometric, exactly.

Source: Bell et al., "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead", CCS 2020 (eprint 2020/704).
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from secagg.probability import IMPOSSIBLE, bits, log_at_least

HONEST_BUT_CURIOUS = "honest-but-curious"
MALICIOUS = "malicious"


@dataclass(frozen=True)
class Cohort:
    """Who takes part in a round, and how many of them it must bear."""

    clients: int
    """n, at least 2."""
    corrupt: int
    """C, from 0 to n - 1: one client at least is honest, else there is nobody to protect."""
    dropped: int
    """D, from 0 to n - 1."""
    server_trust: str
    """`HONEST_BUT_CURIOUS`, or `MALICIOUS`: it may ask different neighbours for different secrets."""

    @classmethod
    def of_fractions(
        cls, clients: int, corrupt_fraction: float, dropout_fraction: float, server_trust: str, min_corrupt: int
    ) -> "Cohort":
        """Return the cohort with floor(fraction * n) corrupt and dropped clients, `min_corrupt` corrupt ones at least.

        Of two ways to round a product such as 0.29 * 100 = 28.999999999999996 the source takes the careful one: it
        adds 1e-14 to the fraction.
        """
        corrupt = max(math.floor((corrupt_fraction + 1e-14) * clients), min_corrupt)
        dropped = math.floor((dropout_fraction + 1e-14) * clients)
        return cls(clients, min(corrupt, clients - 1), min(dropped, clients - 1), server_trust)

    def one_more_corrupt(self) -> "Cohort":
        """Return the cohort with one more corrupt client, as long as an honest one is left."""
        return replace(self, corrupt=min(self.corrupt + 1, self.clients - 1))

    def log_disconnected(self, degree: int) -> float:
        """Return ln of a bound on the probability that the graph falls apart without the corrupt and the dropped.

        The server then sees two partial sums instead of one. Two runs of k/2 removed clients cut a ring: a union bound
        over the n (n - k - 1) / 2 pairs of places for them, each gone with probability choose(B, k) / choose(n, k),
        B = C + D. The complete graph has no such place.
        """
        n, k, removed = self.clients, degree, min(self.corrupt + self.dropped, self.clients)
        if k > removed or k == n - 1:
            return IMPOSSIBLE
        log_pairs = math.log(n) + math.log(n - k - 1) - math.log(2)
        log_removed = math.lgamma(removed + 1) - math.lgamma(removed - k + 1)
        return log_pairs + log_removed + math.lgamma(n - k + 1) - math.lgamma(n + 1)

    def log_exposed(self, degree: int, threshold: int) -> float:
        """Return ln of a bound on the probability that some honest client's corrupt neighbours give it away.

        A curious server needs t shares of one secret. A malicious one asks each neighbour for whichever secret it
        likes, and needs t shares of both: 2t from k neighbours, of whom only the corrupt answer twice.
        """
        needed = 2 * threshold - degree if self.server_trust == MALICIOUS else threshold
        honest = self.clients - self.corrupt
        return math.log(honest) + log_at_least(self.clients - 1, self.corrupt, degree, needed)

    def log_stuck(self, degree: int, threshold: int) -> float:
        """Return ln of a bound on the probability that some client keeps fewer than t neighbours.

        The round then cannot be unmasked. A client does not hold its own share: more than k - t of its k neighbours
        are among the D that dropped.
        """
        return math.log(self.clients) + log_at_least(self.clients - 1, self.dropped, degree, degree - threshold + 1)

    def sigma_bits(self, degree: int, threshold: int) -> float:
        """Return the bits of privacy; infinite when no breach is possible."""
        return bits(float(np.logaddexp(self.log_disconnected(degree), self.log_exposed(degree, threshold))))

    def eta_bits(self, degree: int, threshold: int) -> float:
        """Return the bits of correctness; infinite when the drop-outs cannot stop the round."""
        return bits(self.log_stuck(degree, threshold))
