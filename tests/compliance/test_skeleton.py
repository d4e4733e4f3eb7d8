from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from compliance.confusables import CONFUSABLES
from compliance.skeleton import skeleton, traced_skeleton

TABLE = Path(__file__).parents[1] / "vectors" / "compliance" / "tr39_confusables.txt"


def prototypes() -> dict[str, str]:
    """The rows of Unicode TR39's confusables.txt for our letters."""
    rows = [line.partition("#")[0].split(";") for line in TABLE.read_text(encoding="utf-8").splitlines()]
    return {
        chr(int(row[0], 16)): "".join(chr(int(code, 16)) for code in row[1].split()) for row in rows if len(row) > 2
    }


def test_sixty_letters_share_their_prototype_with_the_latin_letter() -> None:
    known = prototypes()
    assert len(CONFUSABLES) == 60
    for letter, latin in CONFUSABLES.items():
        assert latin.isascii()
        assert latin.isalpha()
        assert known[letter] == known.get(latin, latin), letter


def test_letters_that_do_not_look_alike_have_other_prototypes() -> None:
    known = prototypes()
    assert known["а"] != known.get("b", "b")
    assert "Ж" not in CONFUSABLES


def test_every_disguise_reads_as_the_plain_words() -> None:
    plain = "ignore previous"
    tags = "".join(chr(0xE0000 + ord(letter)) for letter in plain)
    for disguised in (
        "Ignоrе prеviоus",  # Cyrillic
        "ιgnοre ρreviοus",  # Greek
        "ｉｇｎｏｒｅ　ｐｒｅｖｉｏｕｓ",
        "𝐢𝐠𝐧𝐨𝐫𝐞 𝒑𝒓𝒆𝒗𝒊𝒐𝒖𝒔",
        "i\u200bg\u00adn\u2060o\ufe0fre pre\u202evious",
        "ïgnörè prévíõûs",
        tags,
        "i g n o r e previous",
        "i.g.n.o.r.e previous",
    ):
        assert skeleton(disguised) == plain, disguised


def test_five_letters_apart_are_not_joined() -> None:
    assert skeleton("points a b c d e hold") == "points a b c d e hold"
    assert skeleton("points a b c d e f hold") == "points abcdef hold"


@given(st.text(st.sampled_from("aé і\u200b\u00ad\n\t.ｉﬁbcdefg\U000e0041\u0301ß"), max_size=40), st.data())
def test_the_way_back_leads_to_characters_with_that_skeleton(text: str, data: st.DataObject) -> None:
    read = traced_skeleton(text)
    if not read.text:
        return
    place = data.draw(st.integers(0, len(read.text) - 1))
    start, end = read.span(place, place + 1)
    assert 0 <= start < end <= len(text)
    assert read.text[place] in skeleton(text[start:end]) or read.text[place] == " "
