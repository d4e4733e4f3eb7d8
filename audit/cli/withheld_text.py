"""Which evidence is withheld, as commands tell it."""

from collections.abc import Iterator, Sequence

SHOWN = 5


def first_of(paths: Sequence[str]) -> Iterator[str]:
    """Yield the first paths, and how many more there are."""
    yield from paths[:SHOWN]
    if len(paths) > SHOWN:
        yield f"and {len(paths) - SHOWN} more"
