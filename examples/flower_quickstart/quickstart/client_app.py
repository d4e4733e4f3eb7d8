"""The clients of the app, with one line for its audit."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from audit.flower import capture_mod
from quickstart.planted import load_planted, public
from quickstart.task import Net, data_of
from quickstart.task import test as test_fn
from quickstart.task import train as train_fn

app = ClientApp()


@app.train(mods=[capture_mod("captured/plain", Net, load_planted, name="quickstart", classes=10, reference=public)])
def train(msg: Message, context: Context) -> Message:
    """Train the model on local data."""
    model = Net()
    model.load_state_dict(msg.content.array_records["arrays"].to_torch_state_dict())
    trainloader, _ = data_of(context)
    lr = float(msg.content.config_records["config"]["lr"])
    train_loss = train_fn(model, trainloader, int(context.run_config["local-epochs"]), lr)
    metrics = MetricRecord({"train_loss": train_loss, "num-examples": len(trainloader.dataset)})
    return Message(RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics}), reply_to=msg)


@app.evaluate()
def evaluate(msg: Message, context: Context) -> Message:
    """Evaluate the model on local data."""
    model = Net()
    model.load_state_dict(msg.content.array_records["arrays"].to_torch_state_dict())
    _, testloader = data_of(context)
    loss, accuracy = test_fn(model, testloader)
    metrics = MetricRecord({"eval_loss": loss, "eval_acc": accuracy, "num-examples": len(testloader.dataset)})
    return Message(RecordDict({"metrics": metrics}), reply_to=msg)
