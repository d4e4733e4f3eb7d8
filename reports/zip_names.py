"""What the members of a zip may be called: as the files of a bundle are, and so that no file system bends the name."""

import re
from collections.abc import Sequence

from reports.errors import BundleError

MAX_NAME = 1024
"""Bytes of a name."""
MAX_DEPTH = 8
"""Parts of a name; a bundle needs three."""
_PART = re.compile(rb"(?!\.\.?(?:/|$))[^\x00-\x1f\x7f-\xff/\\:*?\"<>|]+")
_HINT = "Pack the folder again: cd BUNDLE && zip -r ../bundle.zip ."


def require_names(names: Sequence[bytes]) -> None:
    r"""Refuse (`zip.member`) names that could mean another place, or two members one place, to any reader.

    Relative, in printable ASCII, with slashes between the parts and none of `\ : * ? " < > |`; no part is `.` or `..`,
    or ends in a dot or a blank. Two names that differ in case alone count as one, a name is a file or a folder.
    """
    seen: set[bytes] = set()
    files: set[bytes] = set()
    for name in names:
        said = repr(name[:100].decode("ascii", "backslashreplace"))
        place = name.removesuffix(b"/")
        parts = place.split(b"/")
        short = len(name) <= MAX_NAME and len(parts) <= MAX_DEPTH
        if not (short and all(_PART.fullmatch(part) and part[-1:] not in b". " for part in parts)):
            raise BundleError("zip.member", f"the member {said} has a name that a bundle does not hold", _HINT)
        folded = place.lower()
        if folded in seen:
            raise BundleError("zip.member", f"the member {said} is there twice", _HINT)
        seen.add(folded)
        if not name.endswith(b"/"):
            files.add(folded)
    for folded in seen:
        above = folded
        while above:
            above = above.rpartition(b"/")[0]
            if above in files:
                said = repr(above[:100].decode("ascii"))
                raise BundleError("zip.member", f"the member {said} is a file and a folder", _HINT)
