"""What a method of unlearning must be given, as data: the planner reads it before anything is trained."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """What must be recorded, sent or kept for a method."""

    base: bool = True
    """The model before; a method that starts anew does without."""
    stored_globals: bool = False
    """Global models of earlier rounds, kept at the server."""
    stored_updates: bool = False
    """Single clients' updates of earlier rounds, kept at the server."""
    single_client_update: bool = False
    """The update of the forget client alone, while it forgets."""
    forget_client: bool = False
    """The forget client itself, once more."""
    unlabelled_data: bool = False
    """Public data, without labels."""
    whole_clients: bool = False
    """A request of whole clients: what it takes back is all that a client has ever sent."""

    @property
    def training(self) -> bool:
        """Whether a training must come first: for the model before, or for what was recorded of it."""
        return self.base or self.stored_globals or self.stored_updates
