"""Hindsight: a turn whose follow-up says nothing takes the label of a later one on the same topic (WildReward, 3)."""

import polars as pl
import pyarrow as pa

from miners.chats.mining.likeness import compare_topics
from miners.chats.mining.texts import TurnTexts
from miners.chats.mining.views import WILDREWARD, View, is_one_of
from schemas.chat_sections import Hindsight
from schemas.judging import Origin
from schemas.mining import LABELLED

_REPLY_CHARS = 1_000  # of a reply: its beginning says what it is about
_FOUND = {"at": pl.UInt32, "giver": pl.UInt32, "likeness": pl.Float32}
_NONE: frozenset[int] = frozenset()
_TAKEN = ("label", "label_probs", "agreement", "judge", "judge_model", "rubric")


def apply_hindsight(
    chats: pa.Table, turns: pa.Table, verdicts: pa.Table, hindsight: Hindsight, view: View = WILDREWARD
) -> pa.Table:
    """Give turns (TURN) their verdicts (VERDICT), and neutral ones the label of a later turn: LABELLED.

    For each neutral turn the next ones of its conversation (CHAT) are looked at, by their numbers. The first whose
    label is asked for, by hindsight or else by the view, and that is at least so much alike in topic gives its label,
    with what the judge said of it. A turn that is not there, or whose asking failed, ends the look: what lies behind a
    gap is not the next turn. Labels come from judges alone: one that a turn has by hindsight is not handed on.

    Turns without a verdict were dropped before, where questions are written, and do not come back. Order is kept.
    """
    labelled = label_turns(turns, verdicts)
    asked = view.settle(hindsight)
    wanted = _NONE | (view.positive if asked.positive else _NONE) | (view.negative if asked.negative else _NONE)
    frame = pl.DataFrame(labelled).with_row_index("at")
    texts = TurnTexts(chats, labelled)
    return _take(frame, look_ahead(frame, texts, hindsight, seeks=is_one_of(view.neutral), fits=is_one_of(wanted)))


def look_ahead(
    frame: pl.DataFrame, texts: TurnTexts, hindsight: Hindsight, *, seeks: pl.Expr, fits: pl.Expr
) -> pl.DataFrame:
    """Find for turns the first later one within reach that fits and is on their topic.

    frame: LABELLED, its rows numbered by `at`; texts: theirs. seeks, fits: for which turns, and which ones will do.
    Answers `at, giver` (rows of the frame) and `likeness`, of the turns that found one. What is missing or has no
    label ends a look.
    """
    given = frame.filter(pl.col("label").is_not_null())
    known = given.select("group_id", reached="turn", giver="at", fits=fits)
    looking = given.filter(seeks).select("at", "group_id", reached="turn")
    found = [pl.DataFrame(schema=_FOUND)]
    for _ in range(hindsight.turns):
        ahead = looking.with_columns(pl.col("reached") + 1)
        looking = ahead.join(known, on=["group_id", "reached"], how="inner", maintain_order="left")
        near = looking.filter("fits")
        near = near.with_columns(likeness=compare_topics(*(_read(texts, near[side]) for side in ("at", "giver"))))
        near = near.filter(pl.col("likeness") >= hindsight.min_likeness).select(list(_FOUND))
        found.append(near)
        looking = looking.join(near, on="at", how="anti", maintain_order="left").select("at", "group_id", "reached")
    return pl.concat(found)


def _read(texts: TurnTexts, rows: pl.Series) -> pl.Series:
    """Read what turns are about: query and the beginning of the reply; follow-ups that praise have no topic."""
    query, reply = (pl.lit(texts.read(offset, rows.to_numpy())) for offset in (-1, 0))
    return pl.select(pl.concat_str(query, reply.str.head(_REPLY_CHARS), separator="\n")).to_series()


def _take(frame: pl.DataFrame, found: pl.DataFrame) -> pa.Table:
    """Give the turns that something was found for the label of another, with all that was said of it."""
    giver = frame.select(*_TAKEN, label_turn="turn")[found["giver"]]
    own = frame[found["at"]].drop(*_TAKEN, "label_turn", "likeness", "origin")
    taken = pl.concat([own, giver, found.select("likeness")], how="horizontal")
    taken = taken.with_columns(origin=pl.lit(Origin.HINDSIGHT.value)).select(frame.columns)
    rest = frame.join(found, on="at", how="anti")
    return pl.concat([rest, taken]).sort("at").select(LABELLED.names).to_arrow().cast(LABELLED)


def label_turns(turns: pa.Table, verdicts: pa.Table) -> pa.Table:
    """Give turns (TURN) their verdicts (VERDICT): LABELLED, all of origin `direct`; those without a verdict go."""
    frame = pl.DataFrame(turns).join(pl.DataFrame(verdicts), on="uid", how="inner", maintain_order="left")
    described = frame.with_columns(
        origin=pl.lit(Origin.DIRECT.value),
        first_label=pl.col("label"),
        label_turn=pl.col("turn"),
        likeness=pl.lit(None, pl.Float32),
    )
    return described.select(LABELLED.names).to_arrow().cast(LABELLED)
