"""`fedaudit keygen` and `fedaudit sign`."""

from pathlib import Path

import click

from audit.cli.answer import Answer, command
from audit.cli.passphrase import passphrase_from, private_key
from audit.cli.written import require_place, write_whole
from reports.bundle import Bundle, add_signature, read_bundle
from reports.errors import KeyFileError
from reports.keyfile import read_public_key, write_key_pair
from reports.keys import PublicKey, generate
from reports.signing import attach_timestamp, query_for, read_reply

PATH = click.Path(path_type=Path)


@command("keygen")
@click.option("-o", "--output", "path", required=True, type=PATH, help="The private key; the public one gets '.pub'.")
@click.option("--algorithm", type=click.Choice(["ecdsa-p256", "ed25519"]), default="ecdsa-p256", show_default=True)
@click.option("--passphrase-file", type=PATH, help="First line: the passphrase, 12 characters or more.")
@click.option("--no-passphrase", is_flag=True, help="Write the key unencrypted; whoever reads the file can sign.")
def keygen(path: Path, algorithm: str, passphrase_file: Path | None, no_passphrase: bool) -> Answer:
    """Make a signing key: PKCS #8, encrypted, readable by its owner alone, never overwritten."""
    if no_passphrase and passphrase_file:
        raise click.UsageError("--no-passphrase and --passphrase-file exclude each other")
    key = generate("ed25519" if algorithm == "ed25519" else "ecdsa-p256")
    passphrase = None if no_passphrase else passphrase_from(passphrase_file, confirm=True)()
    files = write_key_pair(path, key, passphrase)
    fields = {
        "private_key": str(files.private),
        "public_key": str(files.public),
        "keyid": key.keyid,
        "algorithm": key.algorithm,
        "encrypted": passphrase is not None,
    }
    kept = "encrypted" if passphrase is not None else "NOT encrypted"
    text = f"private key {files.private} ({kept}; keep it)\npublic key  {files.public} (give it to verifiers)"
    return Answer(text=f"{text}\nkey id      {key.keyid}", fields=fields)


@command("sign")
@click.argument("bundle", type=PATH)
@click.option("--key", "key_path", required=True, type=PATH, help="The private key; the public one does for a reply.")
@click.option("--role", required=True, type=click.Choice(["auditor", "provider"]), help="A hint; trust files decide.")
@click.option("--passphrase-file", type=PATH, help="First line: the key's passphrase.")
@click.option("--timestamp-query", "query", type=PATH, help="Write what to send to a time-stamping authority here.")
@click.option("--timestamp", "reply", type=PATH, help="Attach this reply of an authority to the key's signature.")
def sign(
    bundle: Path, key_path: Path, role: str, passphrase_file: Path | None, query: Path | None, reply: Path | None
) -> Answer:
    """Sign or countersign BUNDLE, over the same bytes as everybody else.

    Signing twice with one key replaces its signature. The renderings in the bundle are written anew, as they name the
    signers.

    To have a signature time-stamped (RFC 3161): sign with --timestamp-query, send the query to an authority, and attach
    its reply with --timestamp. A key that signed before does not sign again for either.
    """
    from reports.renderings import write_standard_renderings

    if query and reply:
        raise click.UsageError("--timestamp-query comes before the authority's answer, --timestamp after it")
    if query:
        require_place(query, bundle)
    there = read_bundle(bundle)
    if reply:
        public, signed = _attached(bundle, key_path, passphrase_file, reply)
    else:
        key = private_key(key_path, passphrase_from(passphrase_file))
        keep = query is not None and there.envelope.signed_by(key.public)
        public, signed = key.public, there if keep else add_signature(bundle, key)
    if query:
        write_whole(query, query_for(signed, public))
    if signed is not there:
        write_standard_renderings(bundle)
    return _answer(signed, public, role, query)


def _attached(bundle: Path, key_path: Path, passphrase_file: Path | None, reply: Path) -> tuple[PublicKey, Bundle]:
    try:
        public = read_public_key(key_path)
    except KeyFileError as error:
        if error.code != "key.private":
            raise
        public = private_key(key_path, passphrase_from(passphrase_file)).public
    return public, attach_timestamp(bundle, public, read_reply(reply))


def _answer(signed: Bundle, public: PublicKey, role: str, query: Path | None) -> Answer:
    own = signed.envelope.signatures_of(public)
    keyids = [signature.keyid for signature in signed.envelope.signatures]
    stamped = any(signature.timestamp is not None for signature in own)
    fields = {
        "report_sha256": signed.statement.sha256,
        "keyid": public.keyid,
        "signatures": keyids,
        "timestamp_query": None if query is None else str(query),
        "stamped": stamped,
    }
    lines = [
        f"signed report {signed.statement.sha256[:12]} as {role} with key {public.keyid[:16]} ({len(keyids)} in all)"
    ]
    if query:
        lines.append(f"query  {query}: send it to a time-stamping authority, attach the reply with --timestamp")
    if stamped:
        lines.append("a time-stamp is attached; it counts where a trust file lists its authority")
    return Answer(text="\n".join(lines), fields=fields)
