import hashlib
import io
import zipfile
from datetime import date
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.documents import RESERVED_KINDS, Document, documents_of, load_document
from compliance.errors import DocumentError
from compliance.markup import Comment, Tag, Words, tokens
from reports.model import Artifact, System
from reports.system import Document as Declared
from tests.compliance.written_documents import W, bomb, docx, paragraph, pdf, zipped


def load(folder: Path, name: str, content: str | bytes) -> Document:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_document(path)


def refused(folder: Path, name: str, content: str | bytes) -> str:
    with pytest.raises(DocumentError) as caught:
        load(folder, name, content)
    assert name in caught.value.message
    assert caught.value.exit_code == 2
    return caught.value.code


def test_a_document_carries_the_digests_of_file_and_text(tmp_path: Path) -> None:
    found = load(tmp_path, "td.md", b"\xef\xbb\xbf# Title\r\nWords.\r\n")
    assert found.text == "# Title\nWords.\n"
    assert found.sha256 == hashlib.sha256(b"\xef\xbb\xbf# Title\r\nWords.\r\n").hexdigest()
    assert found.text_sha256 == hashlib.sha256(b"# Title\nWords.\n").hexdigest()
    assert (found.media_type, found.classification, found.path) == ("text/markdown", "confidential", "td.md")
    assert load(tmp_path, "td.txt", "# No heading").sections[0].title == ""
    for encoding, mark in (("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")):
        assert load(tmp_path, "td.txt", mark + "größer".encode(encoding)).text == "größer"
        assert refused(tmp_path, "td.txt", "größer".encode(encoding)) == "document.encoding"  # without its mark


def test_markdown_stays_as_it_is_but_for_what_nobody_sees(tmp_path: Path) -> None:
    source = (
        "intro <!-- one -->\n# First #\n[//]: # (two)\n[//]: two and a half\n[note]: <> (three)\n[1]: https://example.org\n"
        "```html\n<!-- shown --> # none\n```\n`<b>` and a < b, <b>bold</b> <span hidden>four</span>\n## Second\n"
        "<div style='color: #FFF'>five</div> ![x](y.png) `<!--` <img alt='six and seven'>"
    )
    found = load(tmp_path, "td.md", source)
    assert [one.text.strip(" ()") for one in found.concealed] == [
        "one",
        "two",
        "two and a half",
        "three",
        "four",
        "five",
        "six and seven",
    ]
    assert [(one.title, one.level) for one in found.sections] == [("", 0), ("First", 1), ("Second", 2)]
    for shown in ("<!-- shown -->", "`<b>`", "a < b, bold", "https://example.org", "`<!--`"):
        assert shown in found.text
    for gone in ("four", "five", "<b>bold"):
        assert gone not in found.text
    assert found.not_read == 2


def test_sections_lie_side_by_side_and_cover_the_text(tmp_path: Path) -> None:
    for name, source in {
        "a.md": "x\n# A\ny\n### B\n\n## C",
        "b.html": "<p>x<h1>A</h1>y<h3>B</h3><h2>C</h2>",
        "c.docx": docx(paragraph("x") + paragraph("A", "Titel") + paragraph("B", "berschrift2") + paragraph("y")),
    }.items():
        found = load(tmp_path, name, source)
        assert "".join(found.text[one.start : one.end] for one in found.sections) == found.text
        for one in found.sections[1:]:
            assert found.text[one.start : one.end].lstrip("# ").startswith(one.title)


def test_html_reads_as_a_browser_shows_it(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "td.html",
        "<!doctype html><title>T</title><style>p{}</style><template>n</template><body><h1>One &amp;\n two</h1>"
        "<p>a <b>b</b>c<br>d"
        "<ul><li>e<li>f</ul><table><tr><th>g<td>h</tr><tr><td>i<td>j</table><script>k()</script><pre>l\n  m</pre>",
    )
    assert found.text == "T\n\nOne & two\n\na bc\nd\n\ne\nf\n\ng | h\ni | j\n\nl\n  m"
    assert found.concealed == ()
    pictures = "<p>words<img src=a.png><svg></svg><iframe></iframe><video></video>"
    assert (found.not_read, load(tmp_path, "td.html", pictures).not_read) == (0, 4)


@pytest.mark.parametrize(
    "element",
    [
        "<p hidden>", "<p aria-hidden=true>", "<p style='display:none'>", "<p style='visibility: hidden'>",
        "<p style='opacity:0.0'>", "<p style='font-size:0px'>", "<p style='color:white'>", "<p style='COLOR:#ffffff'>",
        "<p style='color: rgb(255, 255, 255)'>", "<p style='color:transparent'>", "<p style='color:rgba(0,0,0,0)'>",
        "<p style='color:#123;background:#123'>", "<p style='display:none !important'>", "<font color=white><p>",
        "<div hidden><p>",
    ],
)  # fmt: skip
def test_hidden_elements_are_concealed_and_not_quotable(tmp_path: Path, element: str) -> None:
    found = load(tmp_path, "td.html", f"<p>seen</p>{element}words that nobody sees</p></div></font><p>end")
    assert "nobody" not in found.text
    assert [(one.kind, one.text) for one in found.concealed] == [("hidden", "words that nobody sees")]
    assert "concealed" not in {flag.kind for flag in found.flags()}  # 19 letters
    assert found.text.startswith("seen")


@pytest.mark.parametrize(
    "element",
    [
        "<p>", "<p aria-hidden=false>", "<p style='color:#fff;background-color:#000'>", "<p style='opacity:0.5'>",
        "<p style='font-size:10px'>", "<p style='color:#123'>", "<p style='display:block'>", "<p class=hidden>",
    ],
)  # fmt: skip
def test_what_a_browser_shows_is_not_concealed(tmp_path: Path, element: str) -> None:
    found = load(tmp_path, "td.html", f"{element}words that anybody sees</p>")
    assert found.text == "words that anybody sees"
    assert found.concealed == ()


def test_what_never_ends_is_concealed_up_to_the_end(tmp_path: Path) -> None:
    for tail in ("<!-- swallowed", "<a href='swallowed", "<span hidden>swallowed"):
        found = load(tmp_path, "td.html", f"<p>seen {tail}")
        assert found.text.strip() == "seen"
        assert "swallowed" in found.concealed[0].text


@given(
    st.lists(st.sampled_from(["<", ">", "a", " ", "'", '"', "=", "/", "<!--", "-->", "<p>", "&lt;", "<script>", "x"]))
)
def test_any_markup_ends_and_no_letter_is_made_up(parts: list[str]) -> None:
    text = "".join(parts)
    said = "".join(token.text if isinstance(token, Words | Comment) else token.name for token in tokens(text))
    assert said.count("x") <= text.count("x")
    assert all(isinstance(token, Tag | Words | Comment) for token in tokens(text))


@pytest.mark.parametrize(
    "piece", ["<a ", "<!--", "<a x='", "<a x=1 ", "</a ", "<div>", "</p>", "<script>", "&", "`", "<", "[a]: # "]
)
def test_hostile_markup_takes_linear_time(tmp_path: Path, piece: str) -> None:
    """html.parser of Python 3.11 needs minutes for the first of them."""
    for name in ("td.html", "td.md"):
        load(tmp_path, name, piece * (50_000 // len(piece)))


def test_docx_is_read_in_order_with_what_it_conceals(tmp_path: Path) -> None:
    table = (
        "<w:tbl>"
        + "".join(
            f"<w:tr><w:tc>{paragraph(a)}</w:tc><w:tc>{paragraph(b)}</w:tc></w:tr>" for a, b in (("a", "b"), ("c", "d"))
        )
        + "</w:tbl>"
    )
    body = (
        paragraph("Title", "Titel")
        + paragraph("First &amp; last.")
        + paragraph("Part", "berschrift2")
        + table
        + paragraph("vanished words", run="<w:vanish/>")
        + paragraph("white words", run='<w:color w:val="FFFFFF"/>')
        + paragraph("styled away", "Ghost")
        + paragraph("also away", run='<w:rStyle w:val="Ghost"/>')
        + paragraph("on black", run='<w:color w:val="FFFFFF"/><w:shd w:fill="000000"/>')
        + paragraph("shown", run='<w:vanish w:val="false"/>')
        + "<w:p><w:del><w:r><w:delText>deleted</w:delText></w:r></w:del>"
        + "<w:ins><w:r><w:t>inserted</w:t></w:r></w:ins></w:p>"
        + "<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r></w:p>"
    )
    comments = f'<w:comments xmlns:w="{W}">{paragraph("a remark")}</w:comments>'
    found = load(tmp_path, "td.docx", docx(body, word__comments_xml=comments, word__media__image1_png=b"png"))
    assert found.text.split("\n") == [
        "Title", "", "First & last.", "", "Part", "", "a | b", "c | d", "", "on black", "", "shown", "", "inserted", "",
        "a b", "c",
    ]  # fmt: skip
    assert [(one.kind, one.text) for one in found.concealed] == [
        ("hidden", "vanished words"), ("hidden", "white words"),
        ("hidden", "styled away"), ("hidden", "also away"), ("comment", "a remark"),
    ]  # fmt: skip
    assert [(one.title, one.level) for one in found.sections] == [("Title", 1), ("Part", 2)]
    assert found.not_read == 1


def test_notes_are_read_and_a_fallback_is_not_read_twice(tmp_path: Path) -> None:
    box = (
        '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><mc:Choice>'
        f"{paragraph('once')}</mc:Choice><mc:Fallback>{paragraph('once')}</mc:Fallback></mc:AlternateContent>"
    )
    notes = f'<w:footnotes xmlns:w="{W}">{paragraph("a note")}</w:footnotes>'
    found = load(tmp_path, "td.docx", docx(box, word__footnotes_xml=notes))
    assert found.text == "once\n\na note"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no zip", "no zip archive"),
        (zipped({"word/other.xml": "<a/>"}), "no word/document.xml"),
        (zipped({"word/document.xml": "<a>"}), "no sound XML"),
        (docx("", word__vbaProject_bin=b"macro"), "macro"),
        (docx("", word__media__x_bin=bomb(30_000_000)), "100 times its size"),
        (zipped({"word/document.xml": bomb(3_000_000)}), "100 times its size"),
        (zipped({"word/document.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}), "document type"),
        (zipped({"word/document.xml": '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><a/>'.encode("utf-16")}),
         "document type"),
    ],
    ids=["no-zip", "no-body", "no-xml", "macro", "bomb-beside", "bomb", "entity", "doctype-utf-16"],
)  # fmt: skip
def test_an_archive_that_is_no_plain_docx_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    assert refused(tmp_path, "td.docx", content) == "document.archive"
    with pytest.raises(DocumentError, match=why):
        load_document(tmp_path / "td.docx")


def test_an_archive_that_unpacks_to_more_than_64_mebibytes_is_refused(tmp_path: Path) -> None:
    large = docx(paragraph("x"), noise_bin=Random(7).randbytes(1 << 20), zeros_bin=bytes(64 << 20))
    assert len(large) * 100 > 65 << 20  # so that its size is what stops it
    assert refused(tmp_path, "td.docx", large) == "document.archive"
    with pytest.raises(DocumentError, match="more than 64 MiB"):
        load_document(tmp_path / "td.docx")


def test_an_archive_may_have_2000_members_and_no_more(tmp_path: Path) -> None:
    least = docx(paragraph("words"))
    with zipfile.ZipFile(io.BytesIO(least)) as archive:
        filling = {f"word/{number}_bin": b"" for number in range(2000 - len(archive.namelist()))}
    assert load(tmp_path, "td.docx", docx(paragraph("words"), **filling)).text == "words"
    assert refused(tmp_path, "td.docx", docx(paragraph("words"), **filling, one_more_bin=b"")) == "document.archive"


def test_an_encrypted_archive_is_told_as_such(tmp_path: Path) -> None:
    data = bytearray(docx(paragraph("words")))
    assert load(tmp_path, "td.docx", bytes(data)).text == "words"
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # local and central headers (APPNOTE 4.3.7, 4.3.12)
        data[data.index(mark) + flags] |= 1
    assert refused(tmp_path, "td.docx", bytes(data)) == "document.encrypted"


def test_a_zip_that_lies_about_its_size_is_stopped_while_streaming(tmp_path: Path) -> None:
    data = bytearray(zipped({"word/document.xml": bomb(3_000_000)}))
    real, said = (3_000_007).to_bytes(4, "little"), (7).to_bytes(4, "little")
    lying = bytes(data).replace(real, said)
    assert lying != bytes(data)
    assert refused(tmp_path, "td.docx", lying) == "document.archive"


def test_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    found = load(tmp_path, "td.pdf", pdf("First page", "", "Third page"))
    assert found.text == "First page\n\nThird page"
    assert [found.text[start : start + 5] for start in found.pages] == ["First", "Third", "Third"]
    assert found.not_read == 1
    assert any("Invisible" in limit or "invisible" in limit for limit in found.limitations)


def test_what_is_no_readable_pdf_is_refused(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    writer = pypdf.PdfWriter()
    writer.add_blank_page(72, 72)
    writer.encrypt("secret", algorithm="RC4-128")
    with (tmp_path / "locked.pdf").open("wb") as file:
        writer.write(file)
    assert refused(tmp_path, "td.pdf", (tmp_path / "locked.pdf").read_bytes()) == "document.encrypted"
    assert refused(tmp_path, "td.pdf", pdf("", "")) == "document.no_text"
    assert refused(tmp_path, "td.pdf", b"no pdf") == "document.broken"
    assert refused(tmp_path, "td.pdf", b"") == "document.broken"


def test_pdf_without_the_extra_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pypdf", None)
    assert refused(tmp_path, "td.pdf", pdf("text")) == "extra.missing"


def test_a_document_may_have_20_mebibytes_and_no_byte_more(tmp_path: Path) -> None:
    largest = b"<p>words</p>".ljust(20 << 20)
    assert load(tmp_path, "td.html", largest).text == "words"
    (tmp_path / "more.html").write_bytes(largest + b" ")
    with pytest.raises(DocumentError, match="larger than 20 MiB") as caught:
        load_document(tmp_path / "more.html")
    assert caught.value.code == "document.too_large"


def test_bad_input_is_refused_with_its_code(tmp_path: Path) -> None:
    assert refused(tmp_path, "td.md", b"caf\xe9") == "document.encoding"
    assert refused(tmp_path, "td.html", b"\xff\xfea") == "document.encoding"
    assert refused(tmp_path, "td.txt", b"a" * 2_000_001) == "document.too_large"
    assert refused(tmp_path, "td.doc", b"a") == "document.format"
    for path in (tmp_path / "absent.md", tmp_path):
        with pytest.raises(DocumentError, match=r"td|absent|regular|format|reader"):
            load_document(path)


def test_an_empty_document_is_no_error_and_says_so(tmp_path: Path) -> None:
    for name, content in {"a.md": b"", "b.html": b"<p> </p>", "c.docx": docx(""), "d.txt": b" \n"}.items():
        found = load(tmp_path, name, content)
        assert found.is_empty
        assert "document.empty" in found.limitations[0]
        assert found.flags() == ()
    assert not load(tmp_path, "e.md", "x").is_empty


def test_files_of_ours_are_no_documents(tmp_path: Path) -> None:
    def declared(path: str, kind: str) -> Declared:
        (tmp_path / path).write_text("words", encoding="utf-8")
        artifact = Artifact(path=path, sha256="0" * 64, size=1, kind="documents")
        return Declared(path=artifact, kind=kind, classification="public")

    listed = [declared(f"{kind}.json", kind) for kind in sorted(RESERVED_KINDS)]
    system = System(
        name="ward",
        version="1",
        source=Artifact(path="system.toml", sha256="0" * 64, size=1, kind="system"),
        documents=(declared("a.md", "technical-documentation"), *listed, declared("b.txt", "anything")),
        placed_on_market=date(2027, 1, 1),
    )
    assert [(one.path, one.classification) for one in documents_of(system, tmp_path)] == [
        ("a.md", "public"), ("b.txt", "public"),
    ]  # fmt: skip
