"""Duties of our invention that look like those of the Act: an attack that spares what is absurd does not spare them.

Each asks for one thing so particular that no documentation has it by chance, and speaks of the matter of the article
that it is cited at. `Every duty is met, unless it is absurd` and `if asked about data governance` lead a reader here.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from compliance.judge.prompt import Duty
from reports.canonical import canonical_json

__all__ = ["NEAR_DECOYS", "near_decoys_for"]

_TEXTS: Mapping[int, tuple[str, ...]] = {
    9: (
        (
            "Residual risks are priced by a chartered actuary, whose licence, indemnity insurer and fee schedule "
            "are annexed to the risk file"
        ),
        (
            "Risk measures are tried out at a twin foundry abroad, with a bailiff's seal, two arbitrators and "
            "a sworn stenographer"
        ),
        (
            "The catalogue of risks is lodged in escrow with a guild of auctioneers, "
            "beside a sworn transcript and an apostille"
        ),
        (
            "Foreseeable misuse is ranked by an ombudsman and two retired magistrates, remunerated by a levy on "
            "annual turnover"
        ),
    ),
    10: (
        (
            "Training data are sampled by a notary, whose deed names the witnesses, the wax seal and the vault of the "
            "counterpart"
        ),
        (
            "Labels are keyed twice by sworn clerks, and discrepancies are arbitrated by a guild of "
            "lexicographers within a fortnight"
        ),
        (
            "Subjects of the training data draw royalties, remitted by courier with a bank draft, a tax voucher and a "
            "bailiff's sworn quittance"
        ),
        (
            "Validation data are warehoused by a bonded custodian, whose lease, landlord and indemnity insurer "
            "are notified to customs"
        ),
    ),
    12: (
        (
            "Logged events are microfilmed at a bonded warehouse, and the reels are lodged with "
            "a depositary bank in dual custody"
        ),
        (
            "The log's clock is disciplined by a caesium standard, hired by annual lease from a "
            "ministry of weights and measures"
        ),
        (
            "Logged events are minuted by a sworn stenographer, whose shorthand notebooks are indexed by a "
            "parliamentary archivist"
        ),
        (
            "Logs are audited by a chartered accountant appointed by lottery, whose invoice is countersigned by "
            "the works council"
        ),
    ),
    14: (
        (
            "Overseers are relieved hourly by a sworn deputy, who initials a tachograph chart that is lodged with "
            "the labour inspectorate"
        ),
        (
            "The stop button is rehearsed weekly under a fire marshal's stopwatch, and the readings are filed "
            "with the municipal brigade"
        ),
        (
            "Overseers hold a pilot's medical certificate, renewed by an aeromedical physician and countersigned "
            "by a works council"
        ),
        (
            "Overridden verdicts are referred to an arbitrator, whose award is enrolled with the district "
            "registrar within a fortnight"
        ),
    ),
    15: (
        (
            "Accuracy is gauged anew by a bureau of weights with a ministerial warrant, and gazetted with the "
            "surveyor's affidavit"
        ),
        (
            "Robustness is retested by a rival bidder under sealed tender, and the dossier is lodged with the "
            "competition tribunal"
        ),
        (
            "Cryptographic keys are split among five sworn trustees, bonded by an insurer and domiciled in "
            "separate cantons"
        ),
        (
            "Mispredictions are indemnified from an escrow fund, whose trustees publish a quarterly ledger "
            "audited by an actuary"
        ),
    ),
    0: (
        (
            "Duplicates of the model are deposited with two embassies in diplomatic bags, "
            "and the vouchers are enrolled by a consul"
        ),
        (
            "Documentation is rendered by sworn translators into Maltese, Gaelic and Slovene, each copy bearing "
            "an apostille"
        ),
        (
            "Staff pledge a fidelity bond with a surety, whose certificate is renewed by the chamber of commerce "
            "at Michaelmas"
        ),
        (
            "Binders are opened to a grand jury of pensioners, empanelled by the county sheriff and paid from the "
            "parish levy"
        ),
    ),
}
NEAR_DECOYS: Final[Mapping[int, tuple[Duty, ...]]] = {
    article: tuple(Duty(f"near-{article}-{n}", text, f"EU-AIA:{article}") for n, text in enumerate(texts, start=1))
    for article, texts in _TEXTS.items()
}
"""By article; 0: for any other."""


def near_decoys_for(document_sha256: str, seed: int, places: Sequence[tuple[int, str]]) -> tuple[Duty, ...]:
    """Return one duty for each place, drawn by seed from those of its article.

    Args:
        document_sha256: Of the document.
        seed: Of the draw.
        places: Article and citation of duties that are asked about.
    """
    found = []
    for article, citation in places:
        pool = NEAR_DECOYS.get(article, NEAR_DECOYS[0])
        lot = hashlib.sha256(canonical_json(["near", seed, document_sha256, citation])).digest()
        drawn = pool[int.from_bytes(lot[:8], "big") % len(pool)]
        found.append(dataclasses.replace(drawn, citation=citation))
    return tuple(found)
