"""Who really sent the records of a round: signatures, and whose keys they verify under.

Three kinds of key are told apart. A *vouched* key comes from outside the transcript's lines (a file given by the
verifier, or `identities.json` beside them) and says who somebody is. A key in the header alone says only that one
and the same party signed: whoever writes a transcript can put any key there. No key: nobody knows.
"""

from collections.abc import Mapping

from secagg.chain import Record
from secagg.keys import is_signed_by
from secagg.ledger import Ledger
from secagg.records import Header


class Signatures:
    """Checks the records of one round as they come, and notes what does not hold.

    Args:
        header: of the round.
        session: SHA-256 of its line; every signature is over it, so clients sign the header as well.
        vouched: Client to Ed25519 public key from outside; None where nobody vouches.
        required: whether a record without a signature is a violation.
        ledger: where violations are noted.
    """

    def __init__(
        self, header: Header, session: bytes, vouched: Mapping[str, bytes] | None, *, required: bool, ledger: Ledger
    ) -> None:
        self._header, self._session, self._vouched = header, session, vouched
        self._required, self._ledger = required, ledger
        self._verified = self._others = 0
        for client, key in header.clients.items():
            if vouched is None or key is None or vouched.get(client) == key:
                continue
            detail = "the header names another key than the vouched one" if client in vouched else "nobody vouches"
            self._ledger.add("unknown-identity", Header.TYPE, client, f"line 1: {detail} for the identity of {client}")

    @property
    def complete(self) -> bool:
        """Whether there are clients' records and every one is signed by a vouched key."""
        return self._verified > 0 and not self._others

    def belongs(self, record: Record) -> bool:
        """Tell whether a client's record is of the cohort; its signature is judged on the way."""
        message, phase = record.message, record.type
        client = message.sender
        if client not in self._header.clients:
            self._others += 1
            self._ledger.add("unknown-identity", phase, client, f"{record.where}: {client} is not in the header")
            return False
        key = (self._header.clients if self._vouched is None else self._vouched).get(client)
        signature = message.signature
        if signature is None:
            self._others += 1
            if self._required:
                self._ledger.add("bad-signature", phase, client, f"{record.where}: the record is not signed")
        elif key is None:
            self._others += 1
            detail = f"{record.where}: signed, but no key of {client} is known"
            self._ledger.add("unknown-identity", phase, client, detail)
        elif not is_signed_by(key, signature, message.signed_bytes(self._session)):
            self._others += 1
            detail = f"{record.where}: the signature is not that of {client} over this record and session"
            self._ledger.add("bad-signature", phase, client, detail)
        elif self._vouched is None:
            self._others += 1
        else:
            self._verified += 1
        return True
