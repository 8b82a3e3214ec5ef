"""What a demo's data folder remembers, so that a second run is the same demo: its dates and its sources' keys."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path

from services.runtime.errors import Fatal

__all__ = ["DAYS", "State", "load_state", "save_state"]

DAYS = 14
_FILE = "demo.json"


@dataclass(frozen=True)
class State:
    """`today` is the day of the folder's first run. `keys`: source -> ingest key, for live traffic."""

    today: date
    own_logs: bool  # the folder was made for the user's logs; the made-up ones do not go into it
    keys: Mapping[str, str] = field(default_factory=dict)
    looked: bool = False  # one person's activity was looked up, once
    own_days: tuple[str, str] | None = None  # first and last closed day of the user's own logs

    @property
    def first_day(self) -> date:
        return self.today - timedelta(days=DAYS)

    @property
    def release_days(self) -> tuple[str, str] | None:
        """First and last day of the release; None when no day of the user's logs was closed."""
        return self.own_days if self.own_logs else (str(self.first_day), str(self.last_day))

    @property
    def last_day(self) -> date:
        """Last day that the demo closes: yesterday, or today when the logs are the user's."""
        return self.today if self.own_logs else self.today - timedelta(days=1)


def load_state(data: Path, today: date, own_logs: bool) -> State:
    """The folder's state, made on its first run. Raises `Fatal` when it was made for the other kind of logs."""
    try:
        stored = json.loads((data / _FILE).read_text("utf-8"))
    except FileNotFoundError:
        state = State(today=today, own_logs=own_logs)
        save_state(data, state)
        return state
    own_days = tuple(stored["own_days"]) if stored["own_days"] else None
    state = State(**{**stored, "today": date.fromisoformat(stored["today"]), "own_days": own_days})
    if state.own_logs != own_logs:
        kind = "your own logs" if state.own_logs else "made-up logs"
        raise Fatal(f"{data} holds a demo of {kind}; name another folder with --data, or remove it.")
    return state


def save_state(data: Path, state: State) -> None:
    """Whole or not at all, readable by its owner alone: it holds keys."""
    beside = data / f".{_FILE}"
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file, default=str)
    beside.rename(data / _FILE)
