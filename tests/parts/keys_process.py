"""A worker's keyring in a process of its own: asks for the keys of many days at a word, tells what it got."""

from __future__ import annotations

import hashlib
import sys
from datetime import date, timedelta
from pathlib import Path

from services.runtime.database import open_records
from services.runtime.keys import KEY_BYTES, FileKeyService
from services.stats.days.states import Days
from services.stats.pseudonyms.keyring import Keyring

DAYS = 100
FIRST = date(2026, 1, 1)


class Careless(FileKeyService):
    """Makes what it does not see, whatever another has made meanwhile: what the real one must not do."""

    def get_or_create(self, name: str) -> bytes:
        mine = hashlib.blake2b(f"{id(self)} {sys.argv} {name}".encode(), digest_size=KEY_BYTES).digest()
        path = self._path(name)
        path.write_bytes(mine)
        path.chmod(0o600)
        return mine


def main(folder: Path, kind: str, who: str) -> None:  # `who` tells two careless processes apart
    keys = {"real": FileKeyService, "careless": Careless}[kind](folder / "keys")
    keyring = Keyring(keys, Days(open_records(f"sqlite:///{folder}/records.db")))
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(DAYS):
        key = keyring.key("club", FIRST + timedelta(days=number))
        print(hashlib.sha256(key).hexdigest() if key else "late", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
