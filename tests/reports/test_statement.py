"""The statement: what a report is about, and that the signed bytes alone are what is read."""

import json
from collections.abc import Callable

import pytest

from reports.digests import file_sha256
from reports.errors import BundleError, ReportError
from reports.model import Artifact, ErasureRequest, Federation, Finding, Model, Report, SecureAggregation, System
from reports.statement import Subject, SubjectDigest, declared_subjects, make_statement, parse_statement, subject_digest
from tests.reports.conformance.world import sound_report


def artifact(path: str, digit: str) -> Artifact:
    return Artifact(path=path, sha256=digit * 64, size=1, kind="file")


SOURCE = artifact("system.toml", "0")


def names(system: System) -> list[str]:
    return [subject.name for subject in declared_subjects(system)]


def test_without_anything_else_the_report_is_about_the_system_file() -> None:
    assert names(System(name="ward", version="1", source=SOURCE)) == ["system.toml"]


def test_a_report_is_about_the_model_what_unlearning_left_and_the_transcripts() -> None:
    system = System(
        name="ward",
        version="1",
        source=SOURCE,
        model=Model(checkpoint=artifact("model.bin", "1")),
        unlearning=(
            ErasureRequest(id="r1", kind="client", before=artifact("model.bin", "1"), after=artifact("after.bin", "2")),
            ErasureRequest(id="r2", kind="client"),
        ),
        federation=Federation(secure_aggregation=SecureAggregation(transcripts=(artifact("round-1", "3"),))),
    )
    assert names(system) == ["model.bin", "after.bin", "round-1"]


def test_a_model_that_is_also_what_unlearning_left_is_one_subject() -> None:
    model = artifact("model.bin", "1")
    request = ErasureRequest(id="r1", kind="client", after=model)
    system = System(name="ward", version="1", source=SOURCE, model=Model(checkpoint=model), unlearning=(request,))
    assert names(system) == ["model.bin"]


def test_a_statement_comes_back_from_its_bytes() -> None:
    report = sound_report("12" * 32)
    statement = make_statement(report, declared_subjects(report.system))
    assert parse_statement(statement.body) == statement
    assert json.loads(statement.body)["predicate"]["findings"][1]["remedy"] is None  # every field is there


def test_a_statement_about_nothing_is_not_made() -> None:
    with pytest.raises(ValueError, match="subject"):
        make_statement(sound_report("12" * 32), ())


def test_the_same_report_has_the_same_bytes_however_it_was_built(
    found: Callable[..., Finding], report: Callable[..., Report]
) -> None:
    one = report(found("a.b", "pass"), found("a.c", "fail"), packages={"numpy": "2", "click": "8"})
    other = report(found("a.c", "fail"), found("a.b", "pass"), packages={"click": "8", "numpy": "2"})
    subject = (Subject(name="model", digest=SubjectDigest(sha256="0" * 64)),)
    assert make_statement(one, subject).body == make_statement(other, subject).body


def test_every_byte_of_the_body_counts() -> None:
    body = make_statement(sound_report("12" * 32), declared_subjects(sound_report("12" * 32).system)).body
    ids = {parse_statement(body).sha256}
    for place in range(0, len(body), 7):
        changed = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        try:
            ids.add(parse_statement(changed).sha256)
        except ReportError:
            continue
    assert len(ids) > 1  # another digest in a field is another report; nothing else comes of it


def test_the_schema_error_names_the_field() -> None:
    body = make_statement(sound_report("12" * 32), declared_subjects(sound_report("12" * 32).system)).body
    with pytest.raises(BundleError, match=r"predicate\.findings\[0\]\.status"):
        parse_statement(body.replace(b'"status":"pass"', b'"status":"good"'))


def test_a_subject_s_digest_is_that_of_its_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("subject") / "model.bin"
    path.write_bytes(b"weights")
    assert subject_digest(path) == file_sha256(path)
