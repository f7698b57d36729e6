"""Features of follow-ups, in columns: hashed n-grams of what is said, cues, and how it relates to query and reply.

Of long messages the beginning and the end are read: what lies between is mostly pasted. A message ends for us with its
first 8,000 characters: of a longer follow-up "the end" is the end of those, and a verdict below a long paste is missed;
only a reply's code and its last mark are looked up in the whole. Everything is a function of one row alone and hashes
are stable ones, so that a turn has the same features in every partition and on every machine.
"""

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_matrix, csr_matrix

from miners.chats.embedded.cues import APOLOGY, CUES, OPENINGS, REFUSAL
from miners.chats.mining.words import WORD
from miners.text.characters import Integers, lay_out
from schemas.identity import hash64

VERSION = 1
"""Raise it when the same texts give other features: a model fits one version."""
BUCKETS = 1 << 13
"""Into which n-grams are hashed; the cues are the columns behind them."""

_HEAD, _TAIL = 400, 200  # characters of a follow-up that speak for the user
_LOG_TAIL = 1500  # more of its end, for what programs said: their last lines name the error
_READ = 2000  # characters of query and reply that are compared, from the beginning
_WORDS, _OPENING, _CHARS = 100, 8, 40  # how much of a follow-up is made into n-grams
_GRAM = 4  # characters
_FEW = 3  # fewer words repeat by chance ("continue", "thanks")
_PRIME = np.uint64(0x100000001B3)  # FNV's

_Values = npt.NDArray[np.float64]
_Entries = tuple[Integers, Integers, _Values]  # rows, columns, values


def describe(texts: pl.DataFrame) -> csr_matrix:
    """Describe turns by their texts (`query, reply, feedback`): a sparse matrix of BUCKETS + len(NAMES) columns.

    Nulls count as empty.
    """
    said = texts.select(_fold(pl.col(name).fill_null("")).alias(name) for name in ("query", "reply", "feedback"))
    spoken = said.select(_quote(pl.col("feedback"), _HEAD, _TAIL)).to_series()
    cues = _describe_cues(texts.select(pl.col("reply", "feedback").fill_null("")), said, spoken)
    rows, names = np.nonzero(cues)
    parts: list[_Entries] = [
        _hash_words(spoken, "word", _WORDS),
        _hash_words(spoken, "open", _OPENING),
        _hash_characters(spoken.str.head(_CHARS)),
        (rows, names + BUCKETS, cues[rows, names]),
    ]
    row, column, value = (np.concatenate(items) for items in zip(*parts, strict=True))
    shape = (texts.height, BUCKETS + len(NAMES))
    matrix: csr_matrix = coo_matrix((value, (row, column)), shape=shape).tocsr()
    matrix.sort_indices()
    return matrix


def _fold(text: pl.Expr) -> pl.Expr:
    """Write in lower case, with straight apostrophes, single spaces and without escapes of Markdown."""
    plain = (
        text.str.head(_READ * 4)
        .str.to_lowercase()
        .str.replace_all("[\u2019`\u00b4]", "'")
        .str.replace_all("\\", "", literal=True)
    )
    return plain.str.replace_all(r"\s+", " ").str.strip_chars()


def _quote(text: pl.Expr, head: int, tail: int) -> pl.Expr:
    """Take a text's beginning and end, where it is longer than both."""
    both = pl.concat_str(text.str.head(head), text.str.tail(tail), separator=" \u2026 ")
    return pl.when(text.str.len_chars() <= head + tail).then(text).otherwise(both)


def _hash_words(texts: pl.Series, place: str, most: int) -> _Entries:
    """Hash the first words of each text and their pairs; digits are all alike. place: apart from other n-grams."""
    words = texts.str.replace_all(r"\p{N}+", "0").str.extract_all(WORD).list.head(most)
    frame = pl.DataFrame({"words": words}).with_row_index("row").explode("words", empty_as_null=False, keep_nulls=False)
    behind = pl.when(pl.col("row") == pl.col("row").shift(-1)).then(pl.col("words").shift(-1)).otherwise(pl.lit(""))
    hashed = frame.select(
        "row",
        one=hash64(pl.lit(place), "words") % BUCKETS,
        two=hash64(pl.lit(place), "words", behind) % BUCKETS,
    )
    row = hashed["row"].to_numpy().astype(np.int64)
    columns = np.concatenate([hashed["one"].to_numpy(), hashed["two"].to_numpy()]).astype(np.int64)
    return _weigh(np.tile(row, 2), columns, texts.len())


def _hash_characters(texts: pl.Series) -> _Entries:
    """Hash the character n-grams of each text: they see through typing errors, and need no words."""
    points = np.frombuffer(texts.str.join("").item().encode("utf-32-le"), np.uint32).astype(np.uint64)
    begins = lay_out(texts.str.len_chars().to_numpy().astype(np.int64))
    places = np.arange(max(len(points) - _GRAM + 1, 0))
    row = np.searchsorted(begins, places, side="right") - 1
    whole = places + _GRAM <= begins[row + 1]
    hashed = np.zeros(len(places), np.uint64)
    for step in range(_GRAM):
        hashed = (hashed ^ points[places + step]) * _PRIME  # wraps
    columns = ((hashed ^ (hashed >> np.uint64(29))) % np.uint64(BUCKETS)).astype(np.int64)
    return _weigh(row[whole], columns[whole], texts.len())


def _weigh(rows: Integers, columns: Integers, height: int) -> _Entries:
    """Weigh n-grams so that those of a row have length 1 together, were they all different."""
    counts = np.bincount(rows, minlength=height)
    return rows, columns, 1 / np.sqrt(counts[rows])


def _describe_cues(raw: pl.DataFrame, said: pl.DataFrame, spoken: pl.Series) -> _Values:
    """Look for cues: rows x NAMES, 0 or 1 but for a few shares."""
    frame = said.with_columns(
        spoken=spoken,
        log=_quote(pl.col("feedback"), _HEAD, _LOG_TAIL),
        raw_reply=raw["reply"],
        raw_feedback=raw["feedback"],
        **{f"{name}_words": _list_words(name) for name in ("query", "reply", "feedback")},
    )
    cues = frame.with_columns(_COUNTS).with_columns(_SHARES).select(_CUES).with_columns(_JOINED)
    found: _Values = cues.cast(pl.Float64).fill_null(0).select(NAMES).to_numpy()
    return found


def _list_words(name: str) -> pl.Expr:
    """List the different words with which a message begins."""
    return pl.col(name).str.head(_READ).str.extract_all(WORD).list.unique()


_COUNTS = [
    *(pl.col(f"{name}_words").list.len().cast(pl.Float64).alias(f"{name}_count") for name in ("query", "feedback")),
    *(
        pl.col("feedback_words").list.set_intersection(f"{name}_words").list.len().cast(pl.Float64).alias(f"in_{name}")
        for name in ("query", "reply")
    ),
    pl.col("feedback").str.len_chars().alias("chars"),
]
_COMPARABLE = (pl.col("query_count") >= _FEW) & (pl.col("feedback_count") >= _FEW)
_SHARES = [
    pl.when(_COMPARABLE).then(pl.col("in_query") / pl.col("query_count")).otherwise(0).alias("kept"),
    pl.when(_COMPARABLE).then(pl.col("in_query") / pl.col("feedback_count")).otherwise(0).alias("repeated"),
    pl.when(pl.col("feedback_count") >= _FEW)
    .then(pl.col("in_reply") / pl.col("feedback_count"))
    .otherwise(0)
    .alias("quoted"),
]
_ENDS = r"[.!?:;)\]}>*\"'\u3002\uff01\uff1f\u2026|]\s*$"
_ALL, _MOST, _HALF, _QUOTED = 0.95, 0.7, 0.5, 0.8  # shares of words
_TINY, _SHORT, _LONG = 15, 60, 300  # characters


def _spoken(pattern: str) -> pl.Expr:
    return pl.col("spoken").str.contains(pattern)


_CUES = [
    *(_spoken(pattern).alias(f"opens:{name}") for name, pattern in OPENINGS.items()),
    *(
        (pl.col("log") if name == "error" else pl.col("spoken")).str.contains(p).alias(f"says:{name}")
        for name, p in CUES.items()
    ),
    (pl.col("chars") < _TINY).alias("shape:tiny"),
    (pl.col("chars") < _SHORT).alias("shape:short"),
    (pl.col("chars") > _LONG).alias("shape:long"),
    (pl.col("chars") > 4 * _LONG).alias("shape:longest"),
    pl.col("spoken").str.contains(r"[?\uff1f]\s*$").alias("shape:asks"),
    pl.col("spoken").str.contains("[?\uff1f]").alias("shape:asks_somewhere"),
    pl.col("spoken").str.contains("[!\uff01]").alias("shape:calls"),
    pl.col("spoken").str.contains("[!?\uff01\uff1f]{2}").alias("shape:shouts"),
    pl.col("raw_feedback")
    .str.head(_HEAD)
    .str.contains(r"\b[A-Z]{2,}\W+[A-Z]{2,}\W+[A-Z]{2,}\b")
    .alias("shape:capitals"),
    pl.col("raw_feedback").str.head(4 * _LONG).str.contains(r"```|[;{]\s*\n|</\w|\bdef \w+\(|=>").alias("shape:code"),
    pl.col("raw_feedback").str.head(_HEAD).str.contains(r"\n\s*(?:[-*\u2022]|[a-dA-D1-9][.)])\s").alias("shape:list"),
    pl.col("spoken").str.contains(r"^[(\[\"\u201c*]").alias("shape:plays"),
    ((pl.col("feedback") == pl.col("query")) & _COMPARABLE).alias("relation:same"),
    ((pl.col("feedback") == pl.col("query")) & ~_COMPARABLE).alias("relation:same_short"),
    (pl.col("kept") > _ALL).alias("relation:keeps_all"),
    (pl.col("kept") > _MOST).alias("relation:keeps_most"),
    (pl.col("kept") > _HALF).alias("relation:keeps_half"),
    (pl.col("repeated") > _ALL).alias("relation:repeats_all"),
    (pl.col("repeated") > _MOST).alias("relation:repeats_most"),
    (pl.col("repeated") > _HALF).alias("relation:repeats_half"),
    pl.col("kept").alias("relation:kept"),
    pl.col("repeated").alias("relation:repeated"),
    pl.col("quoted").alias("relation:quoted"),
    (pl.col("quoted") > _QUOTED).alias("relation:quotes"),
    (pl.col("feedback").str.head(12) == pl.col("query").str.head(12)).alias("relation:begins_alike"),
    pl.col("reply").str.head(_LONG).str.contains(APOLOGY).alias("reply:apology"),
    pl.col("reply").str.head(_LONG).str.contains(REFUSAL).alias("reply:refusal"),
    ~pl.col("raw_reply").str.contains(_ENDS).alias("reply:cut"),
    (pl.col("raw_reply").str.count_matches("```") % 2 == 1).alias("reply:code_cut"),
    pl.col("raw_reply").str.contains("```").alias("reply:code"),
    pl.col("query").str.tail(_READ).str.contains(CUES["error"]).alias("query:error"),
    pl.col("query")
    .str.head(_LONG)
    .str.contains("|".join([CUES["failing"], CUES["reports"], CUES["wrong"]]))
    .alias("query:failing"),
    pl.col("query").str.head(_LONG).str.contains(CUES["complaint"]).alias("query:complaint"),
]

_BAD = ("failing", "error", "reports", "wrong", "complaint", "cut", "retry", "better", "anger", "doubt", "expects")


def _cue(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Boolean)


_BRIEF = ~_cue("shape:long")
_TROUBLED = _cue("reply:apology") | _cue("query:failing") | _cue("query:error") | _cue("query:complaint")
_JOINED = [
    *((_cue(f"says:{name}") & _BRIEF).alias(f"brief:{name}") for name in _BAD),
    *((_cue(f"says:{name}") & _TROUBLED).alias(f"troubled:{name}") for name in _BAD),
    *((_cue(f"says:{name}") & _cue("reply:code")).alias(f"code:{name}") for name in ("failing", "error", "reports")),
    pl.sum_horizontal(_cue(f"says:{name}") for name in _BAD).clip(0, 3).alias("joined:bad"),
    (_cue("opens:no") & _BRIEF).alias("joined:no"),
    (_TROUBLED & _cue("opens:subject")).alias("joined:contests"),
    (_TROUBLED & ~_cue("opens:order") & ~_cue("opens:question") & _BRIEF).alias("joined:troubled"),
    ((_cue("reply:cut") | _cue("reply:code_cut")) & _cue("says:cut")).alias("joined:cut"),
    (_cue("relation:keeps_all") & _BRIEF).alias("joined:asks_again"),
    (_cue("relation:same") & _BRIEF).alias("joined:same"),
    (_cue("relation:repeats_most") & _cue("relation:keeps_most")).alias("joined:rephrases"),
    ((_cue("opens:thanks") | _cue("opens:praise")) & _cue("shape:short")).alias("joined:praise"),
]

NAMES = tuple(expression.meta.output_name() for expression in (*_CUES, *_JOINED))
"""Of the columns behind the buckets."""
