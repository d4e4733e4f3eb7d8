"""Nothing leaves for a host that was not named: every spelling, every consent, every address."""

import ipaddress
import socket
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import EgressRefused
from compliance.llm.egress import Target, check_egress, read_url, refuse_cloud_model

REMOTE = "https://llm.example.org/v1"


def judged(url: str, addresses: Sequence[str] = ("127.0.0.1",), **more: object) -> Target:
    """Judge an address whose name leads to `addresses`; by default nothing remote is allowed."""
    given: dict[str, object] = {"allowed": (), "consent": (), "classification": "public", "maximum": "internal", **more}
    return check_egress(url, resolve=lambda _host, _port: addresses, **given)  # type: ignore[arg-type]


def refusal(url: str, *addresses: str, **more: object) -> str:
    with pytest.raises(EgressRefused) as refused:
        judged(url, addresses or ("127.0.0.1",), **more)
    assert refused.value.code == "egress.refused"
    assert refused.value.exit_code == 2
    assert refused.value.hint
    return refused.value.message


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://127.0.0.1:8080/v1", "127.0.0.1:8080"),
        ("HTTP://127.0.0.1", "127.0.0.1:80"),
        ("https://127.5.6.7/", "127.5.6.7:443"),
        ("http://[::1]:11434/v1/", "[::1]:11434"),
        ("http://LocalHost:1/a/b-c_d~e.f", "localhost:1"),
    ],
)
def test_this_machine_needs_no_consent(url: str, authority: str) -> None:
    target = judged(url, classification="confidential", maximum="public")
    assert target.authority == authority


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "0x7f.1", "0x7f000001", "127.1", "127.0.1", "0177.0.0.1", "127.0.0.01", "127.0.0.1.", "0.0.0.0",
        "0", "0x", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[::01]", "[::1%25lo]", "[::1%lo]",
        "[::]", "[fe80::1]", "[fe80::1%25eth0]", "169.254.169.254", "169.254.1.1", "localhost.", "1.2.3", "1.2.3.4.5",
        "256.0.0.1", "127.0.0.1.nip.io.", "１２７.0.0.1", "127。0。0。1", "ⓛocalhost", "local_host", "-a.example",
        "a..b", "", "[", "[]", "[::1", "::1", "%6c%6f%63%61%6c%68%6f%73%74", "a" * 64 + ".org",
        "127.0.0.1\\@evil.example",
    ],
)  # fmt: skip
def test_odd_spellings_of_hosts_are_refused_before_any_name_is_resolved(host: str) -> None:
    def nobody(_host: str, _port: int) -> Sequence[str]:
        pytest.fail("a name was resolved")

    for scheme in ("http", "https"):
        with pytest.raises(EgressRefused):
            check_egress(
                f"{scheme}://{host}:8080/v1",
                allowed=(),
                consent=(),
                classification="public",
                maximum="confidential",
                resolve=nobody,
            )


@pytest.mark.parametrize(
    "url",
    [
        "http://user@127.0.0.1/", "http://user:pass@127.0.0.1/", "http://127.0.0.1@evil.example/", "http://127.0.0.1/?a=1",
        "http://127.0.0.1/#a", "http://127.0.0.1/v1?", "unix:///run/llm.sock", "http+unix://%2Frun%2Fllm.sock/v1",
        "ftp://127.0.0.1/", "file:///etc/passwd", "127.0.0.1:8080", "//127.0.0.1", "http:/127.0.0.1", "http://",
        "http://127.0.0.1:0/", "http://127.0.0.1:65536/", "http://127.0.0.1:80:80/", "http://127.0.0.1:/",
        "http://127.0.0.1:+80/", "http://127.0.0.1/a b", "http://127.0.0.1/\n", " http://127.0.0.1/",
        "http://127.0.0.1\t/", "http://127.0.0.1/../x", "http://127.0.0.1/%2e%2e/x", "http://127.0.0.1//x",
        "http:\\\\127.0.0.1\\v1", "http://127.0.0.1/é", "",
    ],
)  # fmt: skip
def test_whatever_is_no_plain_address_is_refused(url: str) -> None:
    refusal(url)


def test_a_password_in_an_address_is_not_shown() -> None:
    for url in ("https://u:hunter2@h.example/", "https://h.example/?key=hunter2", "https://h.example/#hunter2"):
        assert "hunter2" not in refusal(url)


def test_localhost_must_lead_to_this_machine_alone() -> None:
    assert judged("http://localhost:8080", ("127.0.0.1", "::1", "127.0.0.1")).addresses == ("127.0.0.1", "::1")
    for other in ("10.0.0.1", "8.8.8.8", "::ffff:127.0.0.1", "fe80::1%eth0", "0.0.0.0"):
        assert "not this machine" in refusal("http://localhost:8080", "127.0.0.1", other)
    with pytest.raises(EgressRefused, match="no address"):
        judged("http://localhost:8080", ())


def test_a_remote_host_needs_the_file_the_command_line_and_https() -> None:
    both = {"allowed": ("llm.example.org",), "consent": ("llm.example.org",)}
    assert judged(REMOTE, ("93.184.215.14",), **both).addresses == ("93.184.215.14",)
    assert "does not allow it" in refusal(REMOTE, "93.184.215.14", consent=both["consent"])
    assert "does not consent" in refusal(REMOTE, "93.184.215.14", allowed=both["allowed"])
    assert "without encryption" in refusal("http://llm.example.org/v1", "93.184.215.14", **both)


@pytest.mark.parametrize(
    ("named", "url", "allowed"),
    [
        ("llm.example.org", "https://llm.example.org:8443/v1", False),
        ("llm.example.org:8443", "https://llm.example.org:8443/v1", True),
        ("llm.example.org:443", "https://llm.example.org/v1", True),
        ("LLM.example.org", "https://llm.EXAMPLE.org/v1", True),
        ("example.org", REMOTE, False),
        ("*.example.org", REMOTE, False),
        ("llm.example.org.evil.example", REMOTE, False),
        ("llm.example.or", REMOTE, False),
        ("[2606:2800:21f::1]", "https://[2606:2800:21f::1]/v1", True),
        ("93.184.215.14", "https://93.184.215.14/v1", True),
    ],
)
def test_a_host_is_named_exactly(named: str, url: str, allowed: bool) -> None:
    both = {"allowed": (named,), "consent": (named,)}
    if allowed:
        judged(url, ("93.184.215.14",), **both)
    else:
        refusal(url, "93.184.215.14", **both)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1", "fec0::1",
        "ff02::1", "::ffff:93.184.215.14", "::93.184.215.14", "64:ff9b::5db8:d70e", "64:ff9b:1::1", "2002:5db8:d70e::1",
        "2001:0:4136:e378::1", "2001:db8::1", "fe80::1%eth0", "not an address",
    ],
)  # fmt: skip
def test_a_remote_name_must_lead_to_public_addresses_alone(address: str) -> None:
    both = {"allowed": ("llm.example.org",), "consent": ("llm.example.org",)}
    refusal(REMOTE, address, **both)
    refusal(REMOTE, "93.184.215.14", address, **both)  # one bad address among good ones is one too many


@pytest.mark.parametrize("classification", ["public", "internal", "confidential"])
@pytest.mark.parametrize("maximum", ["public", "internal", "confidential"])
def test_a_document_above_the_allowed_class_stays(classification: str, maximum: str) -> None:
    order = ["public", "internal", "confidential"]
    more = {"allowed": ("llm.example.org",), "consent": ("llm.example.org",)}
    asked = {**more, "classification": classification, "maximum": maximum}
    if order.index(classification) <= order.index(maximum):
        judged(REMOTE, ("93.184.215.14",), **asked)
    else:
        assert classification in refusal(REMOTE, "93.184.215.14", **asked)
    refusal(REMOTE, "93.184.215.14", **more, classification="restricted", maximum="confidential")


def test_a_local_endpoint_that_forwards_to_a_cloud_is_refused() -> None:
    local, remote = read_url("http://127.0.0.1:11434/v1"), read_url(REMOTE)
    for model in ("gpt-oss:120b-cloud", "Cloud", "x/cloud:y"):
        with pytest.raises(EgressRefused, match="cloud"):
            refuse_cloud_model(local, model)
        refuse_cloud_model(remote, model)  # that host was named, and consented to
    for model in ("cloudy", "mcloud", "llama3"):
        refuse_cloud_model(local, model)


def test_a_name_that_cannot_be_resolved_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    with pytest.raises(EgressRefused, match=r"cannot be resolved.*not known"):
        check_egress("http://localhost:1", allowed=(), consent=(), classification="public", maximum="public")


@given(
    st.text(max_size=40), st.sampled_from(["", "http://", "https://", "http://127.0.0.1", "http://[", "https://a.b:"])
)
def test_no_text_is_read_but_as_one_plain_host(text: str, before: str) -> None:
    try:
        written = read_url(before + text)
    except EgressRefused:
        return
    again = read_url(f"{written.scheme}://{written.authority}{written.path}")
    assert again == written  # one spelling
    assert written.host.isascii()
    assert written.host == written.host.lower()


@given(st.integers(0, 2**32 - 1))
def test_only_127_slash_8_is_local_among_four_numbers(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    assert read_url(f"http://{address}:1").local == (int(address) >> 24 == 127)
