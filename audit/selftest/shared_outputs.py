"""What is shared in place of updates: embeddings and codes, logits, and estimates that a server makes for itself."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from audit.selftest.workshop import Workshop
from unlearning.federated.data import ClientData

Array = npt.NDArray[np.float64]

PLANTED, PUBLIC = 128, 500
"""Records of a vertical federation: those whose embeddings are asked about, and those by which a reader learns."""
HALF = 32
"""Pixels of the left half of a digit, which is what one party of a vertical federation holds."""


def write_embeddings(make: Workshop, embed: Callable[[Array], Array]) -> dict[str, object]:
    """Write a party's embeddings of planted digits, and public digits with theirs; return the tables of both.

    Args:
        make: The workshop.
        embed: From left halves of digits less their mean, shape (n, 32), to embeddings, shape (n, p).
    """
    files, digits = make.files, make.digits(PLANTED, 1, 0)
    own, public = digits.clients[0], digits.reference.take(np.arange(PUBLIC))
    mean = left(public).mean(axis=0)
    sent = files.arrays("sent.npz", {"embedding": embed(left(own) - mean)})
    truth = files.arrays("truth.npz", {"x": left(own).astype(np.float32), "y": own.y.numpy()})
    known = {"x": left(public).astype(np.float32), "y": public.y.numpy(), "embedding": embed(left(public) - mean)}
    files.updates.append({"path": sent, "kind": "embedding", "client": "left", "truth": truth})
    return {
        "model": {"input_shape": [HALF], "classes": 10},
        "data": [{"role": "reference", "path": files.arrays("reference.npz", known)}],
    }


def left(held: ClientData) -> Array:
    """Return the left half of every digit, shape (n, 32)."""
    return np.asarray(held.x.numpy().reshape(-1, 8, 8)[:, :, :4].reshape(-1, HALF), dtype=np.float64)


def floats(rng: np.random.Generator, width: int) -> Callable[[Array], Array]:
    """Return a bottom model of one rectified layer."""
    weight = rng.normal(size=(HALF, width))
    return lambda x: np.maximum(x @ weight, 0.0)


def code(rng: np.random.Generator, bits: int, different: int) -> Callable[[Array], Array]:
    """Return a bottom model whose signs are sent: a code of `bits`, of which so many say something of their own.

    BatchNorm and sign, as in HashVFL (arXiv:2212.00325), over an untrained layer: half of the records have each bit.
    """
    weight = rng.normal(size=(HALF, different))

    return lambda x: np.asarray(np.tile(np.where(x @ weight > 0, 1.0, -1.0), (1, bits // different)))


def write_estimates(make: Workshop, number: int, held: ClientData, estimates: Array) -> None:
    """Write what a server holds for the records of one client, shape (n, *input_shape), beside those records."""
    truth = make.files.records(f"estimates/truth-{number:03}.npz", held.x, held.y)
    path = make.files.arrays(f"estimates/client-{number:03}.npz", {"x": estimates.astype(np.float32)})
    make.files.updates.append({"path": path, "kind": "estimate", "client": f"client-{number:03}", "truth": truth})


def class_means(held: ClientData) -> Array:
    """Return the mean record of each label, shape (classes, *input_shape)."""
    x, y = held.x.double().numpy(), held.y.numpy()
    means = [x[y == label].mean(axis=0) for label in range(int(y.max()) + 1)]
    return np.stack(means)


def write_logits(make: Workshop, number: int, held: ClientData, logits: Array) -> None:
    """Write the logits that one client shares on the transfer set, shape (m, classes), beside its records."""
    truth = make.files.records(f"logits/truth-{number:03}.npz", held.x, held.y)
    path = make.files.arrays(f"logits/client-{number:03}.npz", {"logits": logits})
    make.files.updates.append({"path": path, "kind": "logits", "client": f"client-{number:03}", "truth": truth})


def shares(pool: ClientData, clients: int, each: int, rng: np.random.Generator, *, skewed: bool) -> list[ClientData]:
    """Return records for every client, drawn from one pool.

    Args:
        pool: Where they are drawn from; a record may be held by several clients.
        clients: How many.
        each: Records of each; a multiple of ten where mixes are equal.
        rng: Draws mixes and records.
        skewed: Whether clients hold mostly a few labels (Dirichlet, 0.5), or as many of each.
    """
    y = pool.y.numpy()
    classes = int(y.max()) + 1
    found = []
    for _ in range(clients):
        mix = rng.dirichlet(np.full(classes, 0.5)) if skewed else np.full(classes, 1 / classes)
        counts = rng.multinomial(each, mix) if skewed else np.full(classes, each // classes)
        rows = [rng.choice(np.flatnonzero(y == label), count, replace=False) for label, count in enumerate(counts)]
        found.append(pool.take(rng.permutation(np.concatenate(rows))))
    return found


def softmax_regression(held: ClientData, transfer: ClientData, steps: int = 60, rate: float = 0.5) -> Array:
    """Return the logits on `transfer` of a linear model trained on `held` by gradient descent, shape (m, classes)."""
    x, answers = (_with_one(part) for part in (held, transfer))
    wanted = np.eye(10)[held.y.numpy()]
    weight = np.zeros((x.shape[1], 10))
    for _ in range(steps):
        odds = np.exp(x @ weight)
        weight += rate * x.T @ (wanted - odds / odds.sum(axis=1, keepdims=True)) / len(x)
    return np.asarray(answers @ weight)


def _with_one(held: ClientData) -> Array:
    return np.column_stack([held.x.double().numpy(), np.ones(len(held))])
