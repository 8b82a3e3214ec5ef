"""Catalogues are the declared lists and nothing else; routes are written as the pipeline writes them."""

from __future__ import annotations

import pycountry

from services.stats.counting.agents import Agents
from services.stats.counting.location import UNKNOWN
from services.stats.counting.routes import Routes
from services.stats.figures.cubes import declared_cubes
from services.stats.releases.catalogues import Catalogue, catalogues_of, fixed_names, route_names
from services.stats.releases.split import declared_split
from services.stats.tenants.registry import Tenant, Tenants


def test_countries_are_those_of_iso_3166_and_unknown() -> None:
    """Held against Debian's list: 249."""
    listed = {country.alpha_2 for country in pycountry.countries}
    assert len(listed) == 249
    assert set(fixed_names()["country"]) == listed | {UNKNOWN}
    assert len(fixed_names()["country"]) == 250


def test_classes_are_those_that_the_pipeline_gives() -> None:
    """A class that came up here alone would never be counted, one that is missing never told."""
    bounds = [str(bound) for bound in declared_cubes().latency_ms]
    assert fixed_names()["latency_class"] == (*bounds, "more")
    agents = [Agents().classify(text).device for text in ("", "Mozilla/5.0 (iPad)", "iPhone Mobi", "X11; Linux x86_64")]
    assert set(agents) <= set(fixed_names()["device"])


def test_every_key_has_a_place_and_a_catalogue_reads_back() -> None:
    """In the order of the vector; the digest is of the keys."""
    catalogues = catalogues_of(declared_split(), ["/a", "/b"])
    assert {name: len(c.keys) for name, c in catalogues.items()} == {
        "visitors_by_route": 2, "visitors": 1, "page_views": 1, "visitors_by_country_and_device": 1000,
        "visitors_by_referrer_class": 6, "requests_by_latency_class": 11,
    }  # fmt: skip
    for catalogue in catalogues.values():
        assert Catalogue.read(catalogue.text) == catalogue
        assert [catalogue.places[key] for key in catalogue.keys] == list(range(len(catalogue.keys)))
    assert catalogues["visitors_by_route"].digest != catalogues_of(declared_split(), ["/a"])["visitors_by_route"].digest


def test_without_a_route_table_there_is_no_measure_by_route() -> None:
    """And what is not drawn is not charged."""
    catalogues = catalogues_of(declared_split(), [])
    assert "visitors_by_route" not in catalogues
    assert declared_split().rho_of(catalogues.keys()) == declared_split().rho_day_max / 2


def test_a_template_is_what_the_pipeline_writes_for_a_path_that_fits() -> None:
    """Also with a slash at its end, and where the application names its routes."""
    templates = ("/members/{id}/", "/Shop/{item}", "/agenda")
    routes = Routes(Tenants([Tenant("club", "Club", routes=templates)]))
    written = {routes._route("club", None, None, path) for path in ("/members/7", "/Shop/9", "/agenda/")}
    assert set(route_names(templates)) == written == {"/members/{id}", "/Shop/{item}", "/agenda"}
    assert route_names(["blog.show"]) == (routes._route("club", None, "blog.show", "/x"),)
