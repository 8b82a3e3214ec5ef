"""What becomes of a batch of accesses, step by step.

The order is the privacy design: what must not be counted is gone before anything is computed, the raw
values are read only by the step that turns them into a class, a template or a pseudonym, and what leaves
is an allow-list. Each step takes a frame and returns one; work is done once per distinct value.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import polars as pl

from services.runtime.clock import Clock
from services.stats.counting.agents import Agents, version_of_agents
from services.stats.counting.campaigns import UTM, Campaigns
from services.stats.counting.late import blank_late, move_late
from services.stats.counting.location import Countries
from services.stats.counting.referrers import Referrers, version_of_referrers
from services.stats.counting.routes import Accepted, Routes
from services.stats.distinct import put_per_distinct
from services.stats.pseudonyms.active import ACTIVE, Activity
from services.stats.pseudonyms.digests import DayKeys, drop_late, put_account_pseudonym, put_visitor
from services.stats.pseudonyms.keyring import Keyring
from services.stats.rights.suppression import Suppressions
from services.stats.tenants.registry import Tenants

__all__ = ["EVENT_COLUMNS", "Events", "Pipeline", "keep_only"]

# The allow-list. What is not here never reaches the store; no column can hold an address, an agent or an account id.
EVENT_COLUMNS: dict[str, pl.DataType] = {
    "tenant": pl.String(),
    "event_day": pl.Date(),
    "time": pl.Datetime("ms"),
    "hour": pl.UInt8(),
    "visitor": pl.UInt64(),
    "network": pl.UInt16(),
    "account": pl.UInt64(),
    "page_view": pl.UInt8(),
    "route": pl.String(),
    "referrer_class": pl.String(),
    "referrer_domain": pl.String(),
    "country": pl.String(),
    "browser": pl.String(),
    "os": pl.String(),
    "device": pl.String(),
    "bot_class": pl.String(),
    "bot_reason": pl.String(),
    "method": pl.String(),
    "status": pl.UInt16(),
    "event": pl.String(),
    **dict.fromkeys(UTM, pl.String()),
    "response_bytes": pl.UInt64(),
    "duration_ms": pl.Int64(),
    "late": pl.UInt8(),
}
CLIENT = ("tenant", "event_day", "client_address", "user_agent")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE")  # RFC 9110, RFC 5789
OTHER = "Other"
EVENT_NAME = r"^[A-Za-z][A-Za-z_:. -]{0,39}$"  # no digit, no @: a name of a kind of event, not of one thing
UNDECLARED = "(undeclared)"


@dataclass(frozen=True, slots=True)
class Events:
    """`frame` has exactly `EVENT_COLUMNS`, `active` the keyed accounts of weeks and months (`ACTIVE`); the counts say
    what became of the other rows. `late`: those that not even the day of their arrival takes."""

    frame: pl.DataFrame
    active: pl.DataFrame
    suppressed: int
    late: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The steps with what they look things up in, built once."""

    zone: ZoneInfo
    suppressions: Suppressions
    tenants: Tenants
    keyring: Keyring
    countries: Countries
    agents: Agents
    routes: Routes
    referrers: Referrers
    campaigns: Campaigns
    activity: Activity | None
    clock: Clock | None

    @classmethod
    def build(
        cls,
        zone: ZoneInfo,
        suppressions: Suppressions,
        keyring: Keyring,
        tenants: Tenants,
        *,
        countries: Countries | None = None,
        activity: Activity | None = None,
        accepted: Accepted | None = None,
        clock: Clock | None = None,
    ) -> Pipeline:
        """`countries`: those of the registries when left out. Without `activity` nobody is noted as active, without
        `clock` late rows are dropped."""
        table = countries or Countries()
        steps = (Agents(), Routes(tenants, accepted), Referrers(tenants), Campaigns(tenants))
        return cls(zone, suppressions, tenants, keyring, table, *steps, activity, clock)

    def run(self, accesses: pl.DataFrame) -> Events:
        """`accesses` has the columns of `AccessLog`, of one or more tenants. Row order is not kept."""
        allowed = self.tenants.drop_departed(self.suppressions.drop_suppressed(accesses))
        dated = put_day(allowed, self.zone)
        placed, keys = self._place(dated)
        on_time = drop_late(placed, keys)
        recognised = put_per_distinct(on_time, CLIENT, lambda clients: self._recognise(clients, keys))
        templated = self.routes.put_route(recognised)
        referred = self.referrers.put_referrer(templated)
        attributed = self.campaigns.put_campaign(referred)
        pseudonymised = put_account_pseudonym(attributed, keys)
        measured = put_page_view(pseudonymised)
        active = self.activity.active(measured) if self.activity else pl.DataFrame(schema=ACTIVE)
        kept = blank_late(keep_only(measured))
        return Events(kept, active, accesses.height - allowed.height, dated.height - on_time.height)

    def lookups(self) -> str:
        """Versions of the look-up data in force, for the plan and the ledger; asked before each batch."""
        agents, referrers = version_of_agents(), version_of_referrers()
        return f"countries={self.countries.version()} agents={agents} referrers={referrers}"

    def _recognise(self, clients: pl.DataFrame, keys: DayKeys) -> pl.DataFrame:
        """What depends on the client alone, once per distinct client and day."""
        located = self.countries.put_country(clients)
        classified = self.agents.put_agent(located)
        return put_visitor(classified, keys)

    def _place(self, dated: pl.DataFrame) -> tuple[pl.DataFrame, DayKeys]:
        """`dated` with `late`, rows of closed days on the day of their arrival; and the keys of all days in it."""
        keys = self._keys(dated)
        today = self.clock.now().astimezone(self.zone).date() if self.clock else None
        if today is None:
            return dated.with_columns(pl.lit(0, dtype=pl.UInt8).alias("late")), keys
        placed = move_late(dated, keys, today)
        return placed, {**keys, **self._keys(placed.filter(pl.col("late") == 1))}

    def _keys(self, dated: pl.DataFrame) -> DayKeys:
        days: list[tuple[str, date]] = dated.select("tenant", "event_day").unique().rows()
        return {(tenant, day): self.keyring.key(tenant, day) for tenant, day in days}


def put_day(frame: pl.DataFrame, zone: ZoneInfo) -> pl.DataFrame:
    """Adds `event_day` and `hour` in the installation's zone: the day is also the pseudonym's."""
    local = pl.col("timestamp")
    if zone.key != "UTC":
        local = local.dt.replace_time_zone("UTC").dt.convert_time_zone(zone.key)
    return frame.with_columns(local.dt.date().alias("event_day"), local.dt.hour().cast(pl.UInt8).alias("hour"))


def put_page_view(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds `page_view`: 1 when a page for people was served. Application events and assets are none."""
    served = pl.col("status").is_between(200, 299) | (pl.col("status") == 304)
    page = (pl.col("method") == "GET") & served & ~pl.col("asset") & pl.col("event").is_null()
    return frame.with_columns(page.fill_null(False).cast(pl.UInt8).alias("page_view"))


def keep_only(frame: pl.DataFrame) -> pl.DataFrame:
    """Exactly `EVENT_COLUMNS`: the account is its pseudonym, time is cut to the second."""
    shown = {
        "time": pl.col("timestamp").dt.truncate("1s"),
        "account": pl.col("account_pseudonym"),
        "method": pl.when(pl.col("method").is_in(METHODS)).then("method").otherwise(pl.lit(OTHER)),
        "status": pl.col("status").fill_null(0).clip(0, 999),
        "event": pl.when(pl.col("event").is_null())
        .then(pl.lit(""))
        .when(pl.col("event").str.contains(EVENT_NAME))
        .then("event")
        .otherwise(pl.lit(UNDECLARED)),
        "response_bytes": pl.col("response_bytes").fill_null(0).clip(0),
        "duration_ms": pl.col("duration_ms").fill_null(-1).clip(-1),
    }
    return frame.select(shown.get(name, pl.col(name)).cast(dtype).alias(name) for name, dtype in EVENT_COLUMNS.items())
