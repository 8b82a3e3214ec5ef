"""The ways a step can fail, and what the runtime does with each."""

from __future__ import annotations

__all__ = ["Fatal", "Poison", "Transient", "VoileError", "WrongUse"]


class VoileError(Exception):
    """Base of every error Voile raises on purpose.

    The text is shown to people: one clear sentence that says what to do next, and never a value
    from an event, an account or a key.
    """


class Transient(VoileError):
    """A dependency is away (broker, disk, database): wait, then retry the same work."""

    def __init__(self, message: str, *, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Poison(VoileError):
    """This input can never be processed: dead-letter it with `reason` and go on with the rest."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason


class Fatal(VoileError):
    """The process cannot go on (wrong setting, key, permission, locked folder): exit 2 with this text."""


class WrongUse(VoileError):
    """What a person or a program asked for cannot be: a command exits 2 with this text, a service goes on.

    `values` are what the `{names}` of `text` stand for: so a page can say it in its reader's language.
    """

    def __init__(self, text: str = "", /, **values: object) -> None:
        super().__init__(text.format(**values) if values else text)
        self.text, self.values = text, values
