from pathlib import Path

import numpy as np
import pytest
import torch

from audit.secure_rounds import RoundLost, SecureRounds, flat, model_digest
from secagg.drops import DropPlan
from secagg.quantize import Quantization
from secagg.setting import RoundConfig, make_identities
from secagg.verify import verify_transcripts

CONFIG = RoundConfig(clients=6, length=1, quantization=Quantization(4.0, 2**22), run="test")
MODEL = {"weight": torch.arange(6, dtype=torch.float32).reshape(2, 3), "bias": torch.zeros(2)}


def rounds(folder: Path, drops: DropPlan) -> SecureRounds:
    identities = make_identities(CONFIG.ids)
    return SecureRounds(
        CONFIG, identities, lambda number: folder / str(number), lambda _: drops, np.random.default_rng(3)
    )


def updates() -> dict[int, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return {
        client: {name: torch.randn(t.shape, generator=generator) for name, t in MODEL.items()} for client in range(6)
    }


def test_the_mean_is_that_of_the_survivors_to_a_step_of_the_quantiser(tmp_path: Path) -> None:
    sent = updates()
    mean, alive = rounds(tmp_path, DropPlan({"masked-input": ("c00002",)}))(1, MODEL, sent)
    assert alive == (0, 2, 3, 4, 5)
    for name, tensor in mean.items():
        expected = torch.stack([sent[client][name] for client in alive]).double().mean(0)
        assert tensor.shape == MODEL[name].shape
        assert float((tensor.double() - expected).abs().max()) <= 8.0 / 2**22


def test_every_round_leaves_a_record_that_verifies_and_names_its_model(tmp_path: Path) -> None:
    secure = rounds(tmp_path, DropPlan())
    for number in (1, 2):
        secure(number, MODEL, updates())
    verified = verify_transcripts([tmp_path / "1", tmp_path / "2"])
    assert (verified.status, verified.authenticity) == ("pass", "signed")
    headers = [one.header for one in verified.transcripts]
    assert [header and header.model_sha256 for header in headers] == [model_digest(MODEL)] * 2


def test_a_round_without_enough_survivors_has_no_mean(tmp_path: Path) -> None:
    drops = DropPlan({"masked-input": ("c00001", "c00002", "c00003", "c00004")})
    with pytest.raises(RoundLost, match="round 7 ended without a sum"):
        rounds(tmp_path, drops)(7, MODEL, updates())


def test_one_element_of_the_model_changes_its_digest() -> None:
    other = {**MODEL, "bias": torch.tensor([0.0, 1e-7])}
    assert model_digest(other) != model_digest(MODEL) == model_digest({**MODEL})
    assert flat(MODEL).tolist() == [0, 1, 2, 3, 4, 5, 0, 0]
