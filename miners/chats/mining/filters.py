"""Filters: which turns are fit to be judged, as the recipe says.

Each filter is one entry of `_RULES`, asked in that order: what is known of a turn, then its texts; its language, which
takes longest, comes last. What is asked of whole conversations (toxic, redacted, their length, personal data) is asked
where these are assembled.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import polars as pl
import pyarrow as pa

from miners.chats.mining.texts import TurnTexts
from miners.chats.mining.topics import find_topic
from miners.chats.mining.words import has_words
from miners.rules import tell_languages
from schemas.chat_sections import Turns
from schemas.drops import DropReason
from schemas.outcome import NOTHING_DROPPED, Outcome

_MESSAGES = {"language": -1, "reply_language": 0, "feedback_language": 1}
"""Languages of query, reply and follow-up, and how far each stands from the reply."""

_LINK = r"(?i)\b(?:https?|ftp)://[\p{L}\p{N}\[]|\bwww\.[\p{L}\p{N}-]+\."


@dataclass(frozen=True)
class _Asked:
    """What the recipe asks for, and the texts to ask it of; rows of a frame are known by `at`."""

    filters: Turns
    chats: pa.Table
    turns: pa.Table

    @cached_property
    def texts(self) -> TurnTexts:
        """Lay the conversations out, once, and only if a filter looks at them."""
        return TurnTexts(self.chats, self.turns)

    def read(self, frame: pl.DataFrame, offset: int) -> pl.Series:
        """Give a message of each turn that is left: query (-1), reply (0) or follow-up (1)."""
        return self.texts.read(offset, frame["at"].to_numpy())

    def tell(self, frame: pl.DataFrame, column: str) -> pl.Series:
        """Tell the language of a message of each turn that is left, as `column` names it."""
        return tell_languages(self.read(frame, _MESSAGES[column]), self.filters.min_language_score).alias(column)


@dataclass(frozen=True, slots=True)
class _Rule:
    """reason: why turns go. is_on: whether the recipe asks for it. find: what is wrong with each; null: it stays."""

    reason: DropReason
    is_on: Callable[[Turns], object]
    find: Callable[[pl.DataFrame, _Asked], pl.Series | pl.Expr]


def filter_turns(chats: pa.Table, turns: pa.Table, filters: Turns) -> Outcome:
    """Keep the turns (TURN or LABELLED) that the recipe finds fit; `chats` (CHAT) holds their conversations.

    The three languages are set where the recipe looks at them. A turn is dropped with the first reason that holds;
    `detail` says which text it is about, or which topic, or what was found. Turns keep their order.
    """
    asked = _Asked(filters, chats, turns)
    frame, gone = pl.DataFrame(turns).with_row_index("at"), []
    looks = bool(filters.detect_language or filters.languages)
    for rule in _RULES:
        if rule.reason == DropReason.OTHER_LANGUAGE and looks:
            frame = frame.with_columns(asked.tell(frame, "language"))
        if rule.is_on(filters):
            frame, wrong = _part(frame, rule, asked)
            gone.append(wrong)
    if looks:
        frame = frame.with_columns(asked.tell(frame, "reply_language"), asked.tell(frame, "feedback_language"))
    dropped = pl.concat(gone).to_arrow() if any(wrong.height for wrong in gone) else NOTHING_DROPPED
    return Outcome(frame.select(turns.column_names).to_arrow().cast(turns.schema), dropped, turns.num_rows)


def _part(frame: pl.DataFrame, rule: _Rule, asked: _Asked) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part the turns that stay from those that go, which get reason and detail."""
    judged = frame.with_columns(detail=rule.find(frame, asked))
    goes = judged["detail"].is_not_null()
    wrong = judged.filter(goes).drop("at").rename({"uid": "ref"}).with_columns(reason=pl.lit(rule.reason.value))
    return frame.filter(~goes), wrong


def _find_too_late(_frame: pl.DataFrame, asked: _Asked) -> pl.Expr:
    return _say(pl.col("turn") >= asked.filters.max_turns, "turn")


def _find_too_long(frame: pl.DataFrame, asked: _Asked) -> pl.Expr:
    chars = pl.Series(asked.texts.count_prompts()).gather(frame["at"])
    return _say(pl.lit(chars) > asked.filters.max_prompt_chars, "prompt")


def _find_too_short(frame: pl.DataFrame, asked: _Asked) -> pl.Expr:
    """Say which of the texts has too few words, the query first."""
    filters = asked.filters
    least = {"query": filters.min_query_words, "reply": filters.min_reply_words, "feedback": filters.min_feedback_words}
    short = [
        _say(pl.lit(~has_words(asked.read(frame, offset), words)), name)
        for offset, (name, words) in zip(_MESSAGES.values(), least.items(), strict=True)
        if words
    ]
    return pl.coalesce(short)


def _find_repeated(frame: pl.DataFrame, asked: _Asked) -> pl.Expr:
    """Say which follow-ups are their query, but for white space round them."""
    query, feedback = (pl.lit(asked.read(frame, offset)).str.strip_chars() for offset in (-1, 1))
    return _say(query == feedback, "feedback")


def _find_links(frame: pl.DataFrame, asked: _Asked) -> pl.Expr:
    return pl.lit(asked.read(frame, -1)).str.extract(f"({_LINK})")


def _find_topics(frame: pl.DataFrame, asked: _Asked) -> pl.Series:
    return find_topic(asked.read(frame, -1), asked.filters.topics)


def _find_other_language(_frame: pl.DataFrame, asked: _Asked) -> pl.Expr:
    return pl.when(~pl.col("language").is_in(asked.filters.languages)).then("language")


def _say(wrong: pl.Expr, word: str) -> pl.Expr:
    return pl.when(wrong).then(pl.lit(word))


_RULES = (
    _Rule(DropReason.TOO_LATE, lambda filters: filters.max_turns is not None, _find_too_late),
    _Rule(DropReason.TOO_LONG, lambda filters: filters.max_prompt_chars is not None, _find_too_long),
    _Rule(DropReason.REPEATED_QUERY, lambda filters: filters.repeated, _find_repeated),
    _Rule(
        DropReason.TOO_SHORT,
        lambda filters: filters.min_query_words or filters.min_reply_words or filters.min_feedback_words,
        _find_too_short,
    ),
    _Rule(DropReason.HOLDS_LINK, lambda filters: filters.links, _find_links),
    _Rule(DropReason.OFF_TOPIC, lambda filters: filters.topics, _find_topics),
    _Rule(DropReason.OTHER_LANGUAGE, lambda filters: filters.languages, _find_other_language),
)
