"""What a reconstruction leaves behind: figures by their definitions, pictures that show the record, nothing by name."""

import io
import zlib

import numpy as np
import pytest

from audit.attacks.linear import linear
from audit.defences import quantise
from audit.exhibits import npz_bytes, picture_size
from reports.plot import parse_plot


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((64,), (1, 8, 8)),
        ((784,), (1, 28, 28)),
        ((8, 8), (1, 8, 8)),
        ((1, 28, 28), (1, 28, 28)),
        ((3, 32, 32), (3, 32, 32)),
        ((2, 8, 8), None),
        ((36,), None),
        ((65,), None),
        ((1, 2, 3, 4), None),
    ],
)
def test_pictures_are_made_of_what_looks_like_one(shape: tuple[int, ...], size: tuple[int, int, int] | None) -> None:
    assert picture_size(shape) == size


def test_arrays_give_the_same_bytes_at_any_time() -> None:
    arrays = {"a": np.arange(5), "b": np.array([True])}
    data = npz_bytes(arrays)
    assert data == npz_bytes(dict(arrays))
    with np.load(io.BytesIO(data), allow_pickle=False) as back:
        np.testing.assert_array_equal(back["a"], arrays["a"])


def pixels(png: bytes) -> np.ndarray:
    """Decode an 8 x 8 grey PNG of unfiltered lines, by the standard's chunk layout."""
    start = png.index(b"IDAT") + 4
    length = int.from_bytes(png[start - 8 : start - 4], "big")
    lines = np.frombuffer(zlib.decompress(png[start : start + length]), dtype=np.uint8).reshape(8, 9)
    assert not lines[:, 0].any()
    return lines[:, 1:]


def test_the_recovered_picture_shows_the_planted_digit(planted, ask, digits) -> None:
    asked = ask(linear, planted(clients=10))
    plots = [parse_plot(asked.kept.data[digest]) for digest in asked.finding.evidence if digest in asked.kept.data]
    (images,) = [plot for plot in plots if plot is not None and plot.kind == "images"]
    assert len(images.rows) == 8
    for row in images.rows:
        number = int(row.label.split()[1])
        shown = pixels(asked.kept.data[row.true])
        np.testing.assert_array_equal(shown, np.rint(digits.x[number].reshape(8, 8) * 255).astype(np.uint8))
        np.testing.assert_array_equal(pixels(asked.kept.data[row.reconstructed]), shown)
        np.testing.assert_array_equal(pixels(asked.kept.data[row.control]), shown)
        assert row.score > 100


def test_the_plot_of_the_arms_has_system_control_null_and_limit(planted, ask) -> None:
    asked = ask(linear, planted(clients=10))
    plots = [parse_plot(data) for data in asked.kept.data.values()]
    (arms,) = [plot for plot in plots if plot is not None and plot.kind == "intervals"]
    rows = {row.label: row for row in arms.rows}
    assert set(rows) == {"system", "control", "null", "chance"}
    assert rows["system"].limit == pytest.approx(10 / 10 * 0 + 1 / 1010 + 0.05)
    assert (rows["system"].value, rows["control"].value, rows["null"].value) == (1.0, 1.0, 0.0)


def test_psnr_and_rate_are_what_their_definitions_give(planted, ask, digits) -> None:
    asked = ask(linear, planted(clients=20, reference=500, defend=lambda u, r: quantise(u, 5)))
    (arrays,) = [data for digest, data in asked.kept.data.items()
                 if asked.kept.pieces[digest].media_type == "application/x-npz"]  # fmt: skip
    with np.load(io.BytesIO(arrays), allow_pickle=False) as kept:
        guess = kept["reconstruction"].astype(float)
    truth, public = digits.x[:20].astype(float), digits.x[20:520].astype(float)
    ratios = [10 * np.log10(1 / ((g - t) ** 2).mean()) for g, t in zip(guess, truth, strict=True)]
    assert asked.value("psnr_median") == pytest.approx(np.median(ratios), abs=1e-3)
    nearer = [
        np.linalg.norm(g - t) < np.linalg.norm(public - t, axis=1).min() for g, t in zip(guess, truth, strict=True)
    ]
    assert asked.value("reconstruction_rate") == np.mean(nearer)


def test_every_headline_has_its_interval_number_and_control(planted, ask) -> None:
    finding = ask(linear, planted(clients=10)).finding
    named = {one.name: one for one in finding.measurements}
    assert {"identifiability", "chance", "null_identifiability", "control_identifiability", "exact_records"} < set(
        named
    )
    headline = named["identifiability"]
    assert (headline.n, headline.control) == (10, 1.0)
    assert headline.interval.low <= headline.value <= headline.interval.high
    assert finding.controls == (
        "EU-AIA:15(5)#confidentiality",
        "EU-AIA:annex-IV(2)(g)",
        "EU-AIA:9(6)",
        "GDPR:32(1)(d)",
    )
    assert finding.remedy is not None
