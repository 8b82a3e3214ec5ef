"""The shapes of the API's requests and answers, for its checks and for `/openapi.json`."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from services.stats.queries.dates import RANGES
from services.stats.queries.metrics import METRICS
from services.stats.queries.request import COMPARISONS, DIMENSIONS, ROWS_MAX, TIMES

__all__ = ["CSV_EXAMPLE", "QUERY_EXAMPLES", "Pagination", "ProblemDocument", "Query", "QueryAnswer", "SitesAnswer"]

_OFFSET_MAX = 1 << 31

QUERY_EXAMPLES: Final[dict[str, Any]] = {
    "totals": {
        "summary": "Totals of the last week, against the week before",
        "value": {
            "site_id": "chess-club",
            "metrics": ["visitors", "pageviews", "bounce_rate"],
            "date_range": "7d",
            "include": {"comparisons": {"mode": "previous_period"}},
        },
    },
    "pages": {
        "summary": "The ten pages that most people from France saw",
        "value": {
            "site_id": "chess-club",
            "metrics": ["visitors"],
            "date_range": ["2026-03-01", "2026-03-31"],
            "dimensions": ["event:page"],
            "filters": [["is", "visit:country", ["FR"]]],
            "order_by": [["visitors", "desc"]],
            "include": {"total_rows": True},
            "pagination": {"limit": 10, "offset": 0},
        },
    },
    "days": {
        "summary": "Requests and errors by day",
        "value": {
            "site_id": "chess-club",
            "metrics": ["requests", "error_rate"],
            "date_range": "30d",
            "dimensions": ["time:day"],
            "include": {"time_labels": True},
        },
    },
}
CSV_EXAMPLE: Final = "event:page,visitors\r\n/,1240\r\n/agenda/{id},985\r\n(other),30\r\n"


class _Asked(BaseModel):
    """Names that do not exist are refused by `read_request`, which lists those that do; so they pass here."""

    model_config = ConfigDict(extra="allow", strict=True, json_schema_extra={"additionalProperties": False})


class Pagination(_Asked):
    limit: int = Field(ROWS_MAX, ge=1, le=ROWS_MAX)
    offset: int = Field(0, ge=0, le=_OFFSET_MAX)


class Query(_Asked):
    """What is asked, in the shape of Plausible's Stats API v2; docs/api.md says what differs."""

    site_id: str | list[str] | None = Field(
        None,
        description="The tenant, or several: their figures are summed. Left out: all that you may see.",
        examples=["chess-club"],
    )
    metrics: list[str] = Field(
        json_schema_extra={"items": {"type": "string", "enum": list(METRICS)}, "minItems": 1, "uniqueItems": True},
        examples=[["visitors", "pageviews"]],
    )
    date_range: str | list[str] = Field(
        description="A name, or two dates, both included. A day is the smallest part of it.",
        json_schema_extra={
            "anyOf": [
                {"type": "string", "enum": [*RANGES]},
                {"type": "array", "items": {"type": "string", "format": "date"}, "minItems": 1, "maxItems": 2},
            ]
        },
        examples=[["2026-03-01", "2026-03-31"]],
    )
    dimensions: list[str] = Field(
        default_factory=list,
        json_schema_extra={"items": {"type": "string", "enum": [*DIMENSIONS, *TIMES]}, "uniqueItems": True},
        examples=[["event:page"]],
    )
    filters: list[Any] = Field(
        default_factory=list,
        description="One at most: `is` with one value.",
        json_schema_extra={"maxItems": 1, "items": {"type": "array", "minItems": 3, "maxItems": 3}},
        examples=[[["is", "visit:country", ["FR"]]]],
    )
    order_by: list[Any] = Field(
        default_factory=list,
        description="By what the query asks for: a metric or a dimension, and asc or desc.",
        json_schema_extra={"items": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "string"}}},
        examples=[[["visitors", "desc"]]],
    )
    include: dict[str, Any] = Field(
        default_factory=dict,
        json_schema_extra={
            "additionalProperties": False,
            "properties": {
                "time_labels": {"type": "boolean", "description": "Every label of the range, also those without rows."},
                "total_rows": {"type": "boolean", "description": "How many rows there are on all pages."},
                "comparisons": {
                    "type": "object",
                    "properties": {"mode": {"type": "string", "enum": list(COMPARISONS)}},
                    "required": ["mode"],
                    "additionalProperties": False,
                },
            },
        },
    )
    pagination: Pagination = Field(default_factory=Pagination)


class Comparison(BaseModel):
    """The same row in the period before. `change` is in percent; null where a side may not be shown."""

    dimensions: list[str]
    metrics: list[float | None]
    change: list[float | None]


class ResultRow(BaseModel):
    """Values in the order of the request. A metric that may not be shown is null."""

    dimensions: list[str]
    metrics: list[float | None]
    comparison: Comparison | None = Field(None, description="When the request includes `comparisons`.")


class Uncombinable(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    dimension: str
    with_: str = Field(alias="with")
    reason: str


class Privacy(BaseModel):
    """What stands behind every figure; see docs/counting.md."""

    threshold: int = Field(description="A row has at least so many visitors; fewer are in `other`.", examples=[10])
    rounding: int = Field(description="Every figure is a multiple of it.", examples=[5])
    below_threshold: None = Field(None, description="What stands for a figure that may not be shown.")
    other: str = Field(description="The name of the row that holds what is too small to be named.")
    not_combinable: list[Uncombinable] = Field(description="What cannot be asked together with this query's filter.")


class Freshness(BaseModel):
    closed_through: date | None = Field(description="Up to here figures are final.")
    provisional_days: list[date] = Field(description="Days that are not closed: their figures still change.")
    days_without_figures: list[date]
    timezone: str


class Meta(BaseModel):
    privacy: Privacy
    freshness: Freshness
    units: dict[str, str] = Field(
        description="Of each metric: count, ratio, percent, seconds, milliseconds, bytes.",
        examples=[{"visitors": "count"}],
    )
    total_rows: int | None = Field(None, description="When the request includes `total_rows`.")
    time_labels: list[str] | None = Field(None, description="When the request includes `time_labels`.")


class QueryAnswer(BaseModel):
    results: list[ResultRow]
    meta: Meta
    query: dict[str, Any] = Field(description="The request as it was understood, with its dates.")


class Site(BaseModel):
    site_id: str = Field(examples=["chess-club"])
    timezone: str = Field(description="Whose midnight begins a day.", examples=["Europe/Paris"])


class SitesMeta(BaseModel):
    total_rows: int
    limit: int
    offset: int


class SitesAnswer(BaseModel):
    sites: list[Site]
    meta: SitesMeta


class FieldError(BaseModel):
    field: str
    message: str


class ProblemDocument(BaseModel):
    """RFC 9457. It never repeats what was sent: senders log answers."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["The query is not offered"])
    status: int = Field(examples=[400])
    detail: str | None = Field(None, examples=["metrics: there is no such metric. Did you mean visitors?"])
    field: str | None = Field(None, description="The part of the request that is wrong.", examples=["metrics"])
    choices: list[str] | None = Field(None, description="What exists instead.", examples=[["visitors", "pageviews"]])
    errors: list[FieldError] | None = Field(None, description="Parts that are no text, number or list as they should.")
    request_id: str
