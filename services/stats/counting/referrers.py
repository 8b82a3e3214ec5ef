"""Where a visit comes from: a class, and the registrable domain of an outside site. Never a host or a path."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources
from importlib.metadata import version
from typing import NamedTuple
from urllib.parse import urlsplit

import polars as pl
from publicsuffixlist import PublicSuffixList

from services.stats.distinct import put_per_distinct
from services.stats.tenants.registry import Tenants

__all__ = ["Referrer", "Referrers", "version_of_referrers"]

HOSTS_KEPT_MAX = 50_000


class Referrer(NamedTuple):
    referrer_class: str  # direct | internal | search | social | assistant | other
    referrer_domain: str  # "" when direct, internal, or without a registrable domain (an address, localhost)


class Referrers:
    """Only the official part of the public suffix list counts: `someone.github.io` says `github.io`."""

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants
        self._suffixes = PublicSuffixList(accept_unknown=False, only_icann=True)
        self._sources = _sources()
        self._outside = lru_cache(HOSTS_KEPT_MAX)(self._classify)

    def put_referrer(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Adds `referrer_class` and `referrer_domain` from `referrer`, `tenant` and `host`."""
        return put_per_distinct(frame, ["tenant", "host", "referrer"], self._put_classes)

    def classify(self, tenant: str, host: str | None, referrer: str | None) -> Referrer:
        """`host` is what was asked for: a site refers to itself also before the registry knows it."""
        if not referrer or referrer == "-":
            return Referrer("direct", "")
        origin = _host_of(referrer)
        if origin and (origin == host or origin in self._tenants.get(tenant).hosts):
            return Referrer("internal", "")
        return self._outside(origin)

    def _put_classes(self, distinct: pl.DataFrame) -> pl.DataFrame:
        rows = [self.classify(*row) for row in distinct.select("tenant", "host", "referrer").iter_rows()]
        return distinct.hstack(pl.DataFrame(rows, schema=dict.fromkeys(Referrer._fields, pl.String), orient="row"))

    def _classify(self, host: str) -> Referrer:
        domain = self._suffixes.privatesuffix(host) or ""
        return Referrer(self._class_of(host), domain)

    def _class_of(self, host: str) -> str:
        """By the longest known end of the host: `mail.google.com` before `google.com`."""
        labels = host.split(".")
        ends = (".".join(labels[at:]) for at in range(len(labels)))
        return next((self._sources[end] for end in ends if end in self._sources), "other")


def version_of_referrers() -> str:
    listed = _file("sources.tsv").partition(",")[0].rpartition(" ")[2]
    return f"{version('publicsuffixlist')}/{listed}"


def _sources() -> dict[str, str]:
    """Host -> class: the kept public list, and our own over it."""
    rows = (line.split("\t") for line in _file("sources.tsv").splitlines() if not line.startswith("#"))
    own = tomllib.loads(_file("referrers.toml"))
    return dict(rows) | {host: kind for kind, hosts in own.items() for host in hosts}


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _host_of(referrer: str) -> str:
    """Lower case, without port and `www.`; "" for what is not a web page."""
    try:
        parts = urlsplit(referrer)
        host = parts.hostname or ""
    except ValueError:
        return ""
    return host if parts.scheme in {"http", "https"} else ""
