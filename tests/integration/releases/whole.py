"""A package of all six measures, as a closed week leaves them: negative values, a missing day, and names that readers
have taken for something else."""

from __future__ import annotations

from pathlib import Path

from services.runtime.keys import FileKeyService
from services.runtime.minisign import RELEASE_KEY, public_key_file
from services.stats.releases import package
from services.stats.releases.catalogues import catalogues_of
from services.stats.releases.split import declared_split
from tests.unit.stats.releases.records import charge_day, new_records, store_day
from tests.unit.stats.releases.test_package import WEEK

ROUTES = (  # templates, and names that an application gave; in order
    "'single'", "+1", "/", '/"quoted"', "/a,b", "/it's/{id}", "/members/{id}", "/é", "1e3", "2026-11-01", "=2+2", "NA",
    "TRUE", "null", "users.show",
)  # fmt: skip
MISSING = WEEK.days[2]


def build_whole(folder: Path, out: str = "out") -> Path:
    """The package's folder; `folder`/voile.pub is the publisher's key, its records are kept for building it again."""
    records, keys = new_records(folder), FileKeyService(folder / "keys" / "statistics")
    catalogues = catalogues_of(declared_split(), ROUTES)
    for day in (day for day in WEEK.days if day != MISSING):
        if charge_day(records, "harbour", day):
            noisy = {name: [7 * n % 100 - 30 for n in range(len(c.keys))] for name, c in catalogues.items()}
            store_day(records, "harbour", day, noisy, ROUTES)
    (folder / "voile.pub").write_bytes(public_key_file(keys, RELEASE_KEY))
    built = package.build(records, keys, "harbour", WEEK, folder / out)[1]
    records.dispose()
    return built
