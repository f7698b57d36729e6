"""Documents: which of them are fit to be cut into blocks, as the recipe says.

Copies, what lies outside the sample and what is empty go first. Then each filter is one entry of `_RULES`, asked in
that order: what is known of a document before that for which its text is read, the dearest last.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from miners.rules import Rule, apply_rules, has_refused_license, is_boilerplate, part, tell_languages
from miners.text.proportions import measure_formulas, measure_repeated_lines, measure_symbols
from miners.text.quality import score_quality
from miners.web.mining.sites import is_of_sites
from schemas.drops import DropReason
from schemas.identity import below_share, hash64
from schemas.inputs import DOCUMENT
from schemas.outcome import NOTHING_DROPPED, Outcome
from schemas.recipe import Documents, Licenses

GROUP_ID = pl.concat_str("source", "doc_id", separator="/")
"""A document's `group_id`: the unit of splitting and of dedupe."""

_TEXT = pl.col("text")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the recipe asks for."""

    filters: Documents
    licenses: Licenses
    sample: float
    seed: int


def filter_documents(
    documents: pa.Table,
    filters: Documents,
    *,
    model: str | None = None,
    sample: float = 1.0,
    seed: int = 0,
    licenses: Licenses | None = None,
) -> Outcome:
    """Take documents (DOCUMENT), all copies of each; keep those that the recipe finds fit, in DOCUMENT.

    model: folder of the classifier that `filters.model` names; without one that filter is off.
    sample: share of documents to look at, chosen by hash.

    `language` is set where the recipe looks at it. A filter drops what it knows to be unfit: a document without a
    score of its source's passes `min_quality`. Rows come out sorted by source and id, whatever the order in which they
    came in.
    """
    asked = _Asked(filters, licenses or Licenses(), sample, seed)
    newest = ("crawled_at", hash64(*DOCUMENT.names))
    frame = pl.DataFrame(documents.select(DOCUMENT.names)).sort(*newest, descending=True, nulls_last=True)
    kept, gone = apply_rules(frame, _RULES, asked)
    if filters.languages:
        kept = kept.with_columns(language=tell_languages(kept["text"], filters.min_language_score))
        kept, dropped = part(kept, DropReason.OTHER_LANGUAGE, ~pl.col("language").is_in(filters.languages))
        gone.append(dropped)
    if model is not None:
        kept = kept.with_columns(model_score=score_quality(kept["text"], model))
        kept, dropped = part(kept, DropReason.LOW_QUALITY, pl.col("model_score") < filters.min_model_score)
        gone.append(dropped)
    return _finish(kept, gone, documents.num_rows)


def _finish(kept: pl.DataFrame, gone: Sequence[pl.DataFrame], rows_in: int) -> Outcome:
    dropped = NOTHING_DROPPED
    if any(frame.height for frame in gone):
        dropped = pl.concat(gone, how="diagonal").with_columns(ref=GROUP_ID).sort("ref", "reason").to_arrow()
    return Outcome(kept.select(DOCUMENT.names).sort("source", "doc_id").to_arrow().cast(DOCUMENT), dropped, rows_in)


# --- by what is known of a document ---------------------------------------------------------------------------------
def _is_older_copy(_documents: pl.DataFrame, _asked: _Asked) -> pl.Expr:
    """Of several rows with one id the last crawled one stays: rows come with the newest first."""
    return ~pl.struct("source", "doc_id").is_first_distinct()


def _is_outside_sample(_documents: pl.DataFrame, asked: _Asked) -> pl.Expr:
    return ~below_share(hash64(pl.lit(f"sample {asked.seed}"), GROUP_ID), asked.sample)


def _is_of_other_site(documents: pl.DataFrame, asked: _Asked) -> pl.Series:
    """Say what is not known to be of the sites to keep."""
    return ~is_of_sites(documents["url"], asked.filters.sites).fill_null(value=False)


def _is_of_site_left_out(documents: pl.DataFrame, asked: _Asked) -> pl.Series:
    return is_of_sites(documents["url"], asked.filters.without_sites)


_RULES: tuple[Rule[_Asked], ...] = (
    Rule(DropReason.DUPLICATE_ID, lambda _: True, _is_older_copy),
    Rule(DropReason.NOT_SAMPLED, lambda asked: asked.sample < 1, _is_outside_sample),
    Rule(DropReason.EMPTY_BODY, lambda _: True, lambda *_: ~_TEXT.str.contains(r"\S")),
    Rule(
        DropReason.LICENSE_REFUSED,
        lambda asked: asked.licenses.allow,
        lambda documents, asked: has_refused_license(documents, asked.licenses.allow),
    ),
    Rule(DropReason.OTHER_SITE, lambda asked: asked.filters.sites, _is_of_other_site),
    Rule(DropReason.OTHER_SITE, lambda asked: asked.filters.without_sites, _is_of_site_left_out),
    Rule(
        DropReason.LOW_QUALITY,
        lambda asked: asked.filters.min_quality is not None,
        lambda _, asked: pl.col("quality") < asked.filters.min_quality,
    ),
    Rule(
        DropReason.TOO_SHORT,
        lambda asked: asked.filters.min_chars,
        lambda _, asked: _TEXT.str.len_chars() < asked.filters.min_chars,
    ),
    Rule(
        DropReason.TOO_LONG,
        lambda asked: asked.filters.max_chars,
        lambda _, asked: _TEXT.str.len_chars() > asked.filters.max_chars,
    ),
    Rule(
        DropReason.BOILERPLATE,
        lambda asked: asked.filters.boilerplate,
        lambda documents, asked: is_boilerplate(documents["text"], asked.filters.boilerplate),
    ),
    Rule(
        DropReason.REPETITIVE,
        lambda asked: asked.filters.max_repeated_lines is not None,
        lambda _, asked: measure_repeated_lines(_TEXT) > asked.filters.max_repeated_lines,
    ),
    Rule(
        DropReason.REPETITIVE,
        lambda asked: asked.filters.max_symbols is not None,
        lambda _, asked: measure_symbols(_TEXT) > asked.filters.max_symbols,
    ),
    Rule(
        DropReason.FEW_FORMULAS,
        lambda asked: asked.filters.min_formulas,
        lambda _, asked: measure_formulas(_TEXT) < asked.filters.min_formulas,
    ),
)
"""Asked in this order. Languages, and the score of a classifier, come after them."""
