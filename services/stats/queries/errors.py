"""What is said when something is asked that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from services.runtime.errors import WrongUse

__all__ = ["QueryError"]

_NAME_CHARACTERS_MAX = 60  # of a name that is compared with ours; the longest has 18


class QueryError(WrongUse):
    """What was asked does not exist. `field` names the place in the request; `choices` is what exists.

    What was asked is not repeated: it may be somebody's name, and senders log answers. `near` it is the name among
    `choices` that is meant, when one is alike.
    """

    def __init__(self, field: str, message: str, choices: Sequence[str] = (), near: str = "") -> None:
        alike = difflib.get_close_matches(near[:_NAME_CHARACTERS_MAX], choices, n=1) if near else []
        meant = f" Did you mean {alike[0]}?" if alike else ""
        listed = f" There is: {', '.join(choices)}." if choices else ""
        super().__init__(f"{field}: {message}{meant}{listed}")
        self.field, self.choices = field, list(choices)
