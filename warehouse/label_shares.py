"""Label shares: how often each label was given, with intervals; over all turns, and by language, model, country, turn.

Such counts add up, partition by partition. Users are told apart by hash: memory grows with their number, and with that
of the values among which the turns of one fall.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import polars as pl
from scipy.special import stdtrit

from schemas.identity import hash64
from schemas.statistics import Labels, LabelShare
from warehouse.counting import add_up

_KEYS = ("by", "value", "label", "unit")
_TALLY = pl.Schema({**dict.fromkeys(_KEYS[:-1], pl.Categorical()), "unit": pl.UInt64(), "count": pl.UInt64()})
UNIT = hash64(pl.coalesce("user", "group_id"))
"""Who gives a turn: its user, or where none is known its conversation."""

_RANGES = ("0", "1", "2-3", "2-3", "4-7", "4-7", "4-7", "4-7", "8+")
"""Ranges of turns, by turn: there are ever fewer."""

_ALL = "all"
_BY: Mapping[str, pl.Expr] = MappingProxyType(
    {
        _ALL: pl.lit(_ALL),
        "language": pl.col("language"),
        "model": pl.col("model"),
        "country": pl.col("country"),
        "turn": pl.col("turn").clip(upper_bound=len(_RANGES) - 1).replace_strict(dict(enumerate(_RANGES))),
    }
)
"""What shares are told apart by."""

COLUMNS = ("user", "group_id", "language", "model", "country", "turn")
"""What is read of a turn, beside its label."""

_SIDE = 0.975  # of a distribution, below the upper bound of an interval of 95%
_Z = 1.959964  # standard deviations that leave 2.5% on each side


@dataclass
class LabelTally:
    """Counts of labels, by who gave the turns and by what these are told apart by.

    categories: names of the labels, in their order.
    """

    categories: Sequence[str]
    _counts: pl.DataFrame = field(default_factory=_TALLY.to_frame)

    def add(self, rows: pl.DataFrame, label: pl.Expr) -> None:
        """Count turns, given with their COLUMNS; those whose label is null count nowhere."""
        known = rows.select(label=label, unit=UNIT, **_BY).drop_nulls("label")
        counted = (
            known.drop_nulls(name)
            .group_by(pl.col(name).cast(pl.String).alias("value"), "label", "unit")
            .agg(count=pl.len().cast(pl.UInt64))
            .select(pl.lit(name).alias("by"), *_TALLY.names()[1:])
            .cast(_TALLY)
            for name in _BY
        )
        self._counts = add_up([self._counts, *counted], _KEYS)

    def share(self) -> dict[str, LabelShare]:
        """Give the share of each label among all turns, as `share_labels` does."""
        return share_labels(self._counts.filter(pl.col("by") == _ALL), self.categories)

    def share_by(self) -> dict[str, dict[str, Labels]]:
        """Give {by: {value: its labels}}: the commonest value first, turns in their order; nothing of no turns."""
        return {} if self._counts.is_empty() else {name: self._share(name) for name in _BY if name != _ALL}

    def _share(self, name: str) -> dict[str, Labels]:
        own = self._counts.filter(pl.col("by") == name)
        totals = own.group_by(pl.col("value").cast(pl.String)).agg(pl.col("count").sum())
        ordered = totals.sort("value") if name == "turn" else totals.sort("count", "value", descending=[True, False])
        shares = _name(bound_shares(own), self.categories)
        return {value: Labels(rows=rows, shares=shares[value]) for value, rows in ordered.iter_rows()}


def share_labels(labels: pl.DataFrame, categories: Sequence[str]) -> dict[str, LabelShare]:
    """Give the share of each label that was given, in the order of `categories`; nothing of no turns.

    labels: `label, unit, count`, how many turns with a label each unit gives.
    """
    return _name(bound_shares(labels.with_columns(value=pl.lit(_ALL))), categories).get(_ALL, {})


def _name(shares: pl.DataFrame, categories: Sequence[str]) -> dict[str, dict[str, LabelShare]]:
    """Give {value: {label: its share}}, labels in the order of `categories`."""
    order = pl.col("label").cast(pl.Enum(categories))
    ordered = shares.with_columns(pl.col("value", "label").cast(pl.String)).sort("value", order)
    found: dict[str, dict[str, LabelShare]] = {}
    columns = ordered.select("value", "label", "rows", "share", "low", "high")
    for value, label, rows, share, low, high in columns.iter_rows():
        found.setdefault(value, {})[label] = LabelShare(rows=rows, share=share, low=low, high=high)
    return found


def bound_shares(counts: pl.DataFrame) -> pl.DataFrame:
    """Give `value, label, rows, share, effective, low, high`: each label's share among the turns of a value, bounded.

    counts: `value, label, unit, count`. Wilson's interval (1927) is taken of the `effective` turns (`find_effective`).
    """
    share, effective = pl.col("share"), pl.col("effective")
    square = _Z * _Z / effective
    middle = (share + square / 2) / (1 + square)
    half = _Z * (share * (1 - share) / effective + square / (4 * effective)).sqrt() / (1 + square)
    return find_effective(counts).with_columns(
        low=(middle - half).clip(lower_bound=0), high=(middle + half).clip(upper_bound=1)
    )


def find_effective(counts: pl.DataFrame) -> pl.DataFrame:
    """Give `value, label, rows, share, effective`: of how many independent turns a share would be as uncertain.

    counts: `value, label, unit, count`. A unit's turns are alike, and count for fewer than they are: as many as would
    vary as much as the share does when units are drawn anew (Kish 1965, section 8.2). How it varies is told by the
    jackknife, which leaves out one unit at a time: where all give as much, G of them, it is their plain variance times
    G / (G - 1). Few units tell little of that, so that the size is also cut by the ratio of Student's quantiles (Korn
    and Graubard 1998, Survey Methodology 24, 193-201). Units that give unevenly are fewer than they are: as many even
    ones as Kish has it, which is also the size where all turns have a label, or none has. One alone counts as one turn.
    """
    count, given, share, total, even = (pl.col(name) for name in ("count", "given", "share", "total", "even"))
    counts = counts.with_columns(count.cast(pl.Float64))
    of_unit = counts.group_by("value", "unit").agg(given=count.sum()).with_columns(total=given.sum().over("value"))
    of_unit = of_unit.with_columns(weight=(total - given) ** -2)
    squares = (given**2 * pl.col("weight")).sum()
    totals = of_unit.group_by("value").agg(
        total.first(), squares=squares, even=given.sum() ** 2 / (given**2).sum(), units=pl.len()
    )
    of_turns, of_units = (pl.Series(stdtrit(totals[name].to_numpy() - 1, _SIDE)) for name in ("total", "even"))
    hits = counts.join(of_unit.drop("total"), on=["value", "unit"]).group_by("value", "label")
    own, both = (pl.col("weight") * count * other for other in (count, given))
    sums = hits.agg(rows=count.sum(), own=own.sum(), both=both.sum())
    varied = (1 - 1 / pl.col("units")) * (pl.col("own") - 2 * share * pl.col("both") + share**2 * pl.col("squares"))
    design = varied / (share * (1 - share) / (total - 1))
    known = (even > 1) & pl.col("rows").is_between(0, total, closed="none")  # a share may be 1 but for its rounding
    effective = pl.when(known).then(total / design.clip(lower_bound=1) * pl.col("few")).otherwise(even)
    return (
        sums.join(totals.with_columns(few=(of_turns / of_units) ** 2), on="value")
        .with_columns(share=pl.col("rows") / total)
        .select("value", "label", pl.col("rows").cast(pl.Int64), "share", effective=effective.clip(lower_bound=1))
    )
