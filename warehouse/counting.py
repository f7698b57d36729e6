"""Counting: how often each value of a measure occurs, shard by shard. Such tables add up, and hold every quantile."""

from collections.abc import Mapping, Sequence

import polars as pl

from schemas.identity import hash64
from schemas.manifest import ReleaseManifest
from schemas.statistics import Distribution
from warehouse.root import Root
from warehouse.shards import canonical_shards, read_columns

COUNTS = pl.Schema({"measure": pl.String, "value": pl.Int64, "count": pl.UInt64})
"""How often each value of each measure occurs."""

_GROUPS = pl.Schema({"group": pl.UInt64, "count": pl.UInt64})


def count_measures(rows: pl.DataFrame, measures: Mapping[str, pl.Expr]) -> list[pl.DataFrame]:
    """Count how often each value of each measure (a whole number) occurs; rows that lack one count nowhere there."""
    return [_count(rows, name, measure) for name, measure in measures.items()]


def _count(rows: pl.DataFrame, name: str, measure: pl.Expr) -> pl.DataFrame:
    values = rows.select(value=measure.cast(pl.Int64)).drop_nulls()
    counted = values.group_by("value").agg(count=pl.len().cast(pl.UInt64))
    return counted.select(pl.lit(name).alias("measure"), "value", "count")


def add_up(tables: Sequence[pl.DataFrame], keys: Sequence[str]) -> pl.DataFrame:
    """Add tables of counts."""
    return pl.concat(tables).group_by(keys).agg(pl.all().sum())


def of(counts: pl.DataFrame, measure: str) -> pl.DataFrame:
    """Give the counts of one measure: `value, count`."""
    return counts.filter(pl.col("measure") == measure).select("value", "count")


def shares(counts: pl.DataFrame, measure: str) -> dict[int, float]:
    """Give the share of each value of a measure."""
    own = of(counts, measure)
    return dict(zip(own["value"], own["count"] / max(own["count"].sum(), 1), strict=True))


def distribution(counts: pl.DataFrame) -> Distribution:
    """Describe at least one whole number, given as `value, count`. Quantiles are of the nearest rank."""
    ordered = counts.sort("value").with_columns(reached=pl.col("count").cum_sum())
    rows = int(ordered["count"].sum())

    def at(percent: int) -> int:
        rank = max(-(-rows * percent // 100), 1)
        return int(ordered["value"][ordered["reached"].search_sorted(rank)])

    return Distribution(
        rows=rows,
        mean=float((ordered["value"] * ordered["count"].cast(pl.Float64)).sum()) / rows,
        min=at(0),
        p5=at(5),
        p25=at(25),
        median=at(50),
        p75=at(75),
        p95=at(95),
        max=at(100),
    )


def rows_a_group(root: Root, manifest: ReleaseManifest) -> pl.DataFrame:
    """Count groups by their number of rows: `value, count`. All are held, hashed: rows of one lie in any shard."""
    groups = pl.DataFrame(schema=_GROUPS)
    for shard in canonical_shards(manifest):
        found = read_columns(root, manifest, shard, ["group_id"]).select(group=hash64("group_id"))
        groups = add_up([groups, found.with_columns(count=pl.lit(1, pl.UInt64))], ["group"])
    return groups.group_by(value=pl.col("count").cast(pl.Int64)).agg(count=pl.len().cast(pl.UInt64))
