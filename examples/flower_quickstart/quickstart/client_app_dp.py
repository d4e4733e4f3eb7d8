"""The same clients, each hiding its update behind Flower's local differential privacy."""

from flwr.clientapp import ClientApp
from flwr.clientapp.mod import LocalDpMod

from audit.flower import capture_mod
from quickstart.client_app import evaluate, train
from quickstart.planted import load_planted, public
from quickstart.task import Net

app = ClientApp()
noise = LocalDpMod(clipping_norm=1.0, sensitivity=1.0, epsilon=1.0, delta=1e-5)
claim = {"federation": {"differential_privacy": {"epsilon": 1.0}}}  # of the whole run, to be held against what it is
capture = capture_mod("captured/dp", Net, load_planted, name="quickstart", classes=10, reference=public, tables=claim)
app.train(mods=[capture, noise])(train)
app.evaluate()(evaluate)
