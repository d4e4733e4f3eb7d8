"""Who may be asked: every address is read before any socket is opened, and the connection is pinned to what was read.

    text ──read_url──▶ Written (spelling alone) ──check_egress──▶ Target (resolved once; consent, classification)

Local is `localhost` where every address of it is loopback, canonical `127.x.y.z`, or `[::1]`. All else is remote:
https, named in the judge file *and* on the command line, no document more confidential than allowed, every address
global. Other spellings of an address are refused as written, since resolvers accept what `ipaddress` does not
(`127.1`, `0x7f.1`, `2130706433`). Ranges: RFC 6890, RFC 6598 (CGNAT), RFC 6052 (NAT64), RFC 4291 (mapped, link-local).
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from compliance.errors import EgressRefused

__all__ = ["Target", "Written", "check_egress", "read_url", "refuse_cloud_model"]

CLASSIFICATIONS = ("public", "internal", "confidential")
_URL = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)?")
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(:(?P<port>[0-9]{1,5}))?")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_CLOUD = re.compile(r"(?<![a-z0-9])cloud(?![a-z0-9])")
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SAY_LOCAL = 'Write an address such as "http://127.0.0.1:8080/v1".'

Resolve = Callable[[str, int], Sequence[str]]
"""Gives every numeric address of a name and port."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Written:
    """An address as it was written, in one spelling; nothing was resolved."""

    scheme: str
    host: str
    """A name in lower case or a canonical number, IPv6 without its brackets."""
    port: int
    path: str
    """Without the last slash; may be empty."""

    @property
    def authority(self) -> str:
        """`host:port`; the port is always there."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def number(self) -> Address | None:
        """The host as an address, None where it is a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    @property
    def local(self) -> bool:
        """Whether it is written as an address of this machine."""
        number = self.number
        return self.host == "localhost" if number is None else number.is_loopback


@dataclass(frozen=True)
class Target:
    """Where requests may go."""

    written: Written
    addresses: tuple[str, ...] = field(default=())
    """The numeric addresses that the connection is pinned to; empty for a recording, which opens none."""

    @property
    def authority(self) -> str:
        """`host:port` for people and reports."""
        return self.written.authority

    @property
    def url(self) -> str:
        """The address in its one spelling."""
        return f"{self.written.scheme}://{self.authority}{self.written.path}"


def read_url(url: str) -> Written:
    """Return what an address says; pure.

    Raises:
        EgressRefused: `egress.refused`: no http(s), user-info, query, fragment, zone id, trailing dot, Unix socket, or
            an odd spelling of an address.
    """
    found = _URL.fullmatch(url)
    if found is None or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise _refused("base_url is no plain http or https address", _SAY_LOCAL)  # unshown: may hold a password
    scheme = found["scheme"].lower()
    if scheme not in _DEFAULT_PORTS:
        raise _refused(f"base_url has the scheme {scheme[:20]!r}; http and https are spoken", _SAY_LOCAL)
    if "@" in found["authority"]:
        raise _refused("base_url holds a user name or a password", "Take it out; name a key's variable in api_key_env.")
    parts = _AUTHORITY.fullmatch(found["authority"])
    port = int(parts["port"] or _DEFAULT_PORTS[scheme]) if parts else 0
    if parts is None or not 0 < port < 1 << 16:
        raise _refused("base_url has no sound host and port", _SAY_LOCAL)
    path = found["path"] or ""
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise _refused("base_url has an odd path", "Letters, digits, '.', '-', '_' and '~' between slashes are read.")
    return Written(scheme, _host(parts["host"].lower()), port, path.rstrip("/"))


def check_egress(
    url: str | Written,
    *,
    allowed: Collection[str],
    consent: Collection[str],
    classification: str,
    maximum: str,
    resolve: Resolve | None = None,
) -> Target:
    """Return where requests may go, its name resolved once; no socket to it is opened.

    Args:
        url: As written.
        allowed: Remote `host` or `host:port` that the judge file allows; without port the scheme's own is meant.
        consent: The same, from the command line.
        classification: The most confidential document that would be sent.
        maximum: The most confidential one that may leave.
        resolve: Gives the addresses of a name; the system's resolver where None.

    Raises:
        EgressRefused: `egress.refused`, with the reason.
    """
    written = read_url(url) if isinstance(url, str) else url
    if not written.local:
        _consented(written, allowed, consent)
        _classified(written, classification, maximum)
    if written.number is not None:
        addresses: tuple[str, ...] = (written.host,)
    else:
        addresses = tuple(dict.fromkeys((resolve or _system_addresses)(written.host, written.port)))
    for text in addresses:
        _judged(written, text)
    if not addresses:
        raise _refused(f"{written.host} has no address", "Check the name in base_url.")
    return Target(written, addresses)


def refuse_cloud_model(written: Written, model: str) -> None:
    """Raise where a local endpoint is asked for a model that it forwards to somebody's cloud.

    Raises:
        EgressRefused: `egress.refused`.
    """
    if written.local and _CLOUD.search(model.casefold()):
        raise _refused(
            f"the model {model[:80]!r} runs in a cloud although its endpoint is local",
            "Choose a model that runs on this machine, or name the remote host itself.",
        )


def _refused(message: str, hint: str) -> EgressRefused:
    return EgressRefused("egress.refused", message, hint)


def _host(host: str) -> str:
    if host.startswith("["):
        inner = host[1:-1]
        try:
            number = ipaddress.IPv6Address(inner)
        except ValueError:
            number = None
        if number is None or "%" in inner or str(number) != inner or number.ipv4_mapped is not None:
            raise _refused(f"base_url spells an IPv6 address oddly ({host[:60]!r})", "Write [::1], or a host's name.")
        return inner
    if _NUMBER.fullmatch(host.rpartition(".")[2]):  # whatever ends in a number is an address (WHATWG URL, host parsing)
        try:
            if str(ipaddress.IPv4Address(host)) == host:
                return host
        except ValueError:
            pass
        raise _refused(f"base_url spells an address oddly ({host[:60]!r})", "Write four decimal numbers: 127.0.0.1.")
    if host.endswith("."):
        raise _refused("base_url has a host with a trailing dot", "Remove the dot.")
    if not _NAME.fullmatch(host):
        raise _refused("base_url has no sound host", "Write a name in ASCII; an international one as xn--….")
    return host


def _named(written: Written, hosts: Collection[str]) -> bool:
    spoken = {written.authority}
    if written.port == _DEFAULT_PORTS[written.scheme]:
        spoken.add(written.authority.rpartition(":")[0])
    return not spoken.isdisjoint(host.lower() for host in hosts)


def _consented(written: Written, allowed: Collection[str], consent: Collection[str]) -> None:
    if written.scheme != "https":
        raise _refused(f"{written.authority} is remote and would be asked without encryption", "Use https.")
    name = written.authority.removesuffix(":443")
    if not _named(written, allowed):
        raise _refused(f"{name} is remote and the judge file does not allow it", f'Add allow_hosts = ["{name}"].')
    if not _named(written, consent):
        hint = f"Add --allow-remote-llm {name} (or FEDAUDIT_ALLOW_REMOTE_LLM) if documents may be sent there."
        raise _refused(f"{name} is remote and the command line does not consent to it", hint)


def _classified(written: Written, classification: str, maximum: str) -> None:
    if classification not in CLASSIFICATIONS or maximum not in CLASSIFICATIONS:
        raise _refused(
            f"{classification[:40]!r} or {maximum[:40]!r} is no classification", "Use public, internal or confidential."
        )
    if CLASSIFICATIONS.index(classification) > CLASSIFICATIONS.index(maximum):
        raise _refused(
            f"a document is {classification}, and at most {maximum} ones may leave for {written.authority}",
            "Use a local endpoint, leave the document out, or raise max_classification.",
        )


def _judged(written: Written, text: str) -> None:
    """Raise unless one numeric address is of the kind that was written."""
    try:
        number = ipaddress.ip_address(text)
    except ValueError:  # such as fe80::1%eth0
        raise _refused(
            f"{written.host} leads to {text[:60]!r}, which is no plain address", "Name another host."
        ) from None
    if written.local:
        if not number.is_loopback or getattr(number, "ipv4_mapped", None) is not None:
            raise _refused(f"{written.host} leads to {number}, which is not this machine", "Write 127.0.0.1.")
        return
    if not _public(number):
        hint = "Documents go to this machine or to a public address; name a host with one."
        raise _refused(f"{written.host} leads to {number}, which is no public address", hint)


def _public(number: Address) -> bool:
    """Tell whether an address is global and carries no other address inside."""
    special = number.is_loopback or number.is_link_local or number.is_multicast or number.is_unspecified
    if special or number.is_reserved or not number.is_global:
        return False
    if isinstance(number, ipaddress.IPv4Address):
        return True
    inside = number.ipv4_mapped or number.sixtofour or number.teredo
    return inside is None and not number.is_site_local and not any(number in network for network in _NAT64)


def _system_addresses(host: str, port: int) -> list[str]:
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError as error:
        raise _refused(f"{host} cannot be resolved ({error.strerror})", "Check the name in base_url.") from error
