"""Where the systems of the zoo are built: a folder, and random numbers that flaw and twin share.

The same seed gives flaw and twin the same data, the same weights and the same order; what differs is what the builder
makes of `planted`.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from audit.digits import Digits, deal
from audit.manifest import load_system
from audit.request import Request
from audit.system_folder import SystemFolder
from reports.model import Effort, System
from unlearning.federated.training import seeded

Sealed = Callable[[Path], None]
"""Does something to a bundle that was sealed."""
Asked = Callable[[Request], Request]
"""Says how an audit is asked for, beside system, seed, effort and clock."""


@dataclass
class Workshop:
    """A folder in the making, and where its random numbers come from.

    Entered by whoever plays a case; builders write through `files` and end with `finish`.
    """

    files: SystemFolder
    """Takes tensors, records, texts and updates."""
    seed: int
    """Of this case; the same for flaw and twin."""
    effort: Effort = Effort.SMOKE
    """Of the audit, for builders whose sizes depend on it."""
    after_sealing: list[Sealed] = field(default_factory=list)
    """What happens to the sealed bundle before it is verified; that it is sealed at all is asked for by `seals`."""
    seals: bool = False
    """Whether the audit is to be signed and sealed, and verified afterwards."""
    subjects: tuple[str, ...] = ()
    """Files, relative to the folder, that the verifier has in hand."""
    asked: Asked | None = None
    """What the audit is asked for besides; None where a system is all that it takes."""
    root: int = 0
    """Seed of the whole self-test: of what is dear to make and the same for several flaws."""

    def rng(self, purpose: str) -> np.random.Generator:
        """Return numpy's generator of one purpose."""
        digest = hashlib.sha256(f"{self.seed}/numpy/{purpose}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:8], "big"))

    def generator(self, purpose: str) -> torch.Generator:
        """Return torch's generator of one purpose."""
        return seeded(self.seed)(purpose)

    def digits(self, examples: int, clients: int, rounds: int) -> Digits:
        """Return handwritten digits, dealt out; see `audit.digits.deal`."""
        return deal(examples, clients, rounds, seeded(self.seed))

    def sealed(self, *subjects: str, then: Sealed | None = None) -> None:
        """Have the audit signed, sealed and verified with these files in hand, after `then` has had the bundle."""
        self.seals, self.subjects = True, subjects
        if then is not None:
            self.after_sealing.append(then)

    def finish(self, tables: Mapping[str, object], *, digests: bool = True) -> System:
        """Write `system.toml` from its tables, with the updates and digests of what was written; return the system."""
        folder = self.files.describe(tables, digests=digests)
        return load_system(folder / "system.toml").system
