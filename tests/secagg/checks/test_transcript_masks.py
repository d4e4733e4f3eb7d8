"""Masks on record: real ones pass, weak ones planted in the record fail, short vectors show nothing."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from reports.model import Effort, Severity, Status, Strength
from secagg.checks.transcript_masks import SIGNIFICANT, uniformity
from secagg.draft import Draft
from secagg.masked_vectors import masked_vectors
from secagg.prg import keystream
from secagg.quantize import Quantization
from secagg.transcript import read_transcript

Ward = Callable[..., Any]
Words = NDArray[Any]


def with_vectors(change: Callable[[Words, np.random.Generator], Words]) -> Callable[[Path], None]:
    """Return what puts other masked inputs into the first round, chained anew."""

    def spoil(folder: Path) -> None:
        path, rng = folder / "round-0001", np.random.default_rng(3)
        draft = Draft.of(read_transcript(path))
        for record in draft.having("masked_input"):
            words = np.fromfile(path / "blobs" / record["body"]["blob"], f"<u{draft.header['modulus_bits'] // 8}")
            data = change(words, rng).astype(words.dtype).tobytes()
            record["body"]["blob"] = hashlib.sha256(data).hexdigest()
            (path / "blobs" / record["body"]["blob"]).write_bytes(data)
        (path / "transcript.jsonl").write_bytes(b"".join(line + b"\n" for line in draft.edited().lines()))

    return spoil


def bare(words: Words, rng: np.random.Generator) -> Words:
    return rng.integers(2**21 - 2**18, 2**21 + 2**18, words.size)  # updates around zero, of 2^22 levels


def scalar(words: Words, rng: np.random.Generator) -> Words:
    return (bare(words, rng).astype(words.dtype) + words[0]).astype(words.dtype)  # OpenFL 1.9: one number a pair


def floats(words: Words, rng: np.random.Generator) -> Words:
    return rng.normal(size=words.size).astype(f"f{words.itemsize}").view(words.dtype)


def half(words: Words, _rng: np.random.Generator) -> Words:
    return words >> 1


def repeated(words: Words, _rng: np.random.Generator) -> Words:
    return np.tile(words[:4], words.size // 4)


@pytest.mark.parametrize("weak", [bare, scalar, floats, half, repeated], ids=lambda weak: weak.__name__)
@pytest.mark.parametrize("bits", [32, 64])
def test_weak_masks_fail(ward: Ward, tmp_path: Path, weak: Any, bits: int) -> None:
    finding = ward(tmp_path, {"modulus_bits": bits}, spoil=with_vectors(weak)).asked(uniformity)
    assert (finding.status, finding.severity, finding.strength) == (Status.FAIL, Severity.HIGH, Strength.STATISTICAL)
    assert "round-0001: masked_input: c0000" in finding.detail
    assert finding.remedy is not None
    assert (finding.remedy.parameter, finding.remedy.value) == ("federation.secure_aggregation.prg", "aes256-ctr")


@pytest.mark.parametrize("effort", Effort)
@pytest.mark.parametrize("bits", [32, 64])
def test_the_masks_of_the_protocol_pass_and_weak_ones_on_the_same_vectors_do_not(
    ward: Ward, tmp_path: Path, bits: int, effort: Effort
) -> None:
    finding = ward(tmp_path, {"modulus_bits": bits}, {"modulus_bits": bits}).asked(uniformity, effort)
    assert finding.status is Status.PASS
    smallest = next(one for one in finding.measurements if one.name == "smallest_p_value")
    assert smallest.n == 14
    assert smallest.control is not None
    assert smallest.value > SIGNIFICANT > smallest.control


def test_uniform_words_of_any_source_pass(ward: Ward, tmp_path: Path) -> None:
    def fresh(words: Words, rng: np.random.Generator) -> Words:
        return keystream(rng.bytes(32), words.size, 32)

    assert ward(tmp_path, {}, spoil=with_vectors(fresh)).asked(uniformity).status is Status.PASS


@pytest.mark.parametrize(("length", "reason"), [(12, "too-short"), (30, "control-failed")])
def test_short_vectors_earn_no_pass(ward: Ward, tmp_path: Path, length: int, reason: str) -> None:
    finding = ward(tmp_path, {}, length=length).asked(uniformity)
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, reason)


def test_vectors_are_read_as_they_were_recorded_a_part_at_a_time(ward: Ward, tmp_path: Path) -> None:
    quantization = Quantization(8.0, 2**20, "integer", 3)
    ward(tmp_path, {"quantization": quantization, "weights": (1, 2, 3, 1, 2, 3, 1)})
    source = read_transcript(tmp_path / "round-0001")
    vectors = list(masked_vectors(source))
    assert [one.client for one in vectors] == [f"c{place:05d}" for place in range(1, 8)]
    for one in vectors:
        [(digest, kind)] = one.parts
        whole, part = one.read(1 << 20), one.read(5)
        assert (whole.size, kind) == (201, np.dtype("<u4"))  # the weight is one element more
        assert hashlib.sha256(whole.tobytes()).hexdigest() == digest
        np.testing.assert_array_equal(part, whole[:5])
