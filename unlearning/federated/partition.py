"""How examples are dealt to clients."""

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def equal_shards(examples: int, clients: int, rng: np.random.Generator) -> tuple[Indices, ...]:
    """Return the shuffled indices 0 … examples-1 in as many equal shards as there are clients.

    What cannot be dealt out evenly is left out, so that all clients weigh the same.

    Raises:
        ValueError: There are fewer examples than clients.
    """
    if not 1 <= clients <= examples:
        raise ValueError(f"cannot deal {examples} examples to {clients} clients")
    dealt = rng.permutation(examples)[: examples // clients * clients]
    return tuple(np.sort(shard) for shard in dealt.reshape(clients, -1))


def dirichlet_partition(
    y: npt.NDArray[np.int64], clients: int, alpha: float, rng: np.random.Generator
) -> tuple[Indices, ...]:
    """Return each client's examples, its share of every label drawn from Dirichlet(alpha).

    Every example is dealt to exactly one client; small `alpha` gives clients few labels each, large `alpha` an equal
    mix. A client may come out empty (Hsu, Qi, Brown 2019, arXiv:1909.06335, with the shares drawn label by label).

    Args:
        y: Labels, shape (n,).
        clients: Number of clients.
        alpha: Concentration, above 0.
        rng: Source of the shares and of who gets which example.

    Raises:
        ValueError: There is no client, or `alpha` is not above 0.
    """
    if clients < 1 or not alpha > 0:
        raise ValueError(f"cannot deal to {clients} clients with alpha {alpha}")
    dealt: list[list[Indices]] = [[] for _ in range(clients)]
    for label in np.unique(y):
        examples = rng.permutation(np.flatnonzero(y == label))
        shares = rng.dirichlet(np.full(clients, alpha))
        cuts = np.round(np.cumsum(shares)[:-1] * len(examples)).astype(np.int64)
        for mine, piece in zip(dealt, np.split(examples, cuts), strict=True):
            mine.append(piece)
    nothing = np.zeros(0, dtype=np.int64)
    return tuple(np.sort(np.concatenate([nothing, *mine])) for mine in dealt)
