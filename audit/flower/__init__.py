"""Live Flower apps, captured in one line: what the server sees in a round, as `fedaudit run` takes it.

Where the server gets every client's update, plain or noised, the line is a client mod, the outermost:

    @app.train(mods=[capture_mod("captured", Net, load_planted, name="digits")])
    @app.train(mods=[capture_mod("captured", Net, load_planted, name="digits"), LocalDpMod(...)])

Under Flower's SecAgg+ it gets sums alone, so there the line goes round the workflow on the server:

    DefaultWorkflow(fit_workflow=captured(SecAggPlusWorkflow(...), "captured", Net, load_planted, name="digits"))

Nothing else of the app changes, its training least of all. A mod alone knows which partition of the data a client
holds (Flower's server sees node ids), and a server alone sees sums and the parameters of the protocol: hence the two.
"""

from audit.flower.mod import CaptureMod, capture_mod
from audit.flower.workflow import CapturedWorkflow, captured

__all__ = ["CaptureMod", "CapturedWorkflow", "capture_mod", "captured"]
