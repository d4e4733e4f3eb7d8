"""What all members of a panel together may spend: requests, prompt tokens, completion tokens.

A request is counted before it is sent, tokens when they are reported; the next request after the last token is not
sent. What is in flight then is answered, so tokens may go beyond their limit by at most what was in flight.
"""

from dataclasses import dataclass

from compliance.errors import BudgetSpent
from compliance.judge_file import BudgetLimits

__all__ = ["Budget", "Usage"]


@dataclass(frozen=True)
class Usage:
    """What was spent."""

    requests: int = 0
    """Retries not among them."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    retries: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.retries + other.retries,
        )


class Budget:
    """Limits, and how much of them is spent."""

    def __init__(self, limits: BudgetLimits | None = None) -> None:
        self._limits = limits or BudgetLimits()
        self._requests = self._prompt = self._completion = 0

    def check(self, requests: int = 1) -> None:
        """Raise where nothing is left for requests that are about to be sent; nothing is counted.

        Raises:
            BudgetSpent: `budget.spent`: nothing is left for them.
        """
        limits = self._limits
        for spent, most, what in (
            (self._requests + requests, limits.requests, "requests"),
            (self._prompt + 1, limits.prompt_tokens, "prompt_tokens"),
            (self._completion + 1, limits.completion_tokens, "completion_tokens"),
        ):
            if most is not None and spent > most:
                hint = f"Raise {what} under [budget], or ask less."
                raise BudgetSpent("budget.spent", f"the budget of {most} {what} is spent", hint)

    def take(self, requests: int = 1) -> None:
        """Count requests that are about to be sent.

        Raises:
            BudgetSpent: `budget.spent`: nothing is left for them.
        """
        self.check(requests)
        self._requests += requests

    def count(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Count the tokens of a reply."""
        self._prompt += prompt_tokens
        self._completion += completion_tokens
