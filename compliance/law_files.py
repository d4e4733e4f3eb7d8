"""The law as it ships: three JSON files beside this package, each read once.

They are data of ours, held to their schema by the tests; so they are read without the suspicion that files from outside
deserve. Each names its source by ELI address and the day it was checked.
"""

import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

CONTROLS = "controls.json"
STRUCTURE = "law_structure.json"
TIMELINE = "timeline.json"


@cache
def law_file(name: str) -> dict[str, Any]:
    """Return one file of `compliance/law`: `CONTROLS`, `STRUCTURE` or `TIMELINE`. Not to be changed by who gets it."""
    found: dict[str, Any] = json.loads(_bytes_of(name))
    return found


def law_sha256(name: str) -> str:
    """Return the SHA-256 of one file of `compliance/law`, 64 hexadecimal digits."""
    return hashlib.sha256(_bytes_of(name)).hexdigest()


def _bytes_of(name: str) -> bytes:
    return files("compliance").joinpath("law", name).read_bytes()
