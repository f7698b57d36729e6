"""Seeds: exchanges written for this project, each with what its follow-up says of the reply.

`exchanges.tsv` holds whole ones. `seeds.tsv` holds follow-ups alone, and `contexts.tsv` queries with replies, of a kind
and in a language: a follow-up is put into some of those that fit it; `{query}` and `{topic}` stand for what is there,
and it may bring its own query, which it then repeats or varies.
"""

from importlib.resources import files

import polars as pl

from schemas.identity import hash64

_EXCHANGES = 4  # into which a seed is put, at most
_REPEATABLE = 9  # characters: who repeats "continue" asks for nothing again
_SLOTS = ("topic", "query")
_TEXTS = ("query", "reply", "feedback")


def load_exchanges() -> pl.DataFrame:
    """Load what was written as a whole: `query, reply, feedback, label` (1 to 5)."""
    return _read("exchanges.tsv").select(*(_unescape(name) for name in _TEXTS), "label")


def load_seeds() -> pl.DataFrame:
    """Load the follow-ups in their contexts: `query, reply, feedback, label` (1 to 5), `seed` (its place)."""
    seeds = _read("seeds.tsv").with_row_index("seed").with_columns(own=pl.col("query").fill_null(""))
    kinds = seeds.with_columns(kind=pl.col("kind").str.split("+")).explode(
        "kind", empty_as_null=False, keep_nulls=False
    )
    contexts = _read("contexts.tsv").with_row_index("context")
    anywhere = kinds.filter(pl.col("kind") == "any").drop("kind", "query").join(contexts, on="language")
    somewhere = kinds.filter(pl.col("kind") != "any").drop("query").join(contexts, on=["language", "kind"])
    joined = pl.concat([anywhere.select(somewhere.columns), somewhere])
    fits = ~pl.col("feedback").str.contains("{query}", literal=True) | (pl.col("query").str.len_chars() >= _REPEATABLE)
    drawn = joined.filter(fits).with_columns(draw=hash64("feedback", "own", "seed", "context"))
    chosen = drawn.filter(pl.col("draw").rank("ordinal").over("seed") <= _EXCHANGES).sort("seed", "draw")
    query = pl.when(pl.col("own") == "").then("query").otherwise("own")
    filled = chosen.with_columns(query=query)
    for slot in _SLOTS:
        filled = filled.with_columns(pl.col("feedback").str.replace_all(f"{{{slot}}}", pl.col(slot), literal=True))
    return filled.select(*(_unescape(name) for name in _TEXTS), "label", "seed")


def _read(name: str) -> pl.DataFrame:
    data = files("miners.chats.embedded").joinpath(name).read_bytes()
    return pl.read_csv(data, separator="\t", quote_char=None, schema_overrides={"label": pl.Int64})


def _unescape(name: str) -> pl.Expr:
    return pl.col(name).str.replace_all("\\n", "\n", literal=True).str.replace_all("\\t", "\t", literal=True)
