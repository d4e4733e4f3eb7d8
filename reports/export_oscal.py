"""Names of ours as OSCAL writes them (NIST, Open Security Controls Assessment Language 1.2.1)."""

_SPELLED = ((":", "-"), ("-(", "-"), ("(", "."), (")", ""), ("#", "-"))


def oscal_token(control_id: str) -> str:
    """Return the id of a control as an OSCAL token: `EU-AIA:15(5)#confidentiality` is `eu-aia-15.5-confidentiality`."""
    token = control_id.lower()
    for written, spelled in _SPELLED:
        token = token.replace(written, spelled)
    return token
