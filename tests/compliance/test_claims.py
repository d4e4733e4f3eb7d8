"""Claims by rule: the labelled sentences are the acceptance set, a third of them written before any pattern was."""

import itertools
import json
from collections import Counter
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance import claim_about
from compliance.claim_about import Own
from compliance.claim_kinds import claim_kinds
from compliance.claim_state import Measured, compare
from compliance.claims import KINDS, Claim, claim_at, extract_claims, numbers
from compliance.sentences import sentences

ROWS: list[dict[str, Any]] = [
    json.loads(line)
    for line in files("compliance").joinpath("claim_sentences.jsonl").read_text(encoding="utf-8").splitlines()
]
BLIND = [row for row in ROWS if row["use"] == "blind"]
"""Written after the last rule, and no rule was written for them since."""
SEEN = [row for row in ROWS if row["use"] != "blind"]
PLAIN = [row for row in SEEN if row["twin"] == "plain"]
OTHERS = [row for row in SEEN if row["twin"] != "plain"]


@cache
def plain_claims(text: str) -> list[Claim]:
    return [claim for claim in extract_claims(text) if not claim.hedged]


def labelled(row: dict[str, Any], claim: Claim) -> bool:
    return any((one["kind"], one["value"]) == (claim.kind, claim.value) for one in row["claims"])


def against_everything(claim: Claim) -> list[Measured]:
    """Return measurements that contradict any figure there can be."""
    worst = {"at-most": 1e12, "at-least": 0.0}.get(claim_kinds()[claim.kind].says, 1.0)
    return [Measured("some.check", "", "fail", "figure", worst, worst, worst)]


def test_the_acceptance_set_is_large_and_has_the_twins_of_every_kind() -> None:
    assert len(ROWS) >= 200
    assert len({row["text"] for row in ROWS}) == len(ROWS)
    held = sum(row["use"] == "held" for row in ROWS)
    assert held >= 100
    twins = {kind: {row["twin"] for row in ROWS if row["about"] == kind} for kind in KINDS}
    for kind in KINDS:
        assert {"plain", "hedged", "negated", "compared", "other-meaning"} <= twins[kind], kind
    for kind in ("epsilon", "delta", "noise_multiplier", "clipping_norm", "clients", "rounds", "accuracy", "unlearned"):
        assert "per-round" in twins[kind], kind


@pytest.mark.parametrize("use", ["tuned", "held"])
def test_nine_of_ten_plain_claims_are_found_with_value_and_unit(use: str) -> None:
    found: Counter[bool] = Counter()
    for row in (row for row in PLAIN if row["use"] == use):
        given = [(claim.kind, claim.value, claim.unit) for claim in plain_claims(row["text"])]
        found.update((one["kind"], one["value"], one["unit"]) in given for one in row["claims"])
    assert found[True] >= 0.9 * found.total()


def test_nothing_is_plainly_claimed_but_what_the_label_says() -> None:
    more = {row["id"]: [c for c in plain_claims(row["text"]) if not labelled(row, c)] for row in SEEN}
    assert {name: claims for name, claims in more.items() if claims} == {}


def test_of_sentences_that_no_rule_was_written_for_as_many_are_misread_as_the_module_says() -> None:
    others = [row for row in BLIND if row["twin"] != "plain"]
    misread = sum(bool(plain_claims(row["text"])) for row in others)
    plain = [row for row in BLIND if row["twin"] == "plain"]
    found = sum(labelled(row, claim) for row in plain for claim in plain_claims(row["text"]))
    assert (misread, len(others), found, sum(len(row["claims"]) for row in plain)) == (10, 29, 15, 16)
    assert claim_about.__doc__ is not None
    assert f"Of {len(others)} sentences" in claim_about.__doc__
    assert f"{misread}\nwere" in claim_about.__doc__


@pytest.mark.parametrize(
    ("sentence", "doubt"),
    [
        ("McMahan et al. report epsilon = 4.6 for a keyboard model.", "attributed"),
        ("Training with differential privacy is done as in [12], epsilon 2.", "attributed"),
        ("The aggregate statistics we published were released with epsilon 0.5.", "other-object"),
        ("The ministry uses epsilon = 1 for its own dashboards.", "other-object"),
        ("The membership advantage was 0.3 before training was changed.", "other-time"),
        ("Our model for Spanish users is right in 95 % of cases.", "other-object"),
    ],
)
def test_a_figure_of_another_one_is_quoted_with_its_doubt_and_never_contradicted(sentence: str, doubt: str) -> None:
    [claim] = extract_claims(f"# Results\n\n{sentence}\n")
    assert (claim.quote, claim.doubt) == (sentence, doubt)
    says = claim_kinds()[claim.kind].says
    assert compare(claim, against_everything(claim), (1e12,), says=says).state == "ambiguous"


@pytest.mark.parametrize(
    "sentence",
    [
        "As in [12], we use a budget of epsilon = 2 for the whole of training.",
        "Updates are clipped to an L2 norm of 1.0 before noise is added.",
        "Our model for triage letters classifies 88 % of cases correctly.",
        "The weights that we release satisfy differential privacy with epsilon = 3.5.",
    ],
)
def test_the_words_of_such_a_doubt_do_not_make_it(sentence: str) -> None:
    [claim] = extract_claims(sentence)
    assert not claim.hedged


def test_a_system_is_known_by_its_name_its_purpose_and_its_version() -> None:
    own = Own(frozenset({"fedtriage", "spanish"}), "2.1.0")
    for sentence in (
        "FedTriage has an accuracy of 92 % on unseen letters.",
        "Our model for Spanish users is right in 95 % of cases.",
    ):
        assert [claim.doubt for claim in extract_claims(sentence, own)] == [""]
        assert all(claim.hedged for claim in extract_claims(sentence))
    for version, doubt in (("2", ""), ("2.1", ""), ("2.1.0", ""), ("1.4", "other-object")):
        [claim] = extract_claims(f"In version {version} the accuracy is 92 %.", own)
        assert claim.doubt == doubt


def test_where_a_line_ends_changes_no_doubt() -> None:
    wrapped = "Training gives epsilon = 1.0 for each office, as\nArticle 10(9) of the Regulation demands."
    assert [claim.doubt for claim in extract_claims(wrapped)] == [""]
    for sentence in (
        "The accuracy was 81 % at the\ntime of the first audit.",
        "An accuracy of 97 % is what the contract\ndemands.",
    ):
        assert [claim.doubt for claim in extract_claims(sentence)] == ["other-time"]


def test_what_stands_under_related_work_is_somebody_else_s() -> None:
    [claim] = extract_claims("## Related work\n\nThe accuracy is 97 %.")
    assert claim.doubt == "attributed"


def test_no_doubtful_sentence_is_ever_contradicted_whatever_was_measured() -> None:
    for row in OTHERS:
        for claim in extract_claims(row["text"]):
            says = claim_kinds()[claim.kind].says
            assert compare(claim, against_everything(claim), (1e12,), says=says).state == "ambiguous", row["text"]


def test_a_plain_claim_is_contradicted_where_everything_measured_is_against_it() -> None:
    for row in PLAIN:
        for claim in plain_claims(row["text"]):
            says = claim_kinds()[claim.kind].says
            state = compare(claim, against_everything(claim), (1e12,), says=says).state
            assert state == ("inconsistent" if says == "equals" else "contradicted")


def test_in_excerpts_that_others_wrote_only_plain_statements_are_plain() -> None:
    """The sixty excerpts of AIReg-Bench, which no pattern was written for."""
    lines = files("compliance").joinpath("data", "aireg_excerpts.jsonl").read_text(encoding="utf-8").splitlines()
    found = [
        (row["id"], claim.kind, claim.value) for row in map(json.loads, lines) for claim in plain_claims(row["text"])
    ]
    assert found == [
        ("use1-art15-A", "accuracy", 0.943),
        ("use2-art10-C", "accuracy", 0.924),
        ("use4-art15-B", "accuracy", 0.92),
    ]


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("The accuracy is 92 % for exams of up to 30 minutes.", ""),  # the bound is that of the minutes
        ("The accuracy is at most 92 %.", "other-direction"),
        ("The accuracy is at least 92 %.", ""),
        ("Epsilon is no more than 3.", ""),
        ("Epsilon exceeds 3.", "other-direction"),
        ("Epsilon never exceeds 3.", ""),
    ],
)
def test_a_bound_points_its_own_number_only(text: str, doubt: str) -> None:
    [claim] = extract_claims(text)
    assert claim.doubt == doubt


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5, 1e-5, 10^-5, 10⁻⁵, 1×10⁻⁵, 30 %, 1,000", (1.5, 1e-5, 1e-5, 1e-5, 1e-5, 0.3, 1000.0)),
        ("3 × 10^-7 and 2·10⁻³", (3e-7, 2e-3)),
        ("33% of 25 percent, 2 per cent, 5 percentage points", (0.33, 0.25, 0.02, 0.05)),
        ("(2.5,1e-5) [0.91, 0.95] 10–20 -4", (0.91, 0.95, 10.0, 20.0, -4.0)),
        ("SHA256, L2, v1.2.3, 8x8, ISO-27001, 2026-07-27, 12:30, 1/2", ()),
        ("10^999 1e999", ()),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, expected: tuple[float, ...]) -> None:
    assert numbers(text) == pytest.approx(expected, rel=1e-12)


def test_quotes_are_the_words_at_their_offsets() -> None:
    text = "# Privacy\n\nFirst words. Training gives\nepsilon = 3 in\nall. More.\n\n| accuracy | 93 % |\n"
    claims = extract_claims(text)
    assert [(claim.kind, claim.value, claim.quote) for claim in claims] == [
        ("epsilon", 3.0, "Training gives\nepsilon = 3 in\nall."),
        ("accuracy", 0.93, "| accuracy | 93 % |"),
    ]
    assert all(text[claim.start : claim.end] == claim.quote for claim in claims)


def test_what_stands_under_a_heading_of_aims_is_an_aim() -> None:
    [claim] = extract_claims("## Targets for 2027\n\nThe accuracy is 97 %.")
    assert (claim.hedged, claim.doubt) == (True, "hedged")
    [claim] = extract_claims("## Results\n\nThe accuracy is 97 %.")
    assert not claim.hedged


def test_the_number_of_a_cited_paragraph_is_no_second_number() -> None:
    [claim] = extract_claims("The accuracy is 97 %, as Article 15(3) asks for.")
    assert (claim.value, claim.hedged) == (0.97, False)


def test_a_claim_read_by_a_model_is_kept_only_if_its_quote_holds_the_value() -> None:
    text = "We measured a lot. The accuracy is 97 %. It should be 99 %."
    start = text.index("The accuracy")
    end = text.index(" It should")
    kept = claim_at("accuracy", 0.97, text, start, end)
    assert kept is not None
    assert (kept.value, kept.quote, kept.hedged) == (0.97, "The accuracy is 97 %.", False)
    assert claim_at("accuracy", 0.99, text, start, end) is None
    assert claim_at("beauty", 0.97, text, start, end) is None
    assert claim_at("accuracy", None, text, start, end) is None
    gone = claim_at("unlearned", 7.0, "Client 7 left no trace in the model.", 0, 36)
    assert gone is not None
    assert (gone.value, gone.unit) == (None, "client 7")
    aim = claim_at("accuracy", 0.99, text, text.index("It should"), len(text))
    assert aim is not None
    assert aim.hedged


@given(
    st.text(alphabet=st.sampled_from("epsilon=δ of1.,%|#\n -;?not \ue000\ue001\ue002clientsrounds10⁻⁵("), max_size=120)
)
def test_any_text_gives_claims_that_quote_it(text: str) -> None:
    for claim in extract_claims(text):
        assert text[claim.start : claim.end] == claim.quote
        assert claim.kind in KINDS


@given(st.text(alphabet="aB1.!?;#|- \n`*(", max_size=200))
def test_sentences_hold_all_that_is_no_space_and_never_overlap(text: str) -> None:
    found = list(sentences(text))
    assert all(first.end <= second.start for first, second in itertools.pairwise(found))
    for one in found:
        assert text[one.start : one.end] == text[one.start : one.end].strip()
        assert one.start < one.end


@pytest.mark.parametrize(
    "sentence",
    [
        "On the training set the accuracy is 99.9 %.",
        "Clipping norm 1.0 is the default of the library.",
        "It has been claimed that updates cannot be inverted; others showed otherwise.",
        "Nobody has shown that gradients cannot be inverted.",
        "Users were told epsilon = 1.0 by mistake.",
        "The first version of this document stated epsilon = 1.0.",
        "An epsilon = 10 is considered weak.",
    ],
)
def test_what_others_or_other_days_or_other_data_say_is_not_asserted(sentence: str) -> None:
    assert all(claim.hedged for claim in extract_claims(sentence))
