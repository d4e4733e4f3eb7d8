"""The catalogue as an OSCAL 1.2.1 catalog, for tools that read controls in that form (NIST, pages.nist.gov/OSCAL).

Deterministic: the same law gives the same document, with UUIDs of version 5 (RFC 9562 section 5.5) and the day on which
the law data were checked as its last change. The words are ours, not the law's, and the document says so.
"""

import uuid
from collections.abc import Iterable, Mapping

from compliance.catalogue import Catalogue, Control
from reports.export_oscal import oscal_token

OSCAL_VERSION = "1.2.1"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://fedaudit.example/oscal")
_PROPERTY_NAMESPACE = "urn:fedaudit:oscal"
_OWN_WORDS = "The duties are told in fedaudit's own words; the law itself is published at the addresses linked here."


def catalog(catalogue: Catalogue) -> dict[str, object]:
    """Return the duties of one version of the law as an OSCAL catalog, a group an article or annex."""
    places = dict.fromkeys(control.cited[0].whole for control in catalogue.controls)
    groups = [
        {
            "id": f"{oscal_token(str(place))}_grp",  # a whole article may be a control, and ids are told once
            "title": _title(place.instrument, place.path[0]),
            "controls": [_control(one) for one in catalogue.controls if one.cited[0].whole == place],
        }
        for place in places
    ]
    sources = _sources(catalogue)
    return {
        "catalog": {
            "uuid": str(uuid.uuid5(_NAMESPACE, f"catalog/{catalogue.version}")),
            "metadata": {
                "title": f"Duties of the EU AI Act ({catalogue.version}) and of the GDPR for a federated system",
                "last-modified": f"{catalogue.timeline['checked_on']}T00:00:00Z",
                "version": catalogue.version,
                "oscal-version": OSCAL_VERSION,
                "remarks": _OWN_WORDS,
            },
            "groups": groups,
            "back-matter": {"resources": sources},
        }
    }


def _control(control: Control) -> dict[str, object]:
    token = oscal_token(control.id)
    return {
        "id": token,
        "title": control.id,
        "props": list(_properties(control)),
        "parts": [{"id": f"{token}_smt", "name": "statement", "prose": control.text}],
    }


def _properties(control: Control) -> Iterable[Mapping[str, str]]:
    """Yield what OSCAL has no place for: whose duty it is, when it holds and what evidence can show."""
    single = {
        "label": control.id,
        "role": control.role,
        "rule": control.rule,
        "polarity": control.polarity,
        "ceiling": control.ceiling,
        "condition": control.condition,
    }
    for name, value in single.items():
        if value is not None:
            yield _property(name, value)
    yield from (_property("citation", citation) for citation in control.citations)
    yield from (_property("evidence-kind", kind) for kind in control.evidence_kinds)


def _property(name: str, value: str) -> Mapping[str, str]:
    return (
        {"name": name, "value": value} if name == "label" else {"name": name, "ns": _PROPERTY_NAMESPACE, "value": value}
    )


def _sources(catalogue: Catalogue) -> list[dict[str, object]]:
    addresses = [
        address for instrument in catalogue.timeline["eli"].values() for address in dict.fromkeys(instrument.values())
    ]
    return [
        {"uuid": str(uuid.uuid5(_NAMESPACE, address)), "title": address, "rlinks": [{"href": address}]}
        for address in addresses
    ]


def _title(instrument: str, head: str) -> str:
    law = {"EU-AIA": "AI Act", "GDPR": "GDPR"}[instrument]
    return f"{law}, Annex {head.removeprefix('annex-')}" if head.startswith("annex-") else f"{law}, Article {head}"
