"""The law as it ships: three JSON files beside this package, each read once.

They are data of ours, held to their schema by the tests; so they are read without the suspicion that files from outside
deserve. Each names its source by ELI address and the day it was checked.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

CONTROLS = "controls.json"
STRUCTURE = "law_structure.json"
TIMELINE = "timeline.json"
_FOLDER = Path(__file__).parent / "law"  # importlib.resources would cost every listing 20 ms


@cache
def law_file(name: str) -> dict[str, Any]:
    """Return one file of `compliance/law`: `CONTROLS`, `STRUCTURE` or `TIMELINE`. Not to be changed by who gets it."""
    found: dict[str, Any] = json.loads((_FOLDER / name).read_bytes())
    return found
