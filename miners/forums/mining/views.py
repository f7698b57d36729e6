"""Views: which pairs of the one pair store a release takes. A view is a declaration: adding one adds a constant."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

from schemas.drops import DropReason
from schemas.errors import RecipeError, nearest


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on the columns of the pair store; pairs that fail it are dropped for the reason."""

    reason: DropReason
    holds: pl.Expr


@dataclass(frozen=True, slots=True)
class View:
    """A published recipe over the pair store.

    source: paper and section.
    rules: applied in order.
    draws: pairs drawn at random from each thread after the rules; None takes all.
    """

    name: str
    source: str
    summary: str
    rules: tuple[Rule, ...] = ()
    draws: int | None = None

    def mark(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """Fill the column `reason` for the pairs that the view leaves out; pairs that have one keep it."""
        for rule in self.rules:
            failed = pl.col("reason").is_null() & ~rule.holds.fill_null(value=False)
            pairs = pairs.with_columns(reason=pl.when(failed).then(pl.lit(rule.reason.value)).otherwise("reason"))
        if self.draws is None:
            return pairs
        draw = pl.when(pl.col("reason").is_null()).then(pl.col("draw"))
        beaten = pl.col("reason").is_null() & (draw.rank("ordinal").over("group_id") > self.draws)
        return pairs.with_columns(reason=pl.when(beaten).then(pl.lit(DropReason.NOT_DRAWN.value)).otherwise("reason"))


WORLDPM = View(
    "worldpm",
    source="WorldPM (arXiv 2505.10527), section 3.1.1 and A.2",
    summary="two random replies of a post with different net votes (acceptance counts one), one pair a post",
    draws=1,
)
EVERY = View("every", source="this project", summary="every pair of the store")

VIEWS: Mapping[str, View] = MappingProxyType({view.name: view for view in (WORLDPM, EVERY)})


def find_view(name: str) -> View:
    """Look a view up; raises RecipeError with the nearest right name."""
    try:
        return VIEWS[name]
    except KeyError:
        raise RecipeError(f"unknown view `{name}`; {nearest(name, VIEWS)}") from None
