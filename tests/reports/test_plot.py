"""Plots as data: told apart by kind, refused where they contradict themselves, read back as they were kept."""

from typing import Any

import pytest
from pydantic import ValidationError

from reports.canonical import canonical
from reports.plot import HeatPlot, HistogramPlot, LinePlot, Plot, RocPlot, parse_plot
from tests.reports.sample_plots import Shelves, heat_plot, histogram_plot, images_plot, line_plot, roc_plot

EVERY = [images_plot(Shelves()), roc_plot(), heat_plot(), histogram_plot(), line_plot()]


@pytest.mark.parametrize("plot", EVERY, ids=lambda plot: plot.kind)
def test_a_plot_reads_back_from_its_canonical_bytes(plot: Plot) -> None:
    assert parse_plot(canonical(plot)) == plot


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{", b"\xff", b'{"kind":"pie"}', b'{"kind":"line","title":"t","series":[]}', b"1" * 5000],
)
def test_evidence_that_is_no_plot_is_none(data: bytes) -> None:
    assert parse_plot(data) is None


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (RocPlot, {"title": "t", "series": [{"label": "a", "fpr": (0.0, 1.0), "tpr": (0.0,)}]}),
        (LinePlot, {"title": "t", "series": [{"label": "a", "x": (1.0,), "y": (1.0, 2.0)}]}),
        (HeatPlot, {"title": "t", "rows": ("a", "b"), "columns": ("c",), "states": (("pass",),)}),
        (HeatPlot, {"title": "t", "rows": ("a",), "columns": ("c",), "states": (("pass", "fail"),)}),
        (HistogramPlot, {"title": "t", "edges": (0.0, 1.0), "samples": [{"label": "a", "counts": (1, 2)}]}),
        (HistogramPlot, {"title": "t", "edges": (1.0, 1.0), "samples": [{"label": "a", "counts": (1,)}]}),
        (LinePlot, {"title": "t", "series": [{"label": "a", "x": (float("nan"),), "y": (1.0,)}]}),
    ],
)
def test_a_plot_that_contradicts_itself_is_refused(kind: type[Plot], given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        kind.model_validate(given)
