"""The server of the app under Flower's SecAgg+, with one line for its audit."""

from flwr.app import Context
from flwr.common import ndarrays_to_parameters
from flwr.server import LegacyContext, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.serverapp import Grid, ServerApp

from audit.flower import captured
from quickstart.planted import load_planted, public
from quickstart.task import Net

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train the model, round by round; the server gets sums."""
    config = context.run_config
    clients = int(config["clients"])
    strategy = FedAvg(
        fraction_fit=float(config["fraction-train"]),
        fraction_evaluate=0.0,
        min_fit_clients=clients,
        min_available_clients=clients,
        initial_parameters=ndarrays_to_parameters([tensor.numpy() for tensor in Net().state_dict().values()]),
        on_fit_config_fn=lambda _: {"lr": float(config["learning-rate"])},
        fit_metrics_aggregation_fn=lambda _: {},
    )
    rounds = ServerConfig(num_rounds=int(config["num-server-rounds"]))
    secure = SecAggPlusWorkflow(num_shares=1.0, reconstruction_threshold=0.7, max_weight=32)
    secure = captured(secure, "captured/secagg", Net, load_planted, name="quickstart", classes=10, reference=public)
    DefaultWorkflow(fit_workflow=secure)(grid, LegacyContext(context, config=rounds, strategy=strategy))
