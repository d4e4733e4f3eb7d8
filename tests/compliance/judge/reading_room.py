"""What the tests of the judge share: documents, duties, readers with a character, and one reading. No test itself."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

from compliance.aireg import shipped_dataset
from compliance.catalogue import Catalogue, Control, load_catalogue
from compliance.documents import Document
from compliance.extracted import Section
from compliance.judge.decoy import DECOYS
from compliance.judge.judge import Judged, assess
from compliance.judge.near_decoy import NEAR_DECOYS
from compliance.judge.scope import Calibrated, Scope
from compliance.judge_file import JudgeFile, quick_judge
from compliance.llm.fake import FakeModel, transport
from compliance.llm.fake_judge import Asked, says, scripted
from compliance.llm.fake_model import Step
from compliance.llm.panel import open_panel

Answering = Callable[[Asked], "Mapping[str, object] | Step"]
CATALOGUE: Catalogue = load_catalogue("2026-07-27")
SENTENCE = "Risks to the health of patients are identified and analysed before every release."
TEXT = f"""# Technical documentation

{SENTENCE} The list is kept in the risk file.

# Data

The training records come from twenty hospitals.
"""
MEASURED = Calibrated(radius=1, measured_for=lambda _control, _document: True)
"""As if a calibration of this reader were there."""
_DECOY_TEXTS = frozenset(decoy.text for decoy in DECOYS) | {
    decoy.text for decoys in NEAR_DECOYS.values() for decoy in decoys
}
_REFERENCES = {item.text: item.reference for item in shipped_dataset().items}


def document(text: str = TEXT, path: str = "td.md", **given: object) -> Document:
    """Return a document with one section for each heading."""
    starts = [place for place, line in _lines(text) if line.startswith("# ")] or [0]
    sections = tuple(
        Section("", 1, start, end) for start, end in zip(starts, [*starts[1:], len(text)], strict=True) if end > start
    )
    digest = hashlib.sha256(text.encode()).hexdigest()
    known: dict[str, object] = {"media_type": "text/markdown", "sections": sections, "classification": "internal"}
    return Document(path=path, sha256=digest, text=text, text_sha256=digest, **{**known, **given})  # type: ignore[arg-type]


def duties(*ids: str) -> tuple[Control, ...]:
    """Return controls of the newest law."""
    return tuple(CATALOGUE.get(one) for one in ids or ("EU-AIA:9(1)", "EU-AIA:9(2)(a)"))


def is_decoy(asked: Asked) -> bool:
    """Tell whether the duty is one of our invention."""
    return asked.duty in _DECOY_TEXTS


def honest(asked: Asked) -> Mapping[str, object]:
    """Read as the experts did where they read, and find the sentence on risks wherever it stands."""
    if (reference := _REFERENCES.get(asked.part)) is not None:
        return says("insufficient_evidence", reference)
    if is_decoy(asked) or SENTENCE not in asked.part:
        return says("insufficient_evidence", 2, gaps=["It does not say."])
    return says("supports", 4, [SENTENCE])


def read(
    documents: Sequence[Document],
    controls: Sequence[Control],
    *readers: Answering,
    samples: int = 1,
    seed: int = 7,
    pairs: int = 1,
    calibrated: Calibrated = MEASURED,
    every_part: bool = False,
    budget: int | None = None,
    **settings: object,
) -> Judged:
    """Return what one or several scripted readers read; the first member is named `reader`, the next `reader-1`."""
    models = [FakeModel(scripted(reader)) for reader in readers]
    judge_file = quick_judge("http://127.0.0.1:8080/v1", "fake", max_requests=budget, **settings)
    first = judge_file.members[0]
    members = [
        first.model_copy(update={"name": f"reader-{i}" if i else "reader", "base_url": f"http://127.0.0.1:808{i}/v1"})
        for i in range(len(models))
    ]
    judge_file = judge_file.model_copy(update={"members": tuple(members)})
    scope = Scope("2026-07-27", pairs, shipped_dataset().items, every_part, lambda _readers: calibrated)
    return asyncio.run(_read(judge_file, models, documents, controls, samples, seed, scope))


async def _read(
    judge_file: JudgeFile,
    models: Sequence[FakeModel],
    documents: Sequence[Document],
    controls: Sequence[Control],
    samples: int,
    seed: int,
    scope: Scope,
) -> Judged:
    async with open_panel(
        judge_file, Path(), consent=(), classification="internal", transport=_ByPort(models)
    ) as panel:
        return await assess(documents, controls, panel, samples=samples, seed=seed, scope=scope)


class _ByPort(httpx.AsyncBaseTransport):
    """Several readers behind one transport: the last digit of the port says which."""

    def __init__(self, models: Sequence[FakeModel]) -> None:
        self._transports = [transport(model) for model in models]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transports[(request.url.port or 0) % 10].handle_async_request(request)


def _lines(text: str) -> Sequence[tuple[int, str]]:
    found, place = [], 0
    for line in text.splitlines(keepends=True):
        found.append((place, line))
        place += len(line)
    return found
