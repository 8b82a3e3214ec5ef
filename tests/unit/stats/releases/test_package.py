"""A package is frozen, complete, and holds nothing that was not declared."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from services.runtime.errors import Fatal
from services.runtime.keys import FileKeyService
from services.stats.releases import egress, package
from services.stats.releases.contents import PLATFORM, not_drawn
from services.stats.releases.ledger import Scopes
from services.stats.releases.period import Period, declared, span
from services.stats.releases.tables import Table, frame_of
from tests.unit.stats.releases.records import EPSILON, FIRST, charge_day, closed_at, new_records, store_days

WEEK = Period(FIRST, FIRST + timedelta(days=6))
FILES = {
    "README.md", "SHA256SUMS", "SHA256SUMS.minisig", "daily.csv", "daily.parquet", "datapackage.json", "dcat.jsonld", "missing_days.csv",
    "missing_days.parquet", "privacy.json",
    "totals.csv", "totals.parquet", "visitors_by_referrer_class.csv", "visitors_by_referrer_class.parquet",
}  # fmt: skip


def built(tmp_path: Path, engine: sa.Engine, out: str = "out") -> tuple[package.Release, Path]:
    return package.build(engine, FileKeyService(tmp_path / "keys"), "harbour", WEEK, tmp_path / out)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_rebuild_gives_the_same_bytes(tmp_path: Path) -> None:
    """On another day, into another folder: times come from the ledger."""
    engine = new_records(tmp_path)
    store_days(engine, "harbour", WEEK.days)
    release, folder = built(tmp_path, engine)
    again, elsewhere = built(tmp_path, engine, "elsewhere")
    assert release == again
    assert folder.relative_to(tmp_path) == Path("out/harbour-use/2026.11.1")
    assert contents(folder) == contents(elsewhere)
    assert contents(folder).keys() == FILES
    assert len(package.releases(engine)) == 1


def test_nothing_tells_when_a_day_was_drawn(tmp_path: Path) -> None:
    """That depends on how long its closing took, and on whether it had a row at all: the same noise stored two days
    later, after days that came after it, is the same package with the same signature."""
    packages = []
    for name, late in (("soon", timedelta()), ("late", timedelta(days=2, microseconds=4711))):
        (tmp_path / name).mkdir()
        engine = new_records(tmp_path / name)
        store_days(engine, "harbour", [*WEEK.days, WEEK.last + timedelta(days=1)])
        stamp = (closed_at(WEEK.last) + late).isoformat()
        with engine.begin() as connection:
            change = sa.text("UPDATE release_days SET charged_at = :at, stored_at = :at WHERE day = :day")
            connection.execute(change, {"at": stamp, "day": WEEK.last.isoformat()})
        packages.append(contents(built(tmp_path, engine, f"out-{name}")[1]))
    assert packages[0] == packages[1]


def test_nothing_tells_whether_somebody_came_before_its_first_day(tmp_path: Path) -> None:
    """A day without a row is charged after the next one that has some: the package of that one is the same, whether
    the days before it were charged in their turn or after it."""
    before, of = WEEK.days[:6], Period(WEEK.last, WEEK.last)
    packages = []
    for name, late in (("somebody", timedelta()), ("nobody", timedelta(days=7))):
        (tmp_path / name).mkdir()
        engine = new_records(tmp_path / name)
        store_days(engine, "harbour", WEEK.days)
        with engine.begin() as connection:
            change = sa.text("UPDATE release_days SET charged_at = :at, stored_at = :at WHERE day = :day")
            for day in before[1:]:
                connection.execute(change, {"at": (closed_at(day) + late).isoformat(), "day": day.isoformat()})
        keys = FileKeyService(tmp_path / "keys")
        packages.append(contents(package.build(engine, keys, "harbour", of, tmp_path / f"out-{name}")[1]))
    assert packages[0] == packages[1]
    assert json.loads(packages[0]["privacy.json"])["budget"]["days_charged_at_most"] == len(WEEK.days)


def test_a_day_that_comes_later_makes_the_next_version(tmp_path: Path) -> None:
    """The version that was signed stays as it is."""
    engine = new_records(tmp_path)
    store_days(engine, "harbour", WEEK.days[:6])
    _, first = built(tmp_path, engine)
    before = contents(first)
    store_days(engine, "harbour", WEEK.days[6:])
    release, second = built(tmp_path, engine)
    assert (release.version, release.days) == ("2026.11.2", 7)
    assert contents(first) == before
    assert contents(second)["daily.csv"] != before["daily.csv"]


def test_totals_are_the_sums_of_the_days(tmp_path: Path) -> None:
    """CSV and Parquet alike."""
    engine = new_records(tmp_path)
    store_days(engine, "harbour", WEEK.days)
    store_days(engine, "other", WEEK.days, visitors=9_000)
    _, folder = built(tmp_path, engine)
    sums = {r["measure"]: (r["days"], r["value"]) for r in pl.read_parquet(folder / "totals.parquet").to_dicts()}
    assert sums == {"visitors": (7, 7 * 500 + 28), "page_views": (7, 7 * 2000 - 28)}
    assert pl.read_csv(folder / "daily.csv", try_parse_dates=True).equals(pl.read_parquet(folder / "daily.parquet"))


def test_a_route_is_summed_over_the_days_it_was_in_the_catalogue(tmp_path: Path) -> None:
    """A table that changes within the period: `days` says on how many days a route could be counted."""
    engine = new_records(tmp_path)
    store_days(engine, "harbour", WEEK.days[:3], routes=("/a", "/b"))
    store_days(engine, "harbour", WEEK.days[3:], routes=("/b", "/c"))
    _, folder = built(tmp_path, engine)
    rows = {r["route"]: (r["days"], r["value"]) for r in pl.read_csv(folder / "visitors_by_route.csv").to_dicts()}
    assert rows == {"/a": (3, 30), "/b": (7, 3 * 20 + 4 * 10), "/c": (4, 4 * 20)}


def test_the_platform_s_sums_are_of_who_opted_in(tmp_path: Path) -> None:
    """On the days on which they had; without routes, which mean something at one tenant alone; once drawn, no tenant's
    later choice changes a day."""
    engine = new_records(tmp_path)
    store_days(engine, "a", WEEK.days, visitors=100, routes=("/x",), scopes=Scopes(own=True, platform=True))
    store_days(engine, "b", WEEK.days[:6], visitors=1000, scopes=Scopes(platform=True))
    store_days(engine, "c", WEEK.days, visitors=9999)
    release, folder = package.build(engine, FileKeyService(tmp_path / "keys"), PLATFORM, WEEK, tmp_path / "out")
    assert (release.name, release.version, release.tenant) == ("platform", "2026.11.1", PLATFORM)
    told = json.loads((folder / "privacy.json").read_bytes())
    assert told["tenants"] == ["a", "b"]
    assert [(m["tenant"], m["day"]) for m in told["missing_days"]] == [("b", str(WEEK.last))]
    sums = {r["measure"]: (r["days"], r["value"]) for r in pl.read_csv(folder / "totals.csv").to_dicts()}
    assert sums["visitors"] == (13, 7 * 100 + 28 + 6 * 1000 + 21)
    assert not (folder / "visitors_by_route.csv").exists()
    with pytest.raises(Fatal, match="opted in"):
        package.build(engine, FileKeyService(tmp_path / "keys"), "b", WEEK, tmp_path / "out")


def test_a_withdrawn_release_is_not_built_again(tmp_path: Path) -> None:
    """Nor withdrawn twice; the list says why. Another period is another release."""
    engine = new_records(tmp_path)
    store_days(engine, "harbour", WEEK.days)
    release, _ = built(tmp_path, engine)
    at = closed_at(WEEK.last)
    withdrawn = package.withdraw(engine, release.name, release.version, "A source was counted twice", at)
    assert (withdrawn.withdrawn_at, withdrawn.withdrawn_reason) == (at.isoformat(), "A source was counted twice")
    assert package.releases(engine) == [withdrawn]
    with pytest.raises(Fatal, match="counted twice"):
        built(tmp_path, engine, "elsewhere")
    with pytest.raises(Fatal, match="withdrawn before"):
        package.withdraw(engine, release.name, release.version, "again", at)


def test_missing_days_are_listed_with_their_reason(tmp_path: Path) -> None:
    """One was charged and lost, one never drawn."""
    engine = new_records(tmp_path)
    store_days(engine, "harbour", WEEK.days[:5])
    charge_day(engine, "harbour", WEEK.days[5], at=closed_at(WEEK.days[4]))
    _, folder = built(tmp_path, engine)
    listed = json.loads((folder / "privacy.json").read_bytes())["missing_days"]
    assert [(entry["day"], entry["reason"].split(":")[0]) for entry in listed] == [
        ("2026-11-06", "lost"), ("2026-11-07", "not drawn"),
    ]  # fmt: skip
    assert all(f"{entry['day']}: {entry['reason']}" in (folder / "README.md").read_text() for entry in listed)


def test_days_whose_term_is_over_are_missing(tmp_path: Path) -> None:
    """Their charge stays, their figures are deleted: a sum without them does not pass for one of all days."""
    engine = new_records(tmp_path)
    store_days(engine, "harbour", WEEK.days)
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM release_vectors WHERE day < '2026-11-03'"))
    release, folder = built(tmp_path, engine)
    missing = pl.read_csv(folder / "missing_days.csv")
    assert release.days == json.loads((folder / "privacy.json").read_bytes())["days_in_release"] == 5
    assert missing["day"].to_list() == ["2026-11-01", "2026-11-02"]
    assert all(reason.startswith("deleted: the term") for reason in missing["reason"])
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM release_vectors"))
    with pytest.raises(Fatal, match="their term"):
        built(tmp_path, engine)


def test_days_that_are_over_and_not_drawn_are_known(tmp_path: Path) -> None:
    """So that who builds closes them first. Not those before the first one, nor today; a lost day is charged."""
    engine = new_records(tmp_path)
    store_days(engine, "harbour", [*WEEK.days[1:3], WEEK.days[4]])
    store_days(engine, "lantern", WEEK.days[5:], scopes=Scopes(platform=True))
    charge_day(engine, "harbour", WEEK.days[3])
    with engine.begin() as connection:
        assert not_drawn(connection, "harbour", WEEK, WEEK.last) == [WEEK.days[5]]
        assert not_drawn(connection, "harbour", WEEK, FIRST + timedelta(days=30)) == WEEK.days[5:]
        assert not_drawn(connection, PLATFORM, WEEK, FIRST + timedelta(days=30)) == []


def test_many_missing_days_are_in_their_table_alone(tmp_path: Path) -> None:
    """A platform of many tenants: the datasheet says how many, the table which."""
    engine = new_records(tmp_path)
    tenants = [f"club-{n}" for n in range(6)]
    for tenant in tenants:
        store_days(engine, tenant, WEEK.days[:1], scopes=Scopes(platform=True))
    _, folder = package.build(engine, FileKeyService(tmp_path / "keys"), PLATFORM, WEEK, tmp_path / "out")
    listed = pl.read_csv(folder / "missing_days.csv", try_parse_dates=True)
    assert listed.rows() == pl.read_parquet(folder / "missing_days.parquet").rows()
    assert set(zip(listed["tenant"], listed["day"], strict=True)) == {(t, d) for t in tenants for d in WEEK.days[1:]}
    assert "36, in `missing_days.csv`." in (folder / "README.md").read_text()


def test_privacy_json_states_what_was_spent(tmp_path: Path) -> None:
    """Also by the day that was lost, and by a day outside the period."""
    engine = new_records(tmp_path)
    store_days(engine, "harbour", [date(2026, 10, 31), *WEEK.days])
    charge_day(engine, "harbour", date(2026, 10, 30), at=closed_at(FIRST))
    _, folder = built(tmp_path, engine)
    told = json.loads((folder / "privacy.json").read_bytes())
    assert told["guarantee_of_a_unit"] == {
        "rho_zcdp": "3/500", "epsilon": EPSILON, "delta": 1e-7, "best_guess_right": 0.5218,
    }  # fmt: skip
    assert told["budget"]["days_charged_at_most"] == 9
    assert told["budget"]["rho_charged_at_most"] == "9/50"
    assert [person["rho_zcdp"] for person in told["person_level"]] == ["21/500", "21/125"]
    bounds = {b["measure"]: (b["contribution_to_a_cell_at_most"], b["sigma_of_a_day"]) for b in told["bounds"]}
    assert bounds == {"visitors": (1, 13), "page_views": (50, 791), "visitors_by_referrer_class": (1, 23)}


def test_a_period_without_a_drawn_day_says_what_to_do(tmp_path: Path) -> None:
    """An unknown tenant, or no day closed."""
    with pytest.raises(Fatal, match="voile stats close"):
        built(tmp_path, new_records(tmp_path))


def test_a_folder_that_holds_something_else_is_not_overwritten(tmp_path: Path) -> None:
    """Somebody may have published it."""
    engine = new_records(tmp_path)
    store_days(engine, "harbour", WEEK.days)
    _, folder = built(tmp_path, engine)
    (folder / "totals.csv").write_text("changed\n")
    with pytest.raises(Fatal, match="move it away"):
        built(tmp_path, engine)


def test_a_lost_key_is_not_replaced_unseen(tmp_path: Path) -> None:
    """Partners hold the public key of the first one; what another signs they have to distrust. Put back, it goes on."""
    engine = new_records(tmp_path)
    store_days(engine, "harbour", WEEK.days)
    built(tmp_path, engine)
    (tmp_path / "keys").rename(tmp_path / "away")
    with pytest.raises(Fatal, match="put it back from its copy"):
        built(tmp_path, engine, "again")
    assert not (tmp_path / "again").exists()
    (tmp_path / "keys").rmdir()
    (tmp_path / "away").rename(tmp_path / "keys")
    assert built(tmp_path, engine, "again")[1].exists()


def test_other_bytes_for_a_signed_version_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version of Voile may word its documents otherwise: never under the same number. Where the signed package
    is still in its folder, whole, it is the answer."""
    engine = new_records(tmp_path)
    store_days(engine, "harbour", WEEK.days)
    first = built(tmp_path, engine)
    monkeypatch.setattr(package, "datasheet", lambda *_: b"# Another wording\n")
    with pytest.raises(Fatal, match="restore its folder"):
        built(tmp_path, engine, "elsewhere")
    assert built(tmp_path, engine) == first
    (first[1] / "totals.csv").write_text("changed\n")
    with pytest.raises(Fatal, match="restore its folder"):
        built(tmp_path, engine)


@pytest.mark.parametrize(
    ("table", "column", "value", "told"),
    [
        ("totals", "measure", "jane@example.org", "a measure"),
        ("totals", "period", "2026-11-01/2026-11-08", "a period"),
        ("daily", "day", date(2026, 10, 1), "a day"),
        ("daily", "obs_status", "jane@example.org", "a status"),
        ("daily", "value", None, "an empty cell"),
        ("missing_days", "reason", "jane@example.org", "a reason"),
        ("missing_days", "tenant", "jane@example.org", "a tenant"),
        ("visitors_by_referrer_class", "referrer_class", "jane@example.org", "a referrer_class"),
        ("visitors_by_route", "route", "/jane@example.org", "a route"),
    ],
)
def test_no_undeclared_cell_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, column: str, value: object, told: str
) -> None:
    """In CSV and Parquet alike: no package, no row in the records."""

    def spoiled(of: Table, *rest: Any) -> pl.DataFrame:
        frame = frame_of(of, *rest)
        if of.name != table:
            return frame
        new = pl.Series(column, [value], dtype=frame.schema[column])
        return frame.with_columns(frame[column].scatter(0, new))

    monkeypatch.setattr(package, "frame_of", spoiled)
    _refused(tmp_path, f"would hold {told} that")


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("visitors.csv", lambda _: b"address\n192.0.2.7\n", "a file"),
        ("daily.csv", lambda data: data.replace(b"obs_status", b"visitor", 1), "a column"),
        ("totals.csv", lambda data: data.replace(b"3021", b"3000"), "a difference"),
        ("missing_days.parquet", lambda _: _parquet(pl.DataFrame({"address": ["192.0.2.7"]})), "a column"),
    ],
)
def test_no_undeclared_file_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, change: Callable[[bytes], bytes], told: str
) -> None:
    """A file, a column, and a number that CSV and Parquet do not both have."""
    monkeypatch.setattr(
        package,
        "check_egress",
        lambda files, *rest: egress.check_egress(files | {file: change(files.get(file))}, *rest),
    )
    _refused(tmp_path, f"would hold {told}")


def _refused(tmp_path: Path, sentence: str) -> None:
    engine = new_records(tmp_path)
    store_days(engine, "harbour", WEEK.days[:6], routes=("/a",))
    with pytest.raises(Fatal, match=sentence):
        built(tmp_path, engine)
    assert not (tmp_path / "out").exists()
    assert not package.releases(engine)


def _parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def test_a_period_is_a_month_a_week_a_day_or_a_span() -> None:
    """And every wrong one has its sentence."""
    assert declared("2028-02").days[-1] == date(2028, 2, 29)
    assert declared("2026-W47") == Period(date(2026, 11, 16), date(2026, 11, 22))
    assert declared("2026-11-23").days == [date(2026, 11, 23)]
    assert len(span("2026-11-01", "2026-11-14").days) == 14
    for wrong in ("2026-13", "2026-W54", "2026-11-31", "2026", "20261123"):
        with pytest.raises(Fatal, match="a month like"):
            declared(wrong)
    for first, last in (("2026-11-02", "2026-11-01"), ("x", "y"), ("2020-01-01", "2026-01-01")):
        with pytest.raises(Fatal):
            span(first, last)
