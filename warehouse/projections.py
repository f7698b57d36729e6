"""Projections: a release's rows in the exact columns of one trainer. Each is a function from shard to shard."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import polars as pl
import pyarrow as pa

from schemas.signals import MESSAGES

TRL_REWARD = pa.schema([pa.field("chosen", MESSAGES, nullable=False), pa.field("rejected", MESSAGES, nullable=False)])
"""TRL RewardTrainer, conversational with implicit prompt: the recommended form of its dataset_formats page."""


def project_trl(pairs: pa.Table) -> pa.Table:
    """Give whole conversations, prompt included.

    `margin` stays behind on purpose: TRL subtracts a column of that name inside its loss, and votes are not logits.
    """
    frame = pl.DataFrame(pairs.select(["prompt", "chosen", "rejected"]))
    whole = {role: pl.concat_list("prompt", role) for role in ("chosen", "rejected")}
    return frame.select(**whole).to_arrow().cast(TRL_REWARD)


PROJECTIONS: Mapping[str, Callable[[pa.Table], pa.Table]] = MappingProxyType({"trl": project_trl})
"""{config name in the dataset card: projection}."""
