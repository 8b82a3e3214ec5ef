"""`voile init`: a commented voile.toml and the folders of keys."""

from __future__ import annotations

from pathlib import Path

import typer

app = typer.Typer()

_TEMPLATE = """\
# Voile's settings. Every key can also be given as VOILE_SECTION__KEY; a change takes effect at the next start.
# Stores without a host lie in `data`.

data = "voile-data"
timezone = "UTC"                        # the installation's days begin at its midnight, e.g. "Europe/Paris"
events = "sqlite:///events.db"          # or "kafka://host:9092"

[ingest]                                # takes what servers send
listen = "127.0.0.1:8080"
records = "sqlite:///ingest.db"         # or "postgresql://ingest@host/ingest"
keys = "file:///keys/ingest"
trusted_proxies = []                    # CIDRs whose forwarded-for header is believed
query_parameters = []                   # names of query parameters that are kept; the rest is cut
spool = "file:///spool"                 # where accepted batches wait while Kafka is away: clear data, in no backup
spool_bytes_max = 1_073_741_824
# [[ingest.syslog]]                     # syslog by UDP and TCP; a table for each source
# source = "web"
# listen = "127.0.0.1:5514"

[identity]                              # who did what: sealed, under policy, audited
listen = "127.0.0.1:8082"
records = "sqlite:///identity.db"
keys = "file:///keys/identity"
ticket_pattern = "[A-Z][A-Z0-9]{1,9}-[0-9]{1,9}"
linked_days = 90                        # how long linked activity is kept

[statistics]                            # how the service is used: identifies nobody
listen = "127.0.0.1:8081"
records = "sqlite:///statistics.db"
analytics = "chdb:///analytics"         # or "clickhouse://user:password@host:8123/voile"
keys = "file:///keys/statistics"
# countries = "/var/lib/geo/country.mmdb" # instead of the registries' tables that are shipped

[retention]                             # at most, in days; tenants may have less: docs/retention.md
accounts_days = 1095                    # after the last that was heard of an account
isolated_days = 365                     # of linked activity that a tenant has isolated at its end
audit_days = 1825                       # reasons in the audit log; its entries stay
cases_days = 1095                       # rights cases, after they were closed
figures_days = 1825                     # published figures
releases_days = 1825                    # noisy figures of releases
notice_days = 30                        # before a tenant that leaves is deleted

[login]                                 # how people sign in to both; docs/signing-in.md
second_factor = true                    # a password alone opens nothing
trusted_proxies = []                    # CIDRs whose X-Forwarded-For is believed when tries are counted
# [login.oidc]                          # an OpenID provider; its secret: VOILE_LOGIN__OIDC__CLIENT_SECRET
# issuer = "https://login.example.org/realms/staff"
# client_id = "voile"
# [[login.oidc.groups]]                 # a table for each group that may come in
# group = "voile-product"
# service = "statistics"
# role = "viewer"
# tenants = ["*"]
"""


@app.command()
def init(
    folder: Path = typer.Argument(Path(), help="Where voile.toml goes."),
) -> None:
    """Write a commented voile.toml and make the key folders (0700).

    Example: voile init /etc/voile
    """
    from services.cli.common import note
    from services.runtime.errors import Fatal
    from services.runtime.keys import open_keys
    from services.runtime.settings import load_settings

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "voile.toml"
    if file.exists():
        raise Fatal(f"{file} is already there; change it by hand, or remove it first.")
    file.write_text(_TEMPLATE, encoding="utf-8")
    file.chmod(0o600)  # a store's password may come to stand in it
    settings = load_settings(file, env={})
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)  # it will hold addresses and accounts
    for plane in (settings.ingest, settings.identity, settings.statistics):
        open_keys(settings.url(plane.keys))
    note(f"Wrote {file} and the key folders below {settings.data}.")
    there = "" if folder == Path() else f"cd {folder} && "
    note(f"Next: {there}voile db upgrade && voile up")
