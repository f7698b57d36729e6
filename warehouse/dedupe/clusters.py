"""Verified edges -> clusters -> decisions: which group of each cluster is kept, and why the others are not."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from schemas.drops import DropReason
from schemas.errors import RecipeError, nearest

LABELS = pa.schema([("ref", pa.uint64()), ("component", pa.uint64())])
DECISIONS = pa.schema(
    [
        ("ref", pa.uint64()),
        ("cluster_id", pa.string()),
        ("cluster_size", pa.int32()),
        ("kept", pa.bool_()),
        ("reason", pa.string()),
        ("survivor", pa.uint64()),
    ]
)

LICENSES = (
    r"^(CC0-|PDDL-|Unlicense$|0BSD$|CC-PDDC$)",
    r"^(MIT|Apache-2\.0|BSD-[23]-Clause|ISC)$",
    r"^CC-BY-\d",
    r"^ODC-By-",
    r"^(CC-BY-SA-|ODbL-)",
    r"^CC-BY-N[CD]-",
)
"""SPDX ids as patterns, the most permissive first: nothing asked, a notice, attribution, share-alike, restricted."""


def _license_rank() -> pl.Expr:
    rank = pl.lit(None, pl.Int32)
    for place, pattern in reversed(list(enumerate(LICENSES))):
        rank = pl.when(pl.col("license").str.contains(pattern)).then(place).otherwise(rank)
    return rank


_Order = tuple[tuple[pl.Expr, bool], ...]

KEEP: dict[str, _Order] = {
    "score": ((pl.col("score"), True),),
    "license": ((_license_rank(), False),),
    "newest": ((pl.col("snapshot_at"), True), (pl.col("created_at"), True)),
    "oldest": ((pl.col("created_at"), False),),
    "longest": ((pl.col("chars"), True),),
    "priority": ((pl.col("priority"), False),),
}
"""What a recipe may prefer: columns in order, each with whether the greatest comes first. Nulls always come last."""

_TIES: _Order = ((pl.col("group_id"), False), (pl.col("ref"), False))
_OLDEST: _Order = (*KEEP["oldest"], *_TIES)


def label(edges: pa.Table) -> pa.Table:
    """Find the connected components of `left, right` -> `ref, component`, by ref; the component is its smallest ref."""
    ends = np.concatenate([edges["left"].to_numpy(), edges["right"].to_numpy()])
    refs, nodes = np.unique(ends, return_inverse=True)
    left, right = np.split(nodes, 2)
    graph = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=(len(refs), len(refs)))
    _, labels = connected_components(graph, directed=False)
    _, smallest = np.unique(labels, return_index=True)  # refs ascend, so the first of each label is its smallest
    return pa.table([refs, refs[smallest][labels]], schema=LABELS)


def decide(members: pa.Table, keep: Sequence[str]) -> pa.Table:
    """Choose the survivor of each component.

    members: `ref, component, group_id` and, each of them null where unknown, `text_hash, created_at, snapshot_at,
        score, chars, license, priority`; and where several routes are among them `route`, the place of a member's in
        what the recipe prefers, which decides before all else.
    keep: names of KEEP; the first decides, the next breaks its ties; then the smallest group_id, then ref. So the
        order is total, and no order of rows or partitions changes the choice.
    answer: one row a member, by ref. `cluster_id` is the group_id of the oldest member: newer duplicates leave it, and
        with it the split of the cluster, as it was. (A newcomer like two clusters joins them, under the older's id.)
        `reason` is null for survivors; for others same_thread where the survivor has the same group_id,
        exact_duplicate where it has the same text_hash, else near_duplicate, a text inside another one included.

    Raises RecipeError for an unknown criterion.
    """
    frame = pl.DataFrame(pl.from_arrow(members))
    first: _Order = ((pl.col("route"), False),) if "route" in frame.columns else ()
    order = (*first, *(column for name in keep for column in _criterion(name)), *_TIES)
    survivors = _first_of_each(frame, order).select(
        "component", survivor="ref", best_group="group_id", best_hash="text_hash", cluster_size="size"
    )
    oldest = _first_of_each(frame, _OLDEST).select("component", cluster_id="group_id")
    joined = frame.join(survivors, on="component").join(oldest, on="component").sort("ref")
    kept = joined.with_columns(kept=pl.col("ref") == pl.col("survivor")).with_columns(reason=_reason())
    return kept.select(DECISIONS.names).to_arrow().cast(DECISIONS)


def check_keep(keep: Sequence[str]) -> None:
    """Refuse an unknown criterion with RecipeError, before anything is computed."""
    for name in keep:
        _criterion(name)


def _criterion(name: str) -> _Order:
    if name not in KEEP:
        raise RecipeError(f"dedupe: `keep` names `{name}`; {nearest(name, KEEP)}")
    return KEEP[name]


def _first_of_each(frame: pl.DataFrame, order: _Order) -> pl.DataFrame:
    """First member of each component in that order, with the component's `size`."""
    columns, descending = zip(*order, strict=True)
    ranked = frame.sort(*columns, descending=list(descending), nulls_last=True)
    return ranked.group_by("component", maintain_order=True).agg(pl.all().first(), size=pl.len())


def _reason() -> pl.Expr:
    same_thread = pl.col("group_id") == pl.col("best_group")
    same_text = (pl.col("text_hash") == pl.col("best_hash")).fill_null(value=False)
    return (
        pl.when("kept")
        .then(None)
        .when(same_thread)
        .then(pl.lit(DropReason.SAME_THREAD.value))
        .when(same_text)
        .then(pl.lit(DropReason.EXACT_DUPLICATE.value))
        .otherwise(pl.lit(DropReason.NEAR_DUPLICATE.value))
    )
