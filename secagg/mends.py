"""What to change when a recorded round shows a violation: one sentence a code, for whoever runs the system."""

from collections.abc import Mapping

MENDS: Mapping[str, str] = {
    "chain-broken": "Ask for the record as it was written: lines were changed, removed or put in since.",
    "malformed-record": "Have the recorder write records as the format says, byte for byte.",
    "blob-digest": "Ask for the vector that the record names: this file holds other bytes.",
    "bad-signature": "Have every client sign its records with its own identity key.",
    "unknown-identity": "Give the identity keys that somebody vouches for, with --identities, for every client.",
    "phase-order": "Let the server run each step once and in order, one record a client.",
    "set-inclusion": "Let each list hold exactly the clients whose records arrived in time.",
    "graph-mismatch": "Deal shares to the neighbours that the beacon gives, all of them and no others.",
    "duplicate-key": "Have every client make two fresh keys a round, and refuse keys that stand twice.",
    "key-reuse": "Make keys and seeds anew in every round; a session is never joined twice.",
    "split-view": "Tell all clients one list of survivors, and let them refuse any other.",
    "missing-consistency": "Turn the consistency check on; clients answer when threshold neighbours agree.",
    "double-reveal": "Let clients answer unmask once, with one kind of share an owner.",
    "unrequested-share": "Let clients disclose what the survivor list asks for, and nothing beside it.",
    "share-digest": "Find out why that client disclosed another share than it was dealt.",
    "commitment-mismatch": "Exclude that client: it dealt shares of another seed than it committed to.",
    "key-mismatch": "Exclude that client: it dealt shares of another key than it advertised.",
    "insufficient-shares": "Record all answers to unmask; a sum cannot be had of fewer than threshold.",
    "model-mismatch": "Send one model to all clients, and let them compare its digest with the header's.",
    "overflow": "Take fewer quantization levels, a smaller max_weight, or modulus_bits = 64.",
    "bad-length": "Send and keep vectors of the length and ring that the header names.",
    "aggregate-mismatch": "Announce the sum that follows from the survivors' masked inputs.",
    "plaintext-metadata": "Keep what concerns one client under the mask: weights, metrics and losses.",
}
