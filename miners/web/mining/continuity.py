r"""Continuity: does a text go on where another ends? Evidence without any model, from words, formulas and spelling.

For pairs of a prefix and a candidate suffix, five measures, each higher for a true continuation, and one linear score
of them. They ask what a reader would ask first:

    words      are they about the same? tf-idf cosine of their words
    formulas   do they write the same mathematics? tf-idf cosine of LaTeX commands, indexed symbols, short formulas
    seam       does the joint read on? how much likelier the prefix's last bytes make the suffix's first (`_seams`)
    numbering  does a count go on? `2.` behind `1.`, Lemma 4 behind Lemma 3: 1 where one does, else 0
    names      do they speak of the same? tf-idf cosine of names and of numbers of two digits or more

Everything is learned from the texts at hand, which are a sample of a release; no true seam is in what is learned,
unless the release's blocks overlap. Terms weigh less the more of the sample's rows have them.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_matrix

from miners.web.mining._seams import measure_seams
from schemas.identity import hash64

Places = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"words": 30.0, "formulas": 3.0, "seam": 0.4, "numbering": 1.0, "names": 3.0}
)
"""Of the features in the score: near a logistic regression of true against other suffixes of a batch, on chapters of
the Stacks project and Stack Exchange posts. What is rare there (formulas, counts, names) has its weight by hand."""

BIAS = -2.5
"""Beside the weights; a score is a logit, above 0 where a true continuation is the likelier of two explanations."""

_ALONE = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"  # scripts without spaces
_TERMS: Mapping[str, str] = MappingProxyType(
    {
        "words": rf"{_ALONE}|\p{{L}}[\p{{L}}\p{{M}}]+",
        "formulas": r"\\[A-Za-z]+|\$[^$\n]{1,30}\$|[A-Za-z](?:[_^](?:\{[^{}\n]{1,20}\}|\w))+",
        "names": r"\p{Ll}[,;]? \p{Lu}\p{L}{2,}|\d[\d.,]*\d",
    }
)
_NUMBERED = (
    r"(?im)^[ \t>*-]*\(?[0-9]{1,3}[.)]|\\(?:tag|label)\{[^}\n]{0,40}?[0-9]{1,3}\}"
    r"|\b(?:step|part|case|example|exercise|problem|question|section|chapter|figure|table|theorem|lemma|proposition"
    r"|corollary|definition|remark|equation)s?[ ~]\(?(?:[0-9]{1,3}\.)*[0-9]{1,3}"
)
_AT_ONCE = 1 << 13  # pairs; each takes the terms of two texts


def pair_rows(rows: int, batch: int, *, negatives: int | None = None, seed: int = 0) -> pl.DataFrame:
    """Pair each row's prefix with suffixes of its batch -> `row, candidate`, Int64; equal where it is the true one.

    rows: they stand batch by batch, and the last batch may be smaller. negatives: others a row, drawn by hash; None
    takes all of the batch.
    """
    row = pl.int_range(rows, dtype=pl.Int64, eager=True).alias("row")
    pairs = pl.DataFrame(row).with_columns(
        candidate=pl.int_ranges(pl.col("row") // batch * batch, (pl.col("row") // batch + 1) * batch)
    )
    pairs = pairs.explode("candidate", empty_as_null=False).filter(pl.col("candidate") < rows)
    if negatives is None:
        return pairs
    draw = hash64(pl.lit(f"negative {seed}"), "row", "candidate")
    placed = pairs.with_columns(is_true=pl.col("row") == pl.col("candidate"), draw=draw)
    near = pl.col("draw").rank("ordinal").over("row", "is_true") <= negatives
    return placed.filter(pl.col("is_true") | near).select("row", "candidate")


def measure_pairs(texts: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Measure the evidence of pairs -> one column a feature, row by row of `pairs`.

    texts: `prefix, suffix`, a row each. pairs: `row, candidate`, as `pair_rows` gives them.
    """
    row, candidate = (pairs[name].to_numpy() for name in ("row", "candidate"))
    shared = {name: _cosines(*_weigh(texts, name), row, candidate) for name in _TERMS}
    return pl.DataFrame(
        shared
        | {
            "seam": measure_seams(texts, row, candidate),
            "numbering": _continue_numbers(texts, pairs),
        }
    ).select(*WEIGHTS)


def score_features(features: pl.DataFrame) -> pl.Series:
    """Score measured pairs: WEIGHTS and BIAS, the documented linear score."""
    score = pl.sum_horizontal(pl.col(name) * weight for name, weight in WEIGHTS.items()) + BIAS
    return features.select(score=score).to_series()


def compare_suffixes(texts: pl.DataFrame, pairs: pl.DataFrame) -> pl.Series:
    """Say how alike a pair's candidate is to the row's own suffix: tf-idf cosine of their words, 0 to 1."""
    _, suffixes = _weigh(texts, "words")
    alike = _cosines(suffixes, suffixes, pairs["row"].to_numpy(), pairs["candidate"].to_numpy())
    return pl.Series("likeness", alike)


def _weigh(texts: pl.DataFrame, name: str) -> tuple[csr_matrix, csr_matrix]:
    """Weigh the terms of prefixes and of suffixes -> two matrices, a row a text, each of length 1 or empty."""
    found = pl.col("prefix", "suffix").str.extract_all(_TERMS[name])
    listed = texts.with_row_index("row").select("row", found).unpivot(index="row", variable_name="side")
    terms = listed.explode("value", empty_as_null=False).drop_nulls().with_columns(term=_write_term(name))
    counted = terms.group_by("row", "side", "term").agg(times=pl.len())
    rows_with = pl.col("row").n_unique().over("term")
    weighed = counted.with_columns(
        weight=(1 + pl.col("times").log()) * ((texts.height + 1) / rows_with).log(),
        code=pl.col("term").rank("dense") - 1,
    ).sort("side", "row", "code")
    weighed = weighed.with_columns(pl.col("weight") / pl.col("weight").pow(2).sum().sqrt().over("side", "row"))
    shape = (texts.height, int(weighed["code"].n_unique()))
    prefix, suffix = (_fill(weighed.filter(side=side), shape) for side in ("prefix", "suffix"))
    return prefix, suffix


def _write_term(name: str) -> pl.Expr:
    """Write a match as the term that counts: words in lower case, names without what stands before them."""
    if name == "names":
        return pl.col("value").str.extract(r"(\p{Lu}\p{L}+|\d.*)$")
    return pl.col("value").str.to_lowercase() if name == "words" else pl.col("value")


def _fill(weighed: pl.DataFrame, shape: tuple[int, int]) -> csr_matrix:
    places = (weighed["row"].to_numpy(), weighed["code"].to_numpy())
    return csr_matrix((weighed["weight"].to_numpy(), places), shape=shape)


def _cosines(left: csr_matrix, right: csr_matrix, row: Places, candidate: Places) -> Numbers:
    """Multiply rows of two matrices pair by pair, some pairs at once so that memory stays bounded."""
    cosines = np.zeros(len(row))
    for start in range(0, len(row), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        cosines[part] = np.asarray(left[row[part]].multiply(right[candidate[part]]).sum(axis=1)).ravel()
    return cosines.round(6)  # sums of floats in another order end in other last digits


def _continue_numbers(texts: pl.DataFrame, pairs: pl.DataFrame) -> pl.Series:
    """Say of each pair whether a count of the prefix goes on by one in the candidate: 1, else 0."""
    last = _list_numbers(texts["prefix"], pl.last("number"))
    first = _list_numbers(texts["suffix"], pl.first("number"))
    asked = pairs.with_row_index("at")
    goes_on = (
        asked.join(last, on="row")
        .join(first.rename({"row": "candidate", "number": "next"}), on=["candidate", "kind"])
        .filter(pl.col("next") == pl.col("number") + 1)
    )
    return asked.select(pl.col("at").is_in(goes_on["at"].implode()).cast(pl.Float64)).to_series()


def _list_numbers(texts: pl.Series, which: pl.Expr) -> pl.DataFrame:
    """List the numbered things of texts, one a kind -> `row, kind, number`.

    The kind is what stands before the number, other numbers included: `lemma 3.` of Lemma 3.1.
    """
    found = pl.DataFrame({"label": texts}).with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    labels = found.with_columns(pl.col("label").str.extract_all(_NUMBERED)).explode("label", empty_as_null=False)
    split = (
        pl.col("label").str.to_lowercase().str.strip_chars(" \t\n>*-(").str.extract_groups(r"^(.*?)([0-9]+)[^0-9]*$")
    )
    numbered = labels.drop_nulls().with_columns(split.struct.rename_fields(["kind", "number"]).struct.unnest())
    numbers = numbered.with_columns(pl.col("number").cast(pl.Int64, strict=False)).drop_nulls()  # or it is no count
    return numbers.group_by("row", "kind", maintain_order=True).agg(which)
