"""Findings: the pairs of a sample that a person should read, the worst first."""

import polars as pl

from flows.audit.report import Finding
from miners.web.mining.continuity import compare_suffixes

_ALIKE = 0.9
"""Cosine of two suffixes' words from which both may follow the prefix."""

_SHOWN = 200  # characters on either side of a seam


def find_false_positives(scored: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Find true suffixes that do not pass for continuations -> `row, candidate, score, other_score, why`."""
    return (
        scored.filter((pl.col("row") == pl.col("candidate")) & (pl.col("score") <= threshold))
        .select("row", "candidate", "score", other_score=pl.lit(None, pl.Float64), why=pl.lit("does not go on"))
        .sort("score", "row")
    )


def find_false_negatives(rows: pl.DataFrame, scored: pl.DataFrame, threshold: float, margin: float) -> pl.DataFrame:
    """Find negatives that may be continuations -> `row, candidate, score, other_score, why`.

    They are those whose suffix is the row's own or nearly so, whatever the scores; and those that pass for
    continuations and are better than the true suffix by the margin. `score` is the true suffix's.
    """
    others = scored.filter(pl.col("row") != pl.col("candidate")).rename({"score": "other_score"})
    own = scored.filter(pl.col("row") == pl.col("candidate")).select("row", "score")
    met = others.join(own, on="row", how="left", maintain_order="left")
    like = compare_suffixes(rows.select("prefix", "suffix"), met)
    keys = rows["suffix_key"]
    lead = pl.col("other_score") - pl.col("score")
    why = (
        pl.when(keys.gather(met["row"]) == keys.gather(met["candidate"]))
        .then(pl.lit("equal suffix"))
        .when(pl.col("likeness") >= _ALIKE)
        .then(pl.lit("nearly equal suffix"))
        .when((pl.col("other_score") > threshold) & (lead >= margin))
        .then(pl.lit("scores above the true one"))
    )
    found = met.with_columns(like).with_columns(why=why).drop_nulls("why")
    order = [pl.col("why").replace_strict({"equal suffix": 0, "nearly equal suffix": 1}, default=2), -lead]
    return found.sort(*order, "row", "candidate").select("row", "candidate", "score", "other_score", "why")


def list_findings(rows: pl.DataFrame, found: pl.DataFrame, most: int) -> tuple[Finding, ...]:
    """List the first findings with what a reader needs: where they are from, and the texts at the seam."""
    head = found.head(most)
    own, other = rows[head["row"].to_numpy()], rows[head["candidate"].to_numpy()]
    is_other = head.select(pl.col("row") != pl.col("candidate")).to_series()
    listed = own.select(
        "uid",
        "group_id",
        "mode",
        "host",
        head["why"],
        head["score"],
        head["other_score"],
        other_uid=pl.when(is_other).then(other["uid"]),
        other_group_id=pl.when(is_other).then(other["group_id"]),
        prefix_end=pl.col("prefix").str.tail(_SHOWN),
        suffix_start=other["suffix"].str.head(_SHOWN),
    )
    return tuple(Finding.model_validate(row) for row in listed.iter_rows(named=True))
