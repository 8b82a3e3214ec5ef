"""The declared split of a day's privacy budget (`split.toml`), in exact fractions."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from math import isqrt
from typing import Any

__all__ = ["Measure", "Split", "declared_split"]


@dataclass(frozen=True)
class Measure:
    """One line of the split. A visitor is in at most `cells_max` cells and adds at most `contribution_max` to each.
    `keys`: the columns that name a cell; empty for a total."""

    name: str
    title: str
    keys: tuple[str, ...]
    cells_max: int
    contribution_max: int
    rho: Fraction

    @property
    def sensitivity_squared(self) -> int:
        """Squared L2 distance between two neighbouring vectors of cells: L0 Linf^2."""
        return self.cells_max * self.contribution_max**2

    @property
    def sigma(self) -> int:
        """Smallest integer scale whose discrete Gaussian spends at most `rho`.

        sigma^2 = L0 Linf^2 / (2 rho): Canonne, Kamath, Steinke, "The Discrete Gaussian for
        Differential Privacy", 2020, Theorem 14 (multivariate).
        """
        target = Fraction(self.sensitivity_squared, 2) / self.rho
        root = isqrt(target.numerator // target.denominator)
        return root if root * root >= target else root + 1

    @property
    def rho_spent(self) -> Fraction:
        """What the integer scale really spends, which is at most `rho`."""
        return Fraction(self.sensitivity_squared, 2 * self.sigma**2)


@dataclass(frozen=True)
class Split:
    rho_day_max: Fraction
    delta: Fraction
    measures: tuple[Measure, ...]

    def __getitem__(self, name: str) -> Measure:
        return next(m for m in self.measures if m.name == name)

    def rho_of(self, names: Collection[str]) -> Fraction:
        """What one draw of these measures charges."""
        return sum((m.rho for m in self.measures if m.name in names), start=Fraction(0))


@cache
def declared_split() -> Split:
    """The content of `split.toml`. Raises ValueError when its lines exceed the day's budget."""
    return _parse(tomllib.loads(resources.files(__package__).joinpath("split.toml").read_text("utf-8")))


def _parse(table: Mapping[str, Any]) -> Split:
    measures = tuple(
        Measure(**{**line, "keys": tuple(line["keys"]), "rho": Fraction(line["rho"])}) for line in table["measures"]
    )
    split = Split(Fraction(table["rho_day_max"]), Fraction(table["delta"]), measures)
    if sum(m.rho for m in measures) > split.rho_day_max:
        raise ValueError("the split spends more than rho_day_max")
    return split
