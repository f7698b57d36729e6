"""Statistics of a release of feedback, from the columns of its shards; exact, as those of pairs are.

What the judge said of all turns, neutral ones included, is read from the partitions that the build stands on. Users are
counted by hash: memory grows with their number, as it does with that of conversations.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import polars as pl

from schemas.identity import hash64
from schemas.judging import State
from schemas.manifest import Partition, ReleaseManifest, Snapshot
from schemas.statistics import Collection, FeedbackStatistics, UserDiversity
from warehouse.counting import COUNTS, add_up, count_measures, distribution, of, rows_a_group
from warehouse.label_shares import COLUMNS, LabelTally
from warehouse.partitions import find_partition, read_partition
from warehouse.root import Root
from warehouse.shards import canonical_shards, read_columns

_MEASURES: Mapping[str, pl.Expr] = MappingProxyType(
    {name: pl.col(name) for name in ("turn", "prompt_chars", "response_chars", "feedback_chars")}
)
_VALUES = {
    "origins": "origin",
    "judges": "judge_model",
    "rubrics": "rubric",
    "languages": "language",
    "models": "model",
    "countries": "country",
}
"""Figures that count the values of a column, and which."""

_COLUMNS = list(dict.fromkeys(["community", "category", "pii", "better_turn", *COLUMNS, *_MEASURES, *_VALUES.values()]))
_COUNTED = pl.Schema({"column": pl.String, "value": pl.String, "count": pl.UInt64})
_KEYS = ["column", "value"]
_USERS = pl.Schema({"user": pl.UInt64, "count": pl.UInt64})
_PARTS = pl.Schema({"community": pl.String, "language": pl.String, "rows": pl.UInt64, "masked": pl.UInt64})

_LABELS, _CHATS = "labels", "chats"
"""Stages of the chats route; partition n of both holds the same conversations."""
_OF_CHAT = ("group_id", "model", "country")
_OF_TURN = tuple(name for name in COLUMNS if name not in _OF_CHAT[1:])


def feedback_statistics(
    root: Root, manifest: ReleaseManifest, categories: Sequence[str], published: Mapping[str, float]
) -> FeedbackStatistics:
    """Describe a release of feedback, a shard at a time; raises CorruptError where a shard cannot be read.

    categories: names of the view's labels, from 1. published: shares of some of them in the view's paper.
    """
    counts, values, users, parts = (pl.DataFrame(schema=schema) for schema in (COUNTS, _COUNTED, _USERS, _PARTS))
    released = LabelTally(categories)
    better: int | None = None
    for shard in canonical_shards(manifest):
        rows = read_columns(root, manifest, shard, _COLUMNS)
        counts = add_up([counts, *count_measures(rows, _MEASURES)], ["measure", "value"])
        values = add_up([values, *(_count_values(rows, column) for column in _VALUES.values())], _KEYS)
        released.add(rows, pl.col("category"))
        users = add_up([users, _count_users(rows)], ["user"])
        parts = add_up([parts, _count_parts(rows)], ["community", "language"])
        if "better_turn" in rows.columns:  # releases of before have no such column
            better = (better or 0) + rows["better_turn"].count()
    judged, failures = _read_judged(root, manifest, categories)
    conversations = distribution(rows_a_group(root, manifest))
    figures: dict[str, Any] = {name: _values_of(values, column) for name, column in _VALUES.items()}
    figures |= {name: distribution(of(counts, name)) for name in _MEASURES}
    return FeedbackStatistics(
        release=manifest.name,
        build=manifest.build,
        rows=int(parts["rows"].sum()),
        funnel=manifest.funnel,
        splits=manifest.splits,
        communities=_describe_parts(parts),
        licenses=manifest.licenses,
        judged=judged.share(),
        failures=failures,
        published=dict(published),
        labels=released.share(),
        labels_by=judged.share_by() or released.share_by(),
        better=better,
        **figures,
        conversations=conversations.rows,
        rows_per_conversation=conversations,
        users=describe_users(users["count"], int(parts["rows"].sum())),
    )


def describe_users(counts: pl.Series, rows: int) -> UserDiversity:
    """Describe how rows are spread over users. counts: rows of each user; rows: of all, with a user or without."""
    ordered = counts.sort(descending=True).cast(pl.Int64)
    users, total = len(ordered), int(ordered.sum())
    if not users:
        return UserDiversity(
            users=0, rows_without=rows, rows_per_user=None, top_hundredth=None, top_tenth=None, gini=None
        )
    grouped = ordered.to_frame("value").group_by("value").agg(count=pl.len().cast(pl.UInt64))
    rank = pl.int_range(users, 0, -1, eager=True)  # the user with the most rows has the highest
    return UserDiversity(
        users=users,
        rows_without=rows - total,
        rows_per_user=distribution(grouped),
        top_hundredth=int(ordered.head(-(-users // 100)).sum()) / total,
        top_tenth=int(ordered.head(-(-users // 10)).sum()) / total,
        gini=2 * float((rank * ordered).sum()) / (users * total) - (users + 1) / users,
    )


def _read_judged(root: Root, manifest: ReleaseManifest, categories: Sequence[str]) -> tuple[LabelTally, dict[str, int]]:
    """Count what the judge said first of every turn, and how the others ended, from the build's partitions."""
    names = dict(enumerate(categories, start=1))
    label = pl.col("first_label").replace_strict(names, return_dtype=pl.String, default=None)
    tally, states = LabelTally(categories), pl.DataFrame(schema=_COUNTED)
    for labelled, chats in _find_pieces(root, manifest):
        rows = pl.DataFrame(read_partition(root, labelled, [*_OF_TURN, "first_label", "state"]))
        told = pl.DataFrame(read_partition(root, chats, [*_OF_CHAT, "language"])).rename({"language": "told"})
        known = rows.join(told, on="group_id", how="left").with_columns(language=pl.coalesce("language", "told"))
        tally.add(known, label)
        states = add_up([states, _count_values(rows.filter(pl.col("state") != State.OK), "state")], _KEYS)
    return tally, _values_of(states, "state")


def _find_pieces(root: Root, manifest: ReleaseManifest) -> Iterator[tuple[Partition, Partition]]:
    """Find the partitions of labels and of their conversations, those that belong together; none that are gone."""
    snapshot = root.read_record(f"snapshots/{manifest.name}/{manifest.build}.json", Snapshot)
    stages = snapshot.partitions if snapshot else {}
    for source, prints in stages.get(_LABELS, {}).items():
        for labels, chats in zip(prints, stages[_CHATS][source], strict=True):
            pair = find_partition(root, _LABELS, labels), find_partition(root, _CHATS, chats)
            if pair[0] is not None and pair[1] is not None:
                yield pair[0], pair[1]


def _count_users(rows: pl.DataFrame) -> pl.DataFrame:
    known = rows.filter(pl.col("user").is_not_null())
    return known.group_by(user=hash64("user")).agg(count=pl.len().cast(pl.UInt64))


def _count_values(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    counted = rows.select(value=pl.col(column)).drop_nulls().group_by("value").agg(count=pl.len().cast(pl.UInt64))
    return counted.select(pl.lit(column).alias("column"), "value", "count")


def _values_of(values: pl.DataFrame, column: str) -> dict[str, int]:
    """Give the counts of one column, the largest first."""
    own = values.filter(pl.col("column") == column).sort("count", "value", descending=[True, False])
    return dict(zip(own["value"], own["count"], strict=True))


def _count_parts(rows: pl.DataFrame) -> pl.DataFrame:
    masked = (pl.col("pii") > 0).cast(pl.UInt64).sum()
    return rows.group_by("community", "language").agg(rows=pl.len().cast(pl.UInt64), masked=masked)


def _describe_parts(parts: pl.DataFrame) -> dict[str, Collection]:
    spoken: dict[str, dict[str, int]] = {}
    known = parts.filter(pl.col("language").is_not_null()).sort("rows", "language", descending=[True, False])
    for community, language, rows in known.select("community", "language", "rows").iter_rows():
        spoken.setdefault(community, {})[language] = rows
    totals = parts.drop("language").group_by("community").agg(pl.all().sum()).sort("community")
    return {
        community: Collection(rows=rows, languages=spoken.get(community, {}), masked=masked)
        for community, rows, masked in totals.iter_rows()
    }
