"""`fedaudit keygen` and `fedaudit sign`."""

from pathlib import Path

import click

from audit.cli.answer import Answer, command
from audit.cli.passphrase import passphrase_from, private_key
from reports.keyfile import write_key_pair
from reports.keys import generate

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
@click.option("--key", "key_path", required=True, type=PATH, help="The private key.")
@click.option("--role", required=True, type=click.Choice(["auditor", "provider"]), help="A hint; trust files decide.")
@click.option("--passphrase-file", type=PATH, help="First line: the key's passphrase.")
def sign(bundle: Path, key_path: Path, role: str, passphrase_file: Path | None) -> Answer:
    """Sign or countersign BUNDLE, over the same bytes as everybody else.

    Signing twice with one key replaces its signature. The renderings in the bundle are written anew, as they name the
    signers.
    """
    from reports.bundle import add_signature
    from reports.renderings import write_standard_renderings

    key = private_key(key_path, passphrase_from(passphrase_file))
    signed = add_signature(bundle, key)
    write_standard_renderings(bundle)
    keyids = [signature.keyid for signature in signed.envelope.signatures]
    fields = {"report_sha256": signed.statement.sha256, "keyid": key.keyid, "signatures": keyids}
    text = f"signed report {signed.statement.sha256[:12]} as {role} with key {key.keyid[:16]} ({len(keyids)} in all)"
    return Answer(text=text, fields=fields)
