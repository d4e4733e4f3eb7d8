"""Whether all clients were told one list of survivors: what each signed, against the list on record."""

from secagg.course import Course
from secagg.ledger import Ledger
from secagg.recorded_graph import RecordedGraph
from secagg.records import Consistency, Header, Unmask


class Views:
    """Keeps what clients signed of the survivors and judges it at the end."""

    def __init__(self, course: Course, graph: RecordedGraph, ledger: Ledger) -> None:
        self._course, self._graph, self._ledger = course, graph, ledger
        self._seen: dict[str, Consistency] = {}

    def take(self, client: str, body: Consistency) -> None:
        """Take what a client signed."""
        self._seen[client] = body

    def judge(self, *, required: bool) -> None:
        """Note other views, and answers without agreement where the consistency check is `required`.

        A client may answer unmask once `threshold` of its neighbours signed the list it was told itself.
        """
        survivors = self._course.survivors
        if survivors is None:
            return
        told = Consistency.of(tuple(survivors))
        agreed = {client for client, body in self._seen.items() if body == told}
        for client in sorted(self._seen.keys() - agreed):
            self._add("split-view", Consistency.TYPE, client, f"{client} was told other survivors than are on record")
        if not required:
            return
        if not self._course.header.consistency_check:
            detail = "the header leaves the consistency check out, which a malicious server makes necessary"
            self._add("missing-consistency", Header.TYPE, None, f"line 1: {detail}")
            return
        threshold = self._course.header.threshold
        for client in sorted(self._course.senders[Unmask.TYPE]):
            if client not in self._seen:
                detail = f"{client} answered unmask without a consistency record of its own"
                self._add("missing-consistency", Unmask.TYPE, client, detail)
            elif (count := len(self._graph.among(client, agreed))) < threshold:
                detail = f"{client} answered unmask when {count} neighbours agreed, and {threshold} are needed"
                self._add("missing-consistency", Unmask.TYPE, client, detail)

    def _add(self, code: str, phase: str, client: str | None, detail: str) -> None:
        self._ledger.add(code, phase, client, detail)
