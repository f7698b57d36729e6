"""Checks of documents: that each is a text, and says where it is from."""

from collections.abc import Iterator

import polars as pl

from flows.conformance.comparison import judge_rows
from flows.conformance.findings import Finding, conclude
from flows.conformance.specimen import Specimen
from miners.web.mining.sites import name_host


def check_texts(specimen: Specimen) -> list[Finding]:
    """Check that documents have texts, addresses that are some, finite scores, and metadata that is JSON."""
    characters = specimen.rows["text"].str.len_chars().sum()
    return conclude(_find_text_faults(specimen), f"{characters:,} characters in {specimen.rows.height:,} texts")


def _find_text_faults(specimen: Specimen) -> Iterator[Finding]:
    empty = ~pl.col("text").str.contains(r"\S")
    yield from judge_rows(specimen, empty, "a document has no text", "the text in `text`; a build drops empty ones")
    lost = pl.col("url").is_not_null() & name_host(pl.col("url")).is_null()
    yield from judge_rows(specimen, lost, "`url` is no address", "a URL with its host, or null")
    strange = ~pl.col("quality").is_finite()
    yield from judge_rows(specimen, strange, "`quality` is no number", "the corpus' own score, or null", tolerant=False)
    negative = pl.col("token_count") < 0
    yield from judge_rows(specimen, negative, "`token_count` is below 0", "a count, or null", tolerant=False)
    loose = ~pl.col("metadata").str.contains(r"(?s)^\{.*\}$")
    yield from judge_rows(specimen, loose, "`metadata` is no JSON object", "struct.json_encode(), or null")
