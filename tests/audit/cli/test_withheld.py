"""Evidence that was withheld, and a bundle in a zip: what each command says of the one, and makes of the other."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from audit.cli.main import run
from audit.cli.withheld_text import SHOWN, first_of
from compliance.given_findings import read_findings
from tests.audit.cli.gate_desk import NOW, POLICY, Desk

DENY = POLICY + 'withheld = "deny"\n'


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.bundle()
    return made


def piece(desk: Desk, text: bytes) -> Path:
    """The file of the evidence with this content."""
    [found] = [p for p in (desk.folder / "bundle/evidence").rglob("*") if p.is_file() and p.read_bytes() == text]
    return found


def zipped(desk: Desk, name: str = "bundle") -> str:
    target = desk.folder / f"{name}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted((desk.folder / name).rglob("*")):
            file.write(path, path.relative_to(desk.folder / name))
    return str(target)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    """What a command answers to machines."""
    capsys.readouterr()
    code = run([*words, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, dict)
    return code, document


def verifying(desk: Desk, bundle: str) -> list[str]:
    trust, model = str(desk.folder / "trust.toml"), str(desk.folder / "model.bin")
    return ["verify", bundle, "--trust", trust, "--subject", model, "--now", NOW]


def judging(desk: Desk, bundle: str) -> list[str]:
    return ["gate", bundle, "--policy", str(desk.folder / "policy.toml"), *verifying(desk, bundle)[2:]]


# --- withheld -------------------------------------------------------------------------------------------------------


def test_every_command_says_which_evidence_is_withheld(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    bundle, path = str(desk.folder / "bundle"), piece(desk, b"digits")
    place = path.relative_to(desk.folder / "bundle/evidence").as_posix()
    for words in (verifying(desk, bundle), judging(desk, bundle), ["show", bundle]):
        assert run(words) == 0
        assert place not in capsys.readouterr().out  # nothing is, so nothing is said to be
    path.unlink()
    for words in (verifying(desk, bundle), judging(desk, bundle)):
        assert run(words) == 0
        assert place in capsys.readouterr().out
    assert run(["show", bundle]) == 0
    assert "1 piece of evidence may be withheld" in capsys.readouterr().out
    _, verified = told(capsys, *verifying(desk, bundle))
    assert verified["evidence"] == {"files": 1, "bytes": 4, "withheld": [place]}
    for words in (judging(desk, bundle), ["show", bundle]):
        assert told(capsys, *words)[1]["withheld"] == [place]


def test_the_report_for_people_says_it_too(desk: Desk) -> None:
    target = desk.folder / "page"
    for kind in ("html", "md"):
        command = ["render", str(desk.folder / "bundle"), "--format", kind, "-o", str(target)]
        assert run(command) == 0
        assert "1 of 2 pieces of evidence withheld" not in target.read_text(encoding="utf-8")
        path = piece(desk, b"digits")
        path.unlink()
        assert run(command) == 0
        assert "1 of 2 pieces of evidence withheld" in target.read_text(encoding="utf-8")
        path.write_bytes(b"digits")


def test_a_policy_and_a_trust_file_may_each_deny_it(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = str(desk.folder / "bundle")
    desk.write_policy(DENY)
    assert told(capsys, *judging(desk, bundle))[0] == 0  # the twin: with all of its evidence it passes
    piece(desk, b"digits").unlink()
    code, document = told(capsys, *judging(desk, bundle))
    assert (code, document["result"]) == (3, "incomplete")
    trust = (desk.folder / "trust.toml").read_text().replace('"allow"', '"deny"')
    desk.write("trust.toml", trust)
    for words in (verifying(desk, bundle), judging(desk, bundle)):
        code, document = told(capsys, *words)
        assert (code, document["code"]) == (4, "evidence.withheld")


def test_what_may_not_be_withheld_is_missing(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    piece(desk, b"plot").unlink()
    for words in (verifying(desk, str(desk.folder / "bundle")), judging(desk, str(desk.folder / "bundle"))):
        code, document = told(capsys, *words)
        assert (code, document["code"]) == (4, "evidence.missing")


def test_a_long_list_is_cut_and_counted() -> None:
    assert list(first_of([])) == []
    assert list(first_of(["a"] * SHOWN)) == ["a"] * SHOWN
    assert list(first_of(["a"] * (SHOWN + 2))) == [*["a"] * SHOWN, "and 2 more"]


# --- in a zip -------------------------------------------------------------------------------------------------------


def test_every_command_reads_a_zip_as_it_reads_the_folder(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.bundle(name="old", day=1)
    piece(desk, b"digits").unlink()
    folder, old = str(desk.folder / "bundle"), str(desk.folder / "old")
    packed, packed_old = zipped(desk), zipped(desk, "old")
    shutil.move(folder, desk.folder / "away")  # so that nothing but the zip can be read
    alone = {}
    for words in (
        verifying(desk, packed),
        judging(desk, packed),
        ["gate", packed, "--policy", str(desk.folder / "policy.toml"), "--unsigned", "--now", NOW],
        [*judging(desk, packed), "--baseline", packed_old],
        ["show", packed],
        ["show", packed, "attack.linear"],
        ["compare", packed_old, packed],
    ):
        code, alone[tuple(words)] = told(capsys, *words)
        assert code == 0, words
    shutil.move(desk.folder / "away", folder)
    for asked, document in alone.items():
        names = {packed: folder, packed_old: old}
        assert told(capsys, *(names.get(word, word) for word in asked))[1] == document


def test_who_wants_the_findings_or_the_system_alone_may_give_a_zip_too(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, packed = str(desk.folder / "bundle"), zipped(desk)
    assert read_findings(Path(packed)) == read_findings(Path(folder))
    of_folder, of_zip = (told(capsys, "compliance", "annex-iv", bundle) for bundle in (folder, packed))
    assert of_folder == of_zip
    assert of_zip[0] == 0


@pytest.mark.parametrize("kind", ["html", "md", "json", "sarif", "junit", "oscal"])
def test_a_zip_renders_as_its_folder_does(desk: Desk, kind: str) -> None:
    one, two = desk.folder / "one", desk.folder / "two"
    assert run(["render", zipped(desk), "--format", kind, "-o", str(one)]) == 0
    assert run(["render", str(desk.folder / "bundle"), "--format", kind, "-o", str(two)]) == 0
    assert one.read_bytes() == two.read_bytes()


def test_nothing_is_written_over_a_zip_or_into_it(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    packed = zipped(desk)
    before = Path(packed).read_bytes()
    code, document = told(capsys, "render", packed, "--format", "html", "-o", packed)
    assert (code, document["code"]) == (2, "render.inside_bundle")
    code, document = told(capsys, *judging(desk, packed), "--sarif", packed)
    assert (code, document["code"]) == (2, "render.inside_bundle")
    keygen = ["keygen", "-o", str(desk.folder / "key"), "--no-passphrase"]
    assert told(capsys, *keygen)[0] == 0
    code, document = told(capsys, "sign", packed, "--key", str(desk.folder / "key"), "--role", "auditor")
    assert (code, document["code"]) == (2, "bundle.zip")
    assert Path(packed).read_bytes() == before


def test_a_broken_zip_is_refused_by_each_command_with_its_own_exit_code(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = zipped(desk)
    assert told(capsys, *verifying(desk, packed))[0] == 0  # the untouched twin
    Path(packed).write_bytes(b"#!" + Path(packed).read_bytes())
    unsigned = ["gate", packed, "--policy", str(desk.folder / "policy.toml"), "--unsigned"]
    for words, expected in (
        (verifying(desk, packed), 4),
        (judging(desk, packed), 4),
        (unsigned, 3),
        (["show", packed], 3),
        (["compare", packed, packed], 3),
        (["render", packed, "--format", "html", "-o", str(desk.folder / "page")], 3),
    ):
        code, document = told(capsys, *words)
        assert (code, str(document["code"])[:4]) == (expected, "zip."), words
