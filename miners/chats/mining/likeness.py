"""Likeness of topics: the cosine of two texts' words, in any language and without a model.

A text is the bag of its words and of their first five letters, where no spaces are written of its characters and
their pairs. A feature counts 1 + ln(times); words without a topic (articles, pronouns, thanks) count nothing. There
is no document frequency: it would make what a pair is found to be depend on the partition it stands in. That longer
words, which are rarer (Zipf's law of abbreviation), count twice, as word and as stem, stands in for it.
"""

from functools import cache
from importlib.resources import files

import polars as pl

from miners.chats.mining.words import SPACELESS, WORD
from schemas.identity import hash64

_READ = 2_000  # characters of a text
_STEM = 5  # letters


def compare_topics(first: pl.Series, second: pl.Series) -> pl.Series:
    """Give the likeness, 0 to 1, of each text of `first` and the one of `second` in its place.

    0 where a text has no word with a topic, "Thanks!": nothing is known of it.
    """
    left, right = _weigh(first), _weigh(second)
    common = (
        left.join(right, on=["at", "feature"]).group_by("at").agg(dot=(pl.col("weight") * pl.col("weight_right")).sum())
    )
    lengths = [side.group_by("at").agg(length=(pl.col("weight") ** 2).sum().sqrt()) for side in (left, right)]
    found = common.join(lengths[0], on="at").join(lengths[1], on="at")
    cosine = (pl.col("dot") / pl.col("length") / pl.col("length_right")).round(6).cast(pl.Float32)
    places = pl.DataFrame({"at": pl.int_range(len(first), dtype=pl.UInt32, eager=True)})
    joined = places.join(found.select("at", likeness=cosine), on="at", how="left", maintain_order="left")
    return joined["likeness"].fill_null(0)


def _weigh(texts: pl.Series) -> pl.DataFrame:
    """List the features of each text, by its place: `at, feature, weight`."""
    read = (
        texts.str.slice(0, _READ).str.normalize("NFKC").str.to_lowercase().str.replace_all("\u2019", "'", literal=True)
    )
    words = pl.DataFrame({"word": read.str.extract_all(WORD)}).with_row_index("at").explode("word", empty_as_null=False)
    sign = pl.col("word").str.contains(f"^[{SPACELESS}]")
    words = words.with_columns(sign=sign).filter(~pl.col("word").is_in(_list_stop_words().implode()))
    next_ = pl.when(pl.col("sign") & pl.col("sign").shift(-1) & (pl.col("at") == pl.col("at").shift(-1)))
    stem = pl.when(pl.col("word").str.len_chars() > _STEM).then(pl.col("word").str.slice(0, _STEM))
    more = pl.coalesce(stem, next_.then(pl.col("word") + pl.col("word").shift(-1)))
    features = pl.concat([words.select("at", "word"), words.select("at", word=more).drop_nulls()])
    counted = features.group_by("at", feature=hash64("word")).agg(times=pl.len())
    # sums of floats depend on their order, and a join's order on nothing that is promised: cosines are rounded
    return counted.select("at", "feature", weight=1 + pl.col("times").cast(pl.Float64).log())


@cache
def _list_stop_words() -> pl.Series:
    """Read the words without a topic."""
    lines = (files(__package__) / "stop_words.txt").read_text("utf-8").splitlines()
    words = " ".join(line for line in lines if not line.startswith("#")).split()
    return pl.Series(sorted(set(words)))
