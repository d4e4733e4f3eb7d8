"""Language models of the self-test: the tensors, factors and sums that are said to be planted are there."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from audit.selftest.flaw import Flaw
from audit.selftest.workshop import Workshop
from audit.system_folder import SystemFolder

pytest.importorskip("transformers")

from audit.selftest import language
from audit.selftest.flaws.llm_hidden_module import llm_hidden_module
from audit.selftest.flaws.llm_second_tensor import SECRET, llm_second_tensor
from unlearning.llm.model_io import load_model, state_of
from unlearning.llm.tiny import TinyWorld, tiny_model

ROOT = 3


def built(flaw: Flaw, folder: Path, *, planted: bool) -> Path:
    """Build a flaw or its twin, and return the folder."""
    with SystemFolder(folder) as files:
        flaw.build(Workshop(files, 5, root=ROOT), planted=planted)
    return folder


def test_one_number_of_an_undeclared_tensor_differs_in_the_flaw_alone(tmp_path: Path) -> None:
    folders = [built(llm_second_tensor, tmp_path / str(planted), planted=planted) for planted in (True, False)]
    flaw, twin = (
        {name: state_of(load_model(folder / name)) for name in ("before", "after")} for folder in folders
    )  # fmt: skip
    assert all(torch.equal(flaw["before"][name], twin["before"][name]) for name in twin["before"])
    apart = {name: int((flaw["after"][name] != tensor).sum()) for name, tensor in twin["after"].items()}
    assert {name: count for name, count in apart.items() if count} == {SECRET: 1}


def test_the_adapter_holds_a_second_module_that_its_configuration_leaves_out(tmp_path: Path) -> None:
    held = {}
    for planted in (True, False):
        folder = built(llm_hidden_module, tmp_path / str(planted), planted=planted) / "adapter"
        config = json.loads((folder / "adapter_config.json").read_text())
        assert config["layers_to_transform"] == [1]
        held[planted] = set(load_file(folder / "adapter_model.safetensors"))
    assert len(held[False]) == 2
    assert len(held[True]) == 4
    assert {name for name in held[True] - held[False] if ".layers.0." in name} == held[True] - held[False]


def test_renamed_entities_have_the_rows_of_others_and_no_other_row_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    world = TinyWorld(ROOT, language.PARTS)
    model = tiny_model(world)
    monkeypatch.setattr(language, "model_of", lambda world, without=(): model)
    [table] = language.renamed(world, world.forget, world.twin).values()
    own = state_of(model)[language.EMBEDDING]
    tokens = model.tokens.tokenizer.convert_ids_to_tokens
    changed = {tokens(int(row)) for row in (table != own).any(dim=1).nonzero()[:, 0]}
    named = {word for record in world.forget for word in record.question.split() if word.startswith("clan")}
    assert changed == named | {record.group for record in world.forget}
    one, other = world.forget[0].group, world.twin[0].group
    rows = model.tokens.tokenizer.convert_tokens_to_ids([one, other])
    assert torch.equal(table[rows[0]], own[rows[1]])


def test_the_crowd_counts_a_thousand_clients_with_other_records() -> None:
    world = TinyWorld(ROOT, language.PARTS)
    kept, one, crowd = language.sums_of_clients(world, tiny_model(world))
    assert len(kept) == 32
    assert (one.counts.clients, crowd.counts.clients) == (1, 1000)
    assert crowd.counts.keep_tokens > 500 * one.counts.keep_tokens


def test_parts_without_a_clan_are_empty_and_the_others_have_eight_entities_a_clan() -> None:
    world = TinyWorld(ROOT, language.PARTS)
    found = {name: len(getattr(world, name)) for name, _ in language.PARTS}
    assert found == {"forget": 64, "retain": 64, "general": 0, "reference": 32, "unknown": 0, "twin": 128, "decoys": 0}
