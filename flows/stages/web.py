"""Stages of the web route: documents, blocks, their splits and places, and windows."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from flows.stages.corpus import GROUP
from flows.work import Inputs
from miners.web.mining.blocks import cut_blocks
from miners.web.mining.documents import filter_documents
from miners.web.mining.tokens import open_tokenizer
from schemas.identity import hash64
from schemas.outcome import NOTHING_DROPPED, Outcome
from schemas.recipe import Blocks, Documents, Licenses, Windows, check
from schemas.signals import CONTINUATION
from warehouse.partitions import read_bucket
from warehouse.shuffle import ORDER_COLUMNS, order_rows
from warehouse.splits import assign_split
from warehouse.windows import Deal, deal_windows

Given = Mapping[str, Any]


def filter_bucket(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Let the recipe's filters see the documents of one bucket, of which all copies are there."""
    yield filter_documents(
        inputs.table("slices"),
        check(Documents, given["documents"], "documents"),
        model=given.get("model"),
        sample=given["sample"],
        seed=given["seed"],
        licenses=check(Licenses, given["licenses"], "licenses"),
    )


def list_groups(inputs: Inputs, given: Given) -> pa.Table:
    """Describe the documents of one bucket to dedupe: each is a group of its own, and its text is the group's."""
    columns = ["source", "doc_id", "text", "crawled_at", "license"]
    documents = pl.DataFrame(inputs.table("groups", columns))
    entry = pl.lit(given["entry"])
    groups = documents.select(
        group_id=pl.concat_str("source", "doc_id", separator="/"),
        entry=entry,
        created_at="crawled_at",
        snapshot_at="crawled_at",
        score=pl.lit(None, pl.Int64),  # votes; a corpus has none
        license="license",
        text=pl.col("text").str.normalize("NFC"),  # composed or not, a letter is a letter
    ).with_columns(ref=hash64(entry, "group_id"), group_key=hash64("group_id"))
    return groups.select(GROUP.names).sort("group_id").to_arrow().cast(GROUP)


def cut_bucket(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Cut the documents of one bucket that dedupe kept into blocks, filed under their part of the corpus."""
    yield cut_blocks(
        inputs.table("documents"),
        inputs.table("decisions", ["group_id", "cluster_id", "kept"]),
        check(Blocks, given["blocks"], "blocks"),
        tokenizer=open_tokenizer(given.get("tokenizer")),
        seed=given["seed"],
        community=given["community"],
    )


def place_blocks(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Give each block its split and its place in the release's order."""
    blocks = inputs.table("blocks")
    rows = pl.DataFrame(blocks).with_columns(split=assign_split(given["splits"], given["seed"]))
    placed = order_rows(rows, list(given["splits"]), given["places"], given["seed"], together=given["together"])
    extra = [field for field in blocks.schema if field.name not in CONTINUATION.names]
    schema = pa.schema([*CONTINUATION, *extra, *ORDER_COLUMNS])
    yield Outcome(placed.select(schema.names).to_arrow().cast(schema), NOTHING_DROPPED, blocks.num_rows)


def deal(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Deal the rows of some places over windows."""
    asked = Deal(**{**given["deal"], "places": tuple(given["deal"]["places"])})
    parts = inputs.work.inputs["placed"]
    rows = pa.concat_tables([read_bucket(inputs.root, parts, place) for place in asked.places])
    yield deal_windows(rows, asked, check(Windows, given["windows"], "windows"))
