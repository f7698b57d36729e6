"""Stages that see the corpus as a whole: dedupe, and the cutting of shards."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from flows.work import Inputs, load_function
from schemas.inputs import UTC_MILLIS
from schemas.outcome import NOTHING_DROPPED, Outcome
from warehouse.dedupe.bands import band_rows, candidates, distinct
from warehouse.dedupe.clusters import decide, label
from warehouse.dedupe.containment import find_contained, pair_overlaps, sample_shingles, sum_overlaps
from warehouse.dedupe.edges import attach, verify
from warehouse.dedupe.signatures import Sketch, signature_table
from warehouse.layouts import layout_of
from warehouse.partitions import read_bucket
from warehouse.shuffle import Cut, take_cut

Given = Mapping[str, Any]

GROUP = pa.schema(
    [
        pa.field("ref", pa.uint64(), nullable=False),  # of this copy of the group, in dedupe
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("group_key", pa.uint64(), nullable=False),  # equal for copies of one group in several inputs
        pa.field("entry", pa.string(), nullable=False),
        pa.field("created_at", UTC_MILLIS),
        pa.field("snapshot_at", UTC_MILLIS),  # last sign of life
        pa.field("score", pa.int64()),
        pa.field("license", pa.string()),
        pa.field("text", pa.string()),
    ]
)
"""What dedupe wants to know of a thread, a document or a conversation: its text, and what the keep policy asks."""

_POLICY = ("ref", "group_id", "entry", "created_at", "snapshot_at", "score", "license", "chars", "text_hash")


def sign_groups(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Describe each group of one partition, and sign its text."""
    groups = load_function(given["groups"])(inputs, given)
    yield _all_kept(signature_table(groups, _sketch(given)))


def list_bands(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Give the keys under which a group may meet its duplicates."""
    signatures = inputs.table("signatures")
    yield Outcome(band_rows(signatures, _sketch(given)), NOTHING_DROPPED, signatures.num_rows, signatures.num_rows)


def pair_candidates(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Pair up the groups that meet under a key."""
    rows = inputs.table("bands")
    yield Outcome(candidates(rows), NOTHING_DROPPED, rows.num_rows, rows.num_rows)


def attach_signatures(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Bring the first group's signature to each candidate, once for each pair however many keys it shares."""
    found = inputs.table("candidates")
    attached = attach(distinct(found), inputs.table("signatures", ["ref", "signature"]))
    yield Outcome(attached, NOTHING_DROPPED, found.num_rows, consumed=found.num_rows)


def verify_edges(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Keep the candidates that are alike enough by their whole signatures."""
    yield verify(inputs.table("attached"), inputs.table("signatures", ["ref", "signature"]), given["threshold"])


def sample_groups(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Sample the shingles of each group of one partition."""
    groups = load_function(given["groups"])(inputs, given)
    rows = sample_shingles(groups, given["shingle"], given["side"])
    yield Outcome(rows, NOTHING_DROPPED, groups.num_rows, consumed=groups.num_rows)


def overlap_groups(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Count the shingles of one bucket that groups of different routes share."""
    rows = inputs.table("shingles")
    yield Outcome(pair_overlaps(rows), NOTHING_DROPPED, rows.num_rows, consumed=rows.num_rows)


def measure_overlaps(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Sum up what each pair of groups shares over all buckets."""
    overlaps = inputs.table("overlaps")
    yield Outcome(sum_overlaps(overlaps), NOTHING_DROPPED, overlaps.num_rows, consumed=overlaps.num_rows)


def contain(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Find the groups that stand inside one of another route, or have it inside them."""
    sums = inputs.table("measured")
    edges = find_contained(sums, inputs.table("overlaps"), given["threshold"])
    yield Outcome(edges, NOTHING_DROPPED, sums.num_rows, consumed=sums.num_rows)


def cluster(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Find the clusters and who survives in each. Memory grows with the duplicates, not with the corpus."""
    labels = pl.DataFrame(label(inputs.table("edges")))
    found: list[pl.DataFrame] = []
    ages: list[pl.DataFrame] = []
    for table in inputs.each("signatures", _POLICY):
        groups = pl.DataFrame(table)
        found.append(groups.join(labels, on="ref"))
        ages.append(groups.group_by("entry").agg(pl.max("snapshot_at")))
    # An input is as new as the newest thing in it: of two dumps of one site the later has the later votes everywhere.
    age = pl.concat(ages).group_by("entry").agg(pl.max("snapshot_at"))
    priority = {name: at for at, name in enumerate(given["entries"])}
    members = (
        pl.concat(found)
        .drop("snapshot_at")
        .join(age, on="entry")
        .with_columns(priority=pl.col("entry").replace_strict(priority, return_dtype=pl.Int32))
    )
    if "routes" in given:  # a place for each entry's
        routes = dict(zip(given["entries"], given["routes"], strict=True))
        members = members.with_columns(route=pl.col("entry").replace_strict(routes, return_dtype=pl.Int32))
    yield _all_kept(decide(members.sort("ref").to_arrow(), given["keep"]))


def decide_groups(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Write the decision on every group of one partition, those without a duplicate included."""
    groups = pl.DataFrame(inputs.table("signatures", ["ref", "group_id"]))
    frame = groups.join(pl.DataFrame(inputs.table("clusters")), on="ref", how="left").with_columns(
        cluster_id=pl.coalesce("cluster_id", "group_id"),
        cluster_size=pl.col("cluster_size").fill_null(1),
        kept=pl.col("kept").fill_null(value=True),
        survivor=pl.coalesce("survivor", "ref"),
    )
    table = frame.sort("group_id").to_arrow()
    gone = frame.filter(~pl.col("kept")).select(pl.col("reason"), pl.col("group_id").alias("ref"), "cluster_id")
    yield Outcome(table, gone.to_arrow(), table.num_rows, consumed=table.num_rows - gone.height)


def cut_shard(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Cut one shard out of the ordered rows of its places."""
    cut = Cut(**{**given["cut"], "places": tuple(given["cut"]["places"])})
    parts = inputs.work.inputs["selected"]
    rows = pa.concat_tables([read_bucket(inputs.root, parts, place) for place in cut.places])
    yield _all_kept(take_cut(rows, cut))


def project_shard(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Bring one shard into the columns that a trainer reads."""
    table = inputs.table("shard")
    yield _all_kept(layout_of(given["route"]).projections[given["config"]](table, given["window"]))


def _sketch(given: Given) -> Sketch:
    return Sketch(**given["sketch"])


def _all_kept(table: pa.Table) -> Outcome:
    return Outcome(kept=table, dropped=NOTHING_DROPPED, rows_in=table.num_rows)
