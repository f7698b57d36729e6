"""Rules: filters as a declared table, asked one after the other, and what the filters of several routes share.

A row is dropped for one reason: each rule sees only what the ones before it left.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import polars as pl

from miners.text.language import UNKNOWN, detect_languages
from schemas.drops import DropReason
from schemas.licenses import allows

_BLANKS = [" ", "\n", "\t", "\r"]

Asked = TypeVar("Asked")
"""What a recipe asks for, as a route's rules read it."""


@dataclass(frozen=True, slots=True)
class Rule(Generic[Asked]):
    """reason: why its rows go. is_on: whether the recipe asks for it. find: which rows go (null: stays)."""

    reason: DropReason
    is_on: Callable[[Asked], object]
    find: Callable[[pl.DataFrame, Asked], pl.Expr | pl.Series]


def apply_rules(
    frame: pl.DataFrame, rules: Iterable[Rule[Asked]], asked: Asked
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Ask the rules that are on, in order; answers the rows that stay, and those that go, with a `reason`."""
    gone = []
    for rule in rules:
        if rule.is_on(asked):
            frame, dropped = part(frame, rule.reason, rule.find(frame, asked))
            gone.append(dropped)
    return frame, gone


def part(frame: pl.DataFrame, reason: DropReason, found: pl.Expr | pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part the rows that stay from those that go (null: stays), which get their reason."""
    goes = frame.select(goes=found)["goes"].fill_null(value=False)
    return frame.filter(~goes), frame.filter(goes).with_columns(reason=pl.lit(reason.value))


def has_refused_license(frame: pl.DataFrame, allow: Sequence[str]) -> pl.Expr:
    """Say whose `license` the gate does not let pass; each licence is asked for once."""
    refused = [spdx for spdx in frame["license"].unique() if not allows(allow, spdx)]
    return pl.col("license").is_in(pl.Series(refused, dtype=pl.String).implode(), nulls_equal=True)


def is_boilerplate(texts: pl.Series, phrases: Sequence[str]) -> pl.Series:
    """Say what begins with one of the phrases, or is such phrases for four fifths; without case and white space."""
    squeezed = ["".join(phrase.lower().split()) for phrase in phrases]
    squeezed = [phrase for phrase in squeezed if phrase]
    bare = pl.lit(texts.str.to_lowercase().str.replace_many(_BLANKS, [""] * len(_BLANKS)))
    begins = pl.any_horizontal(pl.lit(value=False), *(bare.str.starts_with(phrase) for phrase in squeezed))
    rest = bare.str.replace_many(squeezed, [""] * len(squeezed)) if squeezed else bare
    return pl.select(begins | (rest.str.len_chars() * 5 < bare.str.len_chars())).to_series()


def tell_languages(texts: pl.Series, least: float) -> pl.Series:
    """Tell each text's language (ISO 639): `und` where the model is less sure than `least`."""
    found = detect_languages(texts)
    return found.select(
        language=pl.when(found["score"] >= least).then("language").otherwise(pl.lit(UNKNOWN))
    ).to_series()
