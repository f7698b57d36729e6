"""Projections: a release's rows in the exact columns of one trainer. Each is a function from shard to shard."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import polars as pl
import pyarrow as pa

from schemas.identity import hash64
from schemas.inputs import Route
from schemas.signals import MESSAGES
from warehouse.feedback_projections import project_kto, project_ordinal, project_wildreward

Projection = Callable[[pa.Table, int | None], pa.Table]
"""(rows of one shard in canonical columns, rows a window or None where the rows have no windows) -> as many rows.

A shard of continuations has windows; one in `tail/`, and one of another route, has none.
"""

_STRING = pa.string()
_IDS = pa.list_(pa.int32())

TRL_REWARD = pa.schema([pa.field("chosen", MESSAGES, nullable=False), pa.field("rejected", MESSAGES, nullable=False)])
"""TRL RewardTrainer, conversational with implicit prompt: the recommended form of its dataset_formats page."""

IN_BATCH = pa.schema(
    [
        pa.field("prefix", _STRING, nullable=False),
        pa.field("suffix", _STRING, nullable=False),
        pa.field("prefix_ids", _IDS),  # null where the recipe stores no token ids
        pa.field("suffix_ids", _IDS),
        pa.field("doc_id", _STRING, nullable=False),
        pa.field("cluster_id", pa.int64(), nullable=False),  # equal ones must not be taken for each other's negatives
        pa.field("source", _STRING, nullable=False),
        pa.field("window", pa.int32()),  # of its file, from 0; null in the tail, which has no windows
        pa.field("position", pa.int32()),  # in its window, from 0
        pa.field("hard", _STRING),
    ]
)
"""For losses whose negatives are the other rows of the batch: a batch is a window, and row i's positive is suffix i.

There is no `rejected` column on purpose: it would be one of the other suffixes, which the trainer permutes itself.
"""

RBS = pa.schema(
    [
        pa.field("data_source", _STRING, nullable=False),
        pa.field("prompt", MESSAGES, nullable=False),
        pa.field("ability", _STRING, nullable=False),
        pa.field(
            "reward_model",
            pa.struct([pa.field("style", _STRING), pa.field("ground_truth", _STRING)]),
            nullable=False,
        ),
        pa.field(
            "extra_info",
            pa.struct(
                [
                    pa.field("use_nonembedding", pa.bool_()),
                    pa.field("similarity_method", _STRING),
                    pa.field("split", _STRING),
                    pa.field("index", pa.int64()),  # of the row in its file
                    pa.field("answer", _STRING),
                    pa.field("question", _STRING),
                ]
            ),
            nullable=False,
        ),
    ]
)
"""Rows as the code of RBS (arXiv 2603.02225) writes them for its fork of verl, which reads them in file order."""


def project_trl(pairs: pa.Table, _window: int | None = None) -> pa.Table:
    """Give whole conversations, prompt included.

    `margin` stays behind on purpose: TRL subtracts a column of that name inside its loss, and votes are not logits.
    """
    frame = pl.DataFrame(pairs.select(["prompt", "chosen", "rejected"]))
    whole = {role: pl.concat_list("prompt", role) for role in ("chosen", "rejected")}
    return frame.select(**whole).to_arrow().cast(TRL_REWARD)


def project_in_batch(rows: pa.Table, window: int | None = None) -> pa.Table:
    """Give prefix and suffix with what a trainer needs to mask or to check: document, cluster, window and position.

    window: rows a window. Windows start with the file; None: the rows have none, and window and position are null.
    """
    taken = ["prefix", "suffix", "prefix_ids", "suffix_ids", "doc_id", "cluster_id", "source", "hard"]
    number = pl.lit(None, pl.Int32) if window is None else pl.int_range(pl.len()) // window
    position = pl.lit(None, pl.Int32) if window is None else pl.int_range(pl.len()) % window
    frame = pl.DataFrame(rows.select(taken)).with_columns(
        cluster_id=hash64("cluster_id").reinterpret(signed=True), window=number, position=position
    )
    return frame.select(IN_BATCH.names).to_arrow().cast(IN_BATCH)


def project_rbs(rows: pa.Table, _window: int | None = None) -> pa.Table:
    """Give the rows that the paper's trainer reads.

    Its batches are windows where its batch size is theirs. The label it computes, by ROUGE between suffixes, is then
    the diagonal: no two suffixes of a window are equal.
    """
    frame = pl.DataFrame(rows.select(["source", "split", "prefix", "suffix"]))
    prompt = pl.concat_list(pl.struct(role=pl.lit("user"), content="prefix"))
    extra = pl.struct(
        use_nonembedding=pl.lit(value=True),
        similarity_method=pl.lit("rouge"),
        split="split",
        index=pl.int_range(pl.len()),
        answer="suffix",
        question="prefix",
    )
    made = frame.select(
        data_source="source",
        prompt=prompt,
        ability=pl.lit("math"),
        reward_model=pl.struct(style=pl.lit("rule"), ground_truth="suffix"),
        extra_info=extra,
    )
    return made.to_arrow().cast(RBS)


PROJECTIONS: Mapping[Route, Mapping[str, Projection]] = MappingProxyType(
    {
        Route.FORUMS: MappingProxyType({"trl": project_trl}),
        Route.WEB: MappingProxyType({"in_batch": project_in_batch, "rbs": project_rbs}),
        Route.CHATS: MappingProxyType(
            {"ordinal": project_ordinal, "wildreward": project_wildreward, "kto": project_kto}
        ),
    }
)
"""{route: {config name in the dataset card: projection}}."""
