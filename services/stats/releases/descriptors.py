"""What catalogues and tools read of a package: `datapackage.json` (Data Package v2) and `dcat.jsonld` (DCAT 3).

Addresses are relative to the file: a package says nothing of where it lies, so its bytes are the same everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from services.stats.releases.catalogues import fixed_names
from services.stats.releases.contents import Contents
from services.stats.releases.documents import as_json, second, whose
from services.stats.releases.names import written
from services.stats.releases.tables import OBS_STATUS, Table

__all__ = ["datapackage", "dcat"]

_PROFILE = "https://datapackage.org/profiles/2.0/{}.json"
_DIALECT = {  # RFC 4180 with line feeds, as polars writes it; all but the line's end are the defaults
    "$schema": _PROFILE.format("tabledialect"), "delimiter": ",", "lineTerminator": "\n", "quoteChar": '"',
    "doubleQuote": True, "header": True,
}  # fmt: skip
_MEDIA = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
    "jsonld": "application/ld+json",
    "md": "text/markdown",
}
_FIELDS = {
    "period": "The release's first and last day, ISO 8601",
    "day": "Day, in the installation's time zone",
    "tenant": "Whose day is missing",
    "reason": "Why it is missing",
    "measure": "What is counted; see privacy.json",
    "days": "Days that are in the sum; of a platform's sum, days of each tenant",
    "route": "Route template of the tenant's table as it stood before each day; an apostrophe before it is none of it",
    "country": "ISO 3166-1 alpha-3; ZZZ: unknown",
    "device": "desktop, mobile, tablet or other",
    "referrer_class": "How the visitor's first page of the day was reached",
    "latency_class": "Upper bound of the duration in ms; more: above the last one",
    "value": "Noisy sum; may be negative, which keeps sums unbiased",
    "value_lo": "Lower end of the 95 % interval, noise only",
    "value_hi": "Upper end of the 95 % interval, noise only",
    "obs_status": "SDMX CL_OBS_STATUS: " + "; ".join(f"{code} {text}" for code, text in OBS_STATUS.items()),
}
_CONTEXT = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "spdx": "http://spdx.org/rdf/terms#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_RESTRICTED = "http://publications.europa.eu/resource/authority/access-right/RESTRICTED"  # to partners
_IANA = "https://www.iana.org/assignments/media-types/"


def datapackage(
    name: str, version: str, contents: Contents, files: Mapping[str, bytes], declared: Collection[Table]
) -> bytes:
    """Every other file of the package (name -> bytes) as a resource with size and hash."""
    tables = {f"{table.name}.{kind}": table for table in declared for kind in ("csv", "parquet")}
    package = {
        "$schema": _PROFILE.format("datapackage"),
        "name": name,
        "version": version,
        "title": _title(contents),
        "created": second(contents.created),
        "resources": [_resource(path, files[path], tables.get(path)) for path in sorted(files)],
    }
    return as_json(package)


def dcat(name: str, version: str, contents: Contents, files: Mapping[str, bytes], declared: Collection[Table]) -> bytes:
    """The release as a `dcat:Dataset`, each data file as a distribution with size and checksum."""
    tables = {f"{table.name}.{kind}": table for table in declared for kind in ("csv", "parquet")}
    dataset = {
        "@context": _CONTEXT,
        "@id": "./",
        "@type": "dcat:Dataset",
        "dct:identifier": f"{name}/{version}",
        "dct:title": _title(contents),
        "dct:description": "Counts of use with noise of known size; differentially private: nobody can tell from them "
        "whether any one visitor was there.",
        "dct:issued": _typed(second(contents.created), "dateTime"),
        "dcat:version": version,
        "dct:temporal": {
            "@type": "dct:PeriodOfTime",
            "dcat:startDate": _typed(contents.period.first.isoformat(), "date"),
            "dcat:endDate": _typed(contents.period.last.isoformat(), "date"),
        },
        "dct:accessRights": {"@id": _RESTRICTED},
        "dct:conformsTo": {"@id": _PROFILE.format("datapackage")},
        "foaf:page": {"@id": "README.md"},
        "dcat:distribution": [_distribution(path, files[path], tables[path]) for path in sorted(tables)],
    }
    return as_json(dataset)


def _resource(path: str, data: bytes, table: Table | None) -> dict[str, Any]:
    stem, _, kind = path.rpartition(".")
    resource: dict[str, Any] = {
        "$schema": _PROFILE.format("dataresource"),
        "name": f"{stem}-{kind}".lower(),
        "path": path,
        "format": kind,
        "mediatype": _MEDIA[kind],
        "bytes": len(data),
        "hash": f"sha256:{hashlib.sha256(data).hexdigest()}",
    }
    if table is not None:
        resource |= {"type": "table", "title": table.title, "schema": _schema(table)}
    if kind == "csv":
        resource |= {"encoding": "utf-8", "dialect": _DIALECT}
    return resource


def _schema(table: Table) -> dict[str, Any]:
    """No cell is empty, so nothing stands for a missing value."""
    return {
        "$schema": _PROFILE.format("tableschema"),
        "fields": [_field(name, kind) for name, kind in table.columns.items()],
        "missingValues": [""],
        "primaryKey": list(table.key),
    }


def _field(name: str, kind: str) -> dict[str, Any]:
    constraints: dict[str, Any] = {"required": True}
    if name in fixed_names():
        constraints["enum"] = sorted({written(name, text) for text in fixed_names()[name]})
    if name == "obs_status":
        constraints["enum"] = list(OBS_STATUS)
    return {"name": name, "type": kind, "description": _FIELDS[name], "constraints": constraints}


def _distribution(path: str, data: bytes, table: Table) -> dict[str, Any]:
    return {
        "@id": path,
        "@type": "dcat:Distribution",
        "dct:title": table.title,
        "dcat:accessURL": {"@id": "./"},
        "dcat:downloadURL": {"@id": path},
        "dcat:mediaType": {"@id": _IANA + _MEDIA[path.rpartition(".")[2]]},
        "dcat:byteSize": _typed(str(len(data)), "nonNegativeInteger"),
        "spdx:checksum": {
            "@type": "spdx:Checksum",
            "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256"},
            "spdx:checksumValue": _typed(hashlib.sha256(data).hexdigest(), "hexBinary"),
        },
    }


def _title(contents: Contents) -> str:
    return f"Use of {whose(contents)}, {contents.period.first} to {contents.period.last}"


def _typed(value: str, kind: str) -> dict[str, str]:
    return {"@value": value, "@type": f"xsd:{kind}"}
