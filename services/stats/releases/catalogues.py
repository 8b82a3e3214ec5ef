"""The cells of a day: fixed before it began, so that which cells there are tells nothing of who came.

Every key of a catalogue gets a value, zeros too. What is in no catalogue is not counted.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from itertools import product

from services.stats.counting.routes import Templater, segments_of
from services.stats.releases.split import Measure, Split

__all__ = ["Catalogue", "Key", "catalogues_of", "fixed_names", "route_names"]

Key = tuple[str, ...]  # one name a column of the measure's keys; () for a total


@dataclass(frozen=True)
class Catalogue:
    """The keys of one measure, in the order of its vector."""

    keys: tuple[Key, ...]

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def text(self) -> str:
        """As it is kept in the records."""
        return json.dumps(self.keys, ensure_ascii=False)

    @classmethod
    def read(cls, text: str) -> Catalogue:
        return cls(tuple(tuple(key) for key in json.loads(text)))

    @cached_property
    def places(self) -> Mapping[Key, int]:
        """Key -> its place in the vector."""
        return {key: place for place, key in enumerate(self.keys)}


@cache
def fixed_names() -> Mapping[str, tuple[str, ...]]:
    """The content of `catalogues.toml`: column -> its names."""
    text = resources.files(__package__).joinpath("catalogues.toml").read_text("utf-8")
    return {column: tuple(names.split()) for column, names in tomllib.loads(text).items()}


def catalogues_of(split: Split, routes: Sequence[str]) -> dict[str, Catalogue]:
    """Measure -> catalogue of a day whose tenant has `routes`. No routes: no measure by route."""
    found = {measure.name: _catalogue(measure, tuple(routes)) for measure in split.measures}
    return {name: catalogue for name, catalogue in found.items() if catalogue.keys}


def route_names(templates: Iterable[str]) -> tuple[str, ...]:
    """Templates of a route table as the pipeline writes routes (routes.py), in order, each once."""
    templater = Templater()
    return tuple(sorted({_written(templater, template) for template in templates}))


@cache
def _catalogue(measure: Measure, routes: tuple[str, ...]) -> Catalogue:
    names = {**fixed_names(), "route": routes}
    return Catalogue(tuple(product(*(names[column] for column in measure.keys))))


def _written(templater: Templater, template: str) -> str:
    """What fits a template is written as the template; what the application names is its name, cleaned."""
    return "/" + "/".join(segments_of(template)) if template.startswith("/") else templater.sanitise(template)
