"""Topics that a text cannot answer: queries that ask for pictures, media, the web, files, or who the model is.

WildReward leaves such queries out by lists of substrings, so that "draw" drops "withdraw" and "claude" a painter. Here
a pattern is a request in a language: whole words, the verb with what is asked for; `topics.yaml` holds them, in
English, Spanish, French, German, Portuguese, Russian and Chinese.

A long query is mostly pasted text: of more than 600 characters only the first and last 300 speak for the user.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import polars as pl
import yaml

_SPOKEN = 300  # characters at the beginning, and as many at the end


@dataclass(frozen=True, slots=True)
class Topic:
    """What asks for one kind of thing; everything is lower case.

    hints: a query without any of these (substrings) is not looked at. pattern: what asks. exceptions: what is taken
    out of the query before.
    """

    hints: tuple[str, ...]
    pattern: str
    exceptions: str


def find_topic(queries: pl.Series, topics: Sequence[str]) -> pl.Series:
    """Give for each query the first of the topics (as `Turns.topics` names them) that it asks for; null for none."""
    found = pl.repeat(None, len(queries), dtype=pl.String, eager=True)
    asked = [list_topics()[name] for name in topics]
    spoken = _cut(queries)
    hinted = spoken.str.contains("|".join(re.escape(hint) for topic in asked for hint in topic.hints)).arg_true()
    close = spoken.gather(hinted)
    for name, topic in zip(reversed(topics), reversed(asked), strict=True):  # the first one is written last, and stays
        found = found.scatter(hinted.gather(_asks(close, topic)), name)
    return found


@cache
def list_topics() -> Mapping[str, Topic]:
    """Read the topics, by name."""
    given = yaml.safe_load((files(__package__) / "topics.yaml").read_text("utf-8"))
    parts = given.pop("parts")
    return {
        name: Topic(tuple(topic["hints"]), _join(topic["patterns"], parts), _join(topic["exceptions"], parts))
        for name, topic in given.items()
    }


def _join(patterns: Sequence[str], parts: Mapping[str, str]) -> str:
    """Join patterns into one, each <NAME> replaced by its part; parts may name parts."""
    joined = "|".join(patterns)
    while named := re.search(r"<([A-Z_]+)>", joined):
        joined = joined.replace(named[0], parts[named[1]])
    return joined


def _cut(queries: pl.Series) -> pl.Series:
    """Take what speaks for the user, in lower case."""
    long = (queries.str.len_chars() > 2 * _SPOKEN).arg_true()
    text = pl.lit(queries.gather(long))
    both = pl.select(pl.concat_str(text.str.head(_SPOKEN), text.str.tail(_SPOKEN), separator="\n")).to_series()
    cut = queries.clone().scatter(long, both)
    return cut.str.to_lowercase().str.replace_all("\u2019", "'", literal=True)


def _asks(texts: pl.Series, topic: Topic) -> pl.Series:
    """Give the places of the texts that ask for the topic; only those with a hint are read closely."""
    close = texts.str.contains_any(list(topic.hints)).fill_null(value=False).arg_true()
    spoken = texts.gather(close).str.replace_all(topic.exceptions, " ")
    # where a text is not ASCII, word borders cost a hundred times as much as all else: without them more matches
    maybe = spoken.str.contains(topic.pattern.replace(r"\b", "")).arg_true()
    return close.gather(maybe.filter(spoken.gather(maybe).str.contains(topic.pattern)))
