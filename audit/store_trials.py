"""What a run store keeps of the trials of one check (`reports.trials.TrialStore`)."""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit.store_binding import PACKAGES
from audit.store_codec import Codec, NotStorableError, UnreadableError
from audit.store_database import StoreDatabase, TrialRow
from audit.store_errors import writing
from audit.store_parameters import ParameterDigests
from reports.canonical import canonical_json
from reports.digests import file_sha256
from reports.durable import write_whole

log = logging.getLogger(__name__)
_FETCH = "SELECT result FROM trial WHERE check_id = ? AND purpose = ? AND trial = ?"
_KEYS = "SELECT trial, key FROM trial WHERE check_id = ? AND purpose = ?"


@dataclass(frozen=True)
class CheckTrials:
    """The trials of one check."""

    database: StoreDatabase
    """Where they are kept."""
    results: Path
    """Where large arrays are kept, each an npz under its digest."""
    check_id: str
    """The check."""
    bound: str
    """Digest of all that the run is bound to."""
    _calls: Counter[str] = field(default_factory=Counter)

    def opened(self, purpose: str, fn: Callable[..., object], trials: Sequence[object]) -> "CallTrials":
        """Return what is kept of these trials; a purpose that is named again is another one to the store."""
        self._calls[purpose] += 1
        place = purpose if self._calls[purpose] == 1 else f"{purpose} ({self._calls[purpose]})"
        digests, name = ParameterDigests(), f"{fn.__module__}:{fn.__qualname__}"
        keys = [self._key(place, position, [name, digests.digest(trial)]) for position, trial in enumerate(trials)]
        written: Mapping[int, str] = dict(self.database.rows(_KEYS, (self.check_id, place)))
        finished = frozenset(position for position, key in enumerate(keys) if written.get(position) == key)
        codec = Codec({*PACKAGES, fn.__module__.partition(".")[0]}, self._keep, self._fetch)
        return CallTrials(self, place, keys, finished, codec)

    def _key(self, purpose: str, position: int, parameters: list[str]) -> str:
        return hashlib.sha256(canonical_json([self.check_id, purpose, position, parameters, self.bound])).hexdigest()

    def _keep(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        place = self._place(sha256)
        if not place.exists():
            with writing(self.results.parent):
                place.parent.mkdir(parents=True, exist_ok=True)
                write_whole(place, data)
        return sha256

    def _fetch(self, sha256: str) -> Path:
        place = self._place(sha256)
        if not sha256.isalnum() or file_sha256(place) != sha256:
            raise UnreadableError(f"{place.name} is not what was kept")
        return place

    def _place(self, sha256: str) -> Path:
        return self.results / sha256[:2] / f"{sha256}.npz"


@dataclass(frozen=True)
class CallTrials:
    """The trials of one call of `Context.map` (`reports.trials.KeptTrials`)."""

    of_check: CheckTrials
    """Its check."""
    purpose: str
    """As the store has it."""
    keys: Sequence[str]
    """Of each trial."""
    finished: Collection[int]
    """Positions of those that are kept."""
    codec: Codec
    """Writes and reads results."""

    def recall(self, position: int) -> Any:
        """Return a kept result.

        Raises:
            LookupError: it cannot be read after all.
        """
        where = (self.of_check.check_id, self.purpose, position)
        for (data,) in self.of_check.database.rows(_FETCH, where):
            try:
                return self.codec.decode(data)
            except UnreadableError as error:
                log.debug("%s: %s", self.purpose, error)
        raise LookupError(where)

    def keep(self, position: int, result: Any, seconds: float) -> Any:
        """Keep a result, and return it as `recall` would; a result that cannot be kept is returned as it is."""
        try:
            data = self.codec.encode(result)
            again = self.codec.decode(data)
        except (NotStorableError, UnreadableError) as error:
            log.debug("%s: %s; a resumed run computes it again", self.purpose, error)
            return result
        row = TrialRow(position, self.keys[position], data, seconds)
        self.of_check.database.write_trial(self.of_check.check_id, self.purpose, row)
        return again
