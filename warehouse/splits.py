"""Splits: by hash of the duplicate cluster, so that no thread, document or near-copy straddles two.

Of chats no user straddles two either: they are split by user, and of a cluster only one conversation is released, so
that it cannot straddle.

A cluster of one is named after its group, and a larger one after its oldest member, so a row does not move when newer
material joins the corpus.
"""

from collections.abc import Mapping

import polars as pl

from schemas.identity import hash64


def assign_split(shares: Mapping[str, float], seed: int, *, by: pl.Expr | str = "cluster_id") -> pl.Expr:
    """Give the split of each row; rows that are equal in `by` have the same. shares: {split: share}, summing to 1."""
    number = hash64(pl.lit(f"split {seed}"), by)
    names = [name for name, share in shares.items() if share > 0]
    expr = pl.lit(names[-1])
    edge = 1.0
    for name, following in zip(reversed(names[:-1]), reversed(names), strict=False):
        edge -= shares[following]
        expr = pl.when(number < min(int(edge * 2**64), 2**64 - 1)).then(pl.lit(name)).otherwise(expr)
    return expr
