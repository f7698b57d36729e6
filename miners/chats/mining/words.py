"""Words, counted in every script: runs of letters, numbers and marks; where no spaces are written, characters."""

import polars as pl

SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
"""Scripts without spaces between words, to stand in a character class."""

WORD = (
    rf"[\p{{L}}\p{{N}}&&[{SPACELESS}]]"  # its marks count with it
    rf"|[\p{{L}}\p{{N}}&&[^{SPACELESS}]](?:[\p{{L}}\p{{N}}\p{{M}}&&[^{SPACELESS}]]|['\u{{2019}}]\p{{L}})*"
)
_CHARS_A_WORD = 16  # most texts with enough words have them within so many characters each
_WORD_ENDS = r"[A-Za-z0-9][ \n]"  # no word goes on behind it


def count_words(texts: pl.Series) -> pl.Series:
    """Count the words of each text; `don't` is one."""
    return texts.str.count_matches(WORD)


def has_words(texts: pl.Series, least: int) -> pl.Series:
    """Say which texts have at least so many words (null: null), read no further than it takes to settle it.

    Most texts are settled by plain words in their beginning: to find these takes half the time of counting words.
    """
    enough = texts.str.slice(0, _CHARS_A_WORD * least).str.contains(rf"(?s)(?:{_WORD_ENDS}.*?){{{least}}}")
    open_ = (~enough).arg_true()
    return enough.scatter(open_, count_words(texts.gather(open_)) >= least)
