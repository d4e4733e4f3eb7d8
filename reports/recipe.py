"""The third party's recipe: a bundle checked with `openssl` and `jq`, nothing of ours imported."""

from pathlib import Path

RECIPE = "verify.sh"
"""Its name below `render/`."""


def verify_script() -> bytes:
    """Return the script `verify.sh BUNDLE KEY.pub [N]` that each bundle carries in `render/`."""
    return (Path(__file__).parent / "templates" / RECIPE).read_bytes()
