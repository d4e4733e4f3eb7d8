"""Where a passphrase comes from: a file, the environment, or a prompt on a terminal; never a command-line word."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from reports.errors import KeyFileError
from reports.keyfile import read_private_key, readable_by_others
from reports.keys import PrivateKey

VARIABLE = "FEDAUDIT_KEY_PASSWORD"


def passphrase_from(file: Path | None, *, confirm: bool = False) -> Callable[[], bytes]:
    """Return the callable that fetches the passphrase when a key turns out to need one.

    Raises (when called):
        KeyFileError: `key.passphrase`, there is nowhere to get one.
    """

    def fetch() -> bytes:
        if file is not None:
            try:
                return file.read_bytes().splitlines()[0]
            except (OSError, IndexError) as error:
                raise KeyFileError("key.passphrase", f"{file}: holds no passphrase", "Write it on line one.") from error
        if (word := os.environ.get(VARIABLE)) is not None:
            return word.encode()
        if not sys.stdin.isatty():
            hint = f"Give --passphrase-file, or set {VARIABLE}."
            raise KeyFileError("key.passphrase", "the key needs a passphrase and there is no terminal to ask at", hint)
        asked: str = click.prompt("Passphrase of the key", hide_input=True, confirmation_prompt=confirm, err=True)
        return asked.encode()

    return fetch


def private_key(path: Path, passphrase: Callable[[], bytes]) -> PrivateKey:
    """Return the signing key at `path`; a file that others may read is warned of on stderr.

    Raises:
        KeyFileError: as `reports.keyfile.read_private_key`.
    """
    key = read_private_key(path, passphrase)
    if readable_by_others(path):
        click.echo(f"warning: {path} can be read by others; 'chmod 600 {path}' mends it", err=True)
    return key
