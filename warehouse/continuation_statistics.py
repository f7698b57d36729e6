"""Statistics of a release of continuations, from the columns of its shards; exact, as those of pairs are.

Hosts are counted by name: memory grows with the number of hosts, as it does with that of documents (a hash each).
"""

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from schemas.manifest import ReleaseManifest
from schemas.recipe import Recipe, check
from schemas.statistics import ContinuationStatistics, Corpus
from warehouse.counting import COUNTS, add_up, count_measures, distribution, of, rows_a_group
from warehouse.root import Root
from warehouse.shards import canonical_shards, read_columns

_MEASURES: Mapping[str, pl.Expr] = MappingProxyType(
    {
        "prefix_tokens": pl.col("prefix_tokens"),
        "suffix_tokens": pl.col("suffix_tokens"),
        "prefix_chars": pl.col("cut") - pl.col("start"),
        "suffix_chars": pl.col("end") - pl.col("cut"),
    }
)
_LABELS = ("host", "mode", "hard")
"""Columns whose values are counted one by one."""

_COLUMNS = ["community", "language", "prefix_tokens", "suffix_tokens", "start", "cut", "end", *_LABELS]

_VALUES = pl.Schema({"column": pl.String, "value": pl.String, "count": pl.UInt64})
_TOKENS = ("prefix_tokens", "suffix_tokens")
_PARTS = pl.Schema(dict.fromkeys(("community", "language"), pl.String) | dict.fromkeys(("rows", *_TOKENS), pl.UInt64))

_MOST_HOSTS = 20


def continuation_statistics(root: Root, manifest: ReleaseManifest) -> ContinuationStatistics:
    """Describe a release of continuations, a shard at a time; raises CorruptError where a shard cannot be read."""
    counts, values, parts = (pl.DataFrame(schema=schema) for schema in (COUNTS, _VALUES, _PARTS))
    for shard in canonical_shards(manifest):
        rows = read_columns(root, manifest, shard, _COLUMNS)
        counts = add_up([counts, *count_measures(rows, _MEASURES)], ["measure", "value"])
        values = add_up([values, *(_count_values(rows, column) for column in _LABELS)], ["column", "value"])
        parts = add_up([parts, _count_by_part(rows)], ["community", "language"])
    documents = distribution(rows_a_group(root, manifest))
    hosts = _values_of(values, "host")
    size = check(Recipe, manifest.recipe, f"recipe of {manifest.name}").windows.size
    return ContinuationStatistics(
        release=manifest.name,
        build=manifest.build,
        rows=int(parts["rows"].sum()),
        funnel=manifest.funnel,
        splits=manifest.splits,
        communities=_describe_parts(parts),
        licenses=manifest.licenses,
        documents=documents.rows,
        blocks_per_document=documents,
        hosts=len(hosts),
        largest_hosts=dict(list(hosts.items())[:_MOST_HOSTS]),
        modes=_values_of(values, "mode"),
        hard=_values_of(values, "hard"),
        **{name: distribution(of(counts, name)) for name in _MEASURES},
        window=size,
        windows=sum(split.rows for split in manifest.splits.values()) // size,
    )


def _count_values(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    known = rows.select(value=pl.col(column)).drop_nulls()
    counted = known.group_by("value").agg(count=pl.len().cast(pl.UInt64))
    return counted.select(pl.lit(column).alias("column"), "value", "count")


def _values_of(values: pl.DataFrame, column: str) -> dict[str, int]:
    """Give the counts of one column, the largest first."""
    own = values.filter(pl.col("column") == column).sort("count", "value", descending=[True, False])
    return dict(zip(own["value"], own["count"], strict=True))


def _count_by_part(rows: pl.DataFrame) -> pl.DataFrame:
    sums = {name: pl.col(name).cast(pl.UInt64).sum() for name in _TOKENS}
    return rows.group_by("community", "language").agg(rows=pl.len().cast(pl.UInt64), **sums)


def _describe_parts(parts: pl.DataFrame) -> dict[str, Corpus]:
    spoken: dict[str, dict[str, int]] = {}
    known = parts.filter(pl.col("language").is_not_null())
    for community, language, count in (
        known.sort("rows", "language", descending=[True, False]).select("community", "language", "rows").iter_rows()
    ):
        spoken.setdefault(community, {})[language] = count
    totals = parts.drop("language").group_by("community").agg(pl.all().sum()).sort("community")
    return {
        community: Corpus(rows=rows, prefix_tokens=prefix, suffix_tokens=suffix, languages=spoken.get(community, {}))
        for community, rows, prefix, suffix in totals.iter_rows()
    }
