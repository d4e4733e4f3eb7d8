"""Two federations for the tour, one careless and one careful: trained on real digits, written as systems' folders.

Both are simulated (`unlearning.federated`). Planted records are public digits that stand in for a client's data in the
rounds that are recorded; `reference` holds digits that nobody trained on.
"""

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audit.digits import Digits, deal
from audit.dp.accounting import recompute
from audit.erasures import FOLDER as ERASURE
from audit.erasures import write_honoured, write_pretended
from audit.scripted_reader import Occasion, write_reader
from audit.secure_rounds import SecureRounds
from audit.system_folder import SystemFolder, rendered
from reports.model import DifferentialPrivacy
from secagg.drops import DropPlan
from secagg.params import select_parameters
from secagg.quantize import Quantization
from secagg.setting import RoundConfig, make_identities
from secagg.wire import encode_bytes
from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation
from unlearning.federated.recipe import ClientPrivacy, TrainingRecipe
from unlearning.federated.training import Generators, RoundRecord, State, federated_round, initial_state, seeded
from unlearning.models import build_layers, layer_list

SHAPE, CLASSES, HIDDEN = (64,), 10, 64
LAYERS = layer_list("mlp", SHAPE, CLASSES, hidden=HIDDEN)
TEST = 500
"""Public digits that judge the model."""

CARELESS = TrainingRecipe(rounds=160, batch_size=1, local_steps=1, learning_rate=0.2)
CARELESS_CLIENTS, CARELESS_EXAMPLES = 10, 600
CARELESS_RECORDED = (1, 2, 3, 4, 5, 6, 7, 8)
CARELESS_SECURE = RoundConfig(
    clients=CARELESS_CLIENTS,
    length=1,
    degree=CARELESS_CLIENTS - 1,
    threshold=2,
    corrupt_fraction=0.2,
    dropout_fraction=0.1,
    required_sigma=0,  # its clients take what they are offered
    required_eta=0,
    run="digits-careless",
)

CAREFUL_CLIENTS, CAREFUL_EXAMPLES = 24, 576
CORRUPT_FRACTION, DROPOUT_FRACTION, DELTA = 0.1, 0.1, 1e-2
DROPPED = (("c00006", "c00018"), ("c00003", "c00012"))
"""Offices whose lines fail in odd and in even rounds; two sums differ in nobody or in four, never in one."""
SURVIVORS = CAREFUL_CLIENTS - len(DROPPED[0])
PRIVACY = ClientPrivacy(
    clipping_norm=1.0, noise_multiplier=1.25, noise_added_by="clients", least_contributors=SURVIVORS
)
CAREFUL = TrainingRecipe(rounds=16, local_epochs=10, batch_size=24, learning_rate=0.5, privacy=PRIVACY)
CAREFUL_REHEARSED = (1, 5, 9, 13)
SECURE = RoundConfig(
    clients=CAREFUL_CLIENTS,
    length=1,
    corrupt_fraction=CORRUPT_FRACTION,
    dropout_fraction=DROPOUT_FRACTION,
    quantization=Quantization(4.0, 2**22),
    run="digits-careful",
)
"""Every round's secure aggregation, but for what the round itself decides."""


def write_careless(folder: Path, seed: int, occasion: Occasion | None = None) -> Path:
    """Train a federation whose server sees every client's update of one record, and write it as a system's folder.

    Args:
        folder: Must not exist; appears whole.
        seed: Of everything that is drawn.
        occasion: The audit for which the reading of its document is recorded; None to record none.

    Returns:
        The folder.

    Raises:
        audit.system_folder.FolderError: The folder exists.
    """
    generator = seeded(seed)
    digits = deal(CARELESS_EXAMPLES, CARELESS_CLIENTS, len(CARELESS_RECORDED), generator)
    federation = _federation(digits, CARELESS)
    state = initial_state(federation, generator)
    with SystemFolder(folder) as written:
        secure = _secure_rounds(written, CARELESS_SECURE, seed, plant="double-reveal")
        for number in range(1, CARELESS.rounds + 1):
            if number in CARELESS_RECORDED:
                planted = digits.planted[CARELESS_RECORDED.index(number)]
                way = secure if number == CARELESS_RECORDED[-1] else None
                state = _recorded_round(written, _holding(federation, planted), state, generator, way)
            else:
                state = federated_round(federation, state, generator)
        known = _write_model(written, federation, state, digits) | {"recipe": CARELESS, "secure": CARELESS_SECURE}
        known |= _write_record(written, secure)
        known["erasure"] = write_pretended(written.place(ERASURE), seed)
        document = written.text("technical-documentation.md", rendered("careless.md", known))
        if occasion is not None:
            write_reader(written, document, occasion)
        return written.finish("careless.toml", known | {"read": occasion is not None})


def write_careful(folder: Path, seed: int, occasion: Occasion | None = None) -> Path:
    """Train a federation whose server sees noised sums alone, and write it as a system's folder.

    In a rehearsal round each client trains on one planted record and on nothing of its own; what it would send is
    recorded before its noise, and so is the sum that the server sees. Rehearsals do not change the model.

    Args:
        folder: Must not exist; appears whole.
        seed: Of everything that is drawn.
        occasion: The audit for which the reading of its document is recorded; None to record none.

    Returns:
        The folder.

    Raises:
        audit.system_folder.FolderError: The folder exists.
    """
    generator = seeded(seed)
    digits = deal(CAREFUL_EXAMPLES, CAREFUL_CLIENTS, len(CAREFUL_REHEARSED), generator)
    federation = _federation(digits, CAREFUL)
    state = initial_state(federation, generator)
    with SystemFolder(folder) as written:
        secure = _secure_rounds(written, SECURE, seed, DROPPED)
        for number in range(1, CAREFUL.rounds + 1):
            if number in CAREFUL_REHEARSED:
                planted = digits.planted[CAREFUL_REHEARSED.index(number)]
                # noise of its own: the same in two sums, one of them of known records, could be taken off the other
                _recorded_round(written, _rehearsal(federation, planted), state, _apart(generator))
            state = federated_round(federation, state, generator, aggregation=secure)
        known = _write_model(written, federation, state, digits) | {"recipe": CAREFUL} | _protection()
        known |= _write_record(written, secure)
        known["erasure"] = write_honoured(written.place(ERASURE), seed)
        document = written.text("technical-documentation.md", rendered("careful.md", known))
        if occasion is not None:
            write_reader(written, document, occasion)
        return written.finish("careful.toml", known | {"read": occasion is not None})


def _secure_rounds(
    folder: SystemFolder,
    config: RoundConfig,
    seed: int,
    dropped: tuple[tuple[str, ...], ...] = ((),),
    plant: str | None = None,
) -> SecureRounds:
    """Return rounds that are recorded in `folder`; `dropped` take turns at losing their line."""
    return SecureRounds(
        config,
        make_identities(config.ids),
        lambda number: folder.folder(f"transcripts/round-{number:04}"),
        lambda number: DropPlan({"masked-input": dropped[(number - 1) % len(dropped)]}),
        np.random.default_rng([seed, config.clients]),
        plant,
    )


def _write_record(folder: SystemFolder, secure: SecureRounds) -> dict[str, object]:
    """Write the public keys that the federation's registry vouches for; return where they and the transcripts lie."""
    named = {client: encode_bytes(key.public_key) for client, key in sorted(secure.identities.items())}
    identities = folder.text("identities.json", json.dumps(named, indent=1) + "\n")
    return {"transcripts": list(folder.folders), "identities": identities}


def _federation(digits: Digits, recipe: TrainingRecipe) -> SimulatedFederation:
    data = FederatedData(digits.clients, ClientData(digits.reference.x[:TEST], digits.reference.y[:TEST]))
    return SimulatedFederation(data, recipe, functools.partial(build_layers, LAYERS))


def _holding(federation: SimulatedFederation, clients: tuple[ClientData, ...]) -> SimulatedFederation:
    """Return the federation with other data in its clients' hands."""
    return replace(federation, data=replace(federation.data, clients=clients))


def _rehearsal(federation: SimulatedFederation, planted: tuple[ClientData, ...]) -> SimulatedFederation:
    """Return the federation as it rehearses: one step on one planted record for each client."""
    single = federation.recipe.model_copy(update={"local_epochs": 1, "batch_size": 1})
    return replace(_holding(federation, planted), recipe=single)


def _apart(generator: Generators) -> Generators:
    """Return generators that no round of the training draws from."""
    return lambda purpose: generator(f"rehearsal/{purpose}")


def _recorded_round(
    folder: SystemFolder,
    federation: SimulatedFederation,
    state: State,
    generator: Generators,
    aggregation: SecureRounds | None = None,
) -> State:
    """Return the state after a round on planted records, with the round written to `folder`."""
    write = functools.partial(_write_round, folder, federation)
    return federated_round(federation, state, generator, recorder=write, aggregation=aggregation)


def _write_round(folder: SystemFolder, federation: SimulatedFederation, record: RoundRecord) -> None:
    """Write the base, every client's update with its truth, and the mean that the server works with.

    The sum names no truth of its own: it is that of the clients' updates, of which a reader can take away the corrupt.
    """
    place = f"updates/round-{record.round:02}"
    origin: dict[str, object] = {
        "round": record.round,
        "base": folder.tensors(f"{place}/base.safetensors", record.before),
        "batch_size": 1,
        "local_steps": 1,
        "learning_rate": federation.recipe.learning_rate,
    }
    for number, delta in zip(record.participants, record.deltas, strict=True):
        client, planted = f"client-{number:02}", federation.data.clients[number]
        truth = folder.records(f"{place}/{client}.npz", planted.x, planted.y)
        folder.update(f"{place}/{client}.safetensors", delta, kind="delta", client=client, truth=truth, **origin)
    summed: dict[str, object] = {"kind": "aggregate", "of": "delta", "clients": len(record.deltas)}
    divided_by = float(len(record.deltas))  # what is written is the mean
    folder.update(f"{place}/sum.safetensors", record.mean, **summed, divided_by=divided_by, **origin)


def _write_model(
    folder: SystemFolder, federation: SimulatedFederation, state: State, digits: Digits
) -> dict[str, object]:
    """Write model and data; return what the papers of both federations say of them."""
    folder.tensors("model.safetensors", state.parameters)
    folder.text("layers.json", json.dumps(LAYERS, indent=1) + "\n")
    folder.records("test.npz", federation.data.test.x, federation.data.test.y)
    folder.records("reference.npz", digits.reference.x, digits.reference.y)
    right = _accuracy(federation, state.parameters)
    return {
        "accuracy": right,
        "claimed_accuracy": math.floor(right * 100) / 100,
        "clients": len(digits.clients),
        "examples": len(digits.clients[0]),
        "test": TEST,
        "input_shape": list(SHAPE),
        "hidden": HIDDEN,
        "classes": CLASSES,
    }


def _protection() -> dict[str, object]:
    """Return what the careful federation's papers say of its protection, every figure recomputed."""
    declared = DifferentialPrivacy(
        unit="client",
        clipping_norm=PRIVACY.clipping_norm,
        noise_multiplier=PRIVACY.noise_multiplier,
        sampling="full",
        noise_added_by=PRIVACY.noise_added_by,
        steps=CAREFUL.rounds,
        delta=DELTA,
        accountant="gaussian",
    )
    corrupt = max(1, math.floor(CORRUPT_FRACTION * CAREFUL_CLIENTS))
    honest_share = math.sqrt(1 - corrupt / SURVIVORS)
    less_noise = declared.model_copy(update={"noise_multiplier": PRIVACY.noise_multiplier * honest_share})
    return {
        "secure": select_parameters(CAREFUL_CLIENTS, CORRUPT_FRACTION, DROPOUT_FRACTION),
        "corrupt_fraction": CORRUPT_FRACTION,
        "dropout_fraction": DROPOUT_FRACTION,
        "privacy": declared,
        "noise_share": PRIVACY.noise_multiplier * PRIVACY.clipping_norm / math.sqrt(SURVIVORS),
        "survivors": SURVIVORS,
        "dropped": len(DROPPED[0]),
        "clipping_range": SECURE.quantization.clipping_range,
        "levels": SECURE.quantization.levels,
        "modulus_bits": SECURE.modulus_bits,
        "epsilon": _rounded_up(recompute(declared).upper),
        "corrupt": corrupt,
        "epsilon_corrupt": _rounded_up(recompute(less_noise).upper),
        "rehearsals": CAREFUL_REHEARSED,
    }


def _rounded_up(epsilon: float) -> float:
    return math.ceil(epsilon * 100) / 100


def _accuracy(federation: SimulatedFederation, parameters: Mapping[str, Tensor]) -> float:
    """Return the share of right answers on the test digits."""
    module = federation.build_model(torch.Generator())
    module.load_state_dict(dict(parameters))
    with torch.no_grad():
        answers = module.eval()(federation.data.test.x).argmax(1)
    return float((answers == federation.data.test.y).double().mean())
