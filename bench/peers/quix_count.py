"""The side of Quix Streams in P2, run by its own environment: JSON, one keyed hash a row, no store.

Prints how many events it counted, and the seconds from its first turn to its last event.
Run: python quix_count.py SERVERS TOPIC EVENTS
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import time
import uuid
from collections.abc import Mapping
from hashlib import blake2b

KEY = bytes(range(32))


def main(servers: str, topic: str, events: str) -> None:
    from quixstreams import Application  # type: ignore[import-not-found]  # only the peer's environment has it

    logging.disable(logging.CRITICAL)
    counted = 0

    def put_visitor(row: dict[str, object]) -> dict[str, object]:
        nonlocal counted
        counted += 1
        row["visitor"] = visitor(row)
        return row

    app = Application(broker_address=servers, consumer_group=f"bench-{uuid.uuid4().hex}", auto_offset_reset="earliest")
    rows = app.dataframe(app.topic(topic, value_deserializer="json"))
    rows.apply(put_visitor)
    wall, cpu = time.monotonic(), cpu_s()
    app.run(count=int(events))
    print(json.dumps({"count": counted, "wall_s": time.monotonic() - wall, "cpu_s": cpu_s() - cpu}))


def visitor(row: Mapping[str, object]) -> str:
    message = f"{row['tenant']}:{row['client_address']}:{row['user_agent']}".encode()
    return blake2b(message, key=KEY, digest_size=8).hexdigest()


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(*sys.argv[1:])
