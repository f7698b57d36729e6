"""Feedback: which labelled turns are released, and their texts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from miners.chats.mining.preferences import find_better
from miners.chats.mining.texts import TurnTexts
from miners.chats.mining.views import View, find_view, is_one_of, is_unsure
from miners.rules import Rule, apply_rules, part
from schemas.chat_sections import Feedback, Hindsight
from schemas.drops import DropReason
from schemas.identity import hash64
from schemas.inputs import Route
from schemas.judging import State
from schemas.mining import LABELLED
from schemas.outcome import Outcome
from schemas.signals import FEEDBACK

UNSPLIT = pa.schema([column for column in FEEDBACK if column.name != "split"])
"""Feedback before it has a split."""

_OF_CHAT = ("source", "license", "model", "country", "toxic", "redacted", "pii")
_CHARS_A_TOKEN = 4
_AS_USUAL = Hindsight()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the recipe asks for."""

    feedback: Feedback
    view: View
    seed: int


def make_feedback(
    chats: pa.Table,
    labelled: pa.Table,
    decisions: pa.Table,
    feedback: Feedback,
    *,
    hindsight: Hindsight = _AS_USUAL,
    seed: int = 0,
) -> Outcome:
    """Choose among labelled turns (LABELLED) and write them with their texts: UNSPLIT, sorted by uid.

    chats: their conversations (CHAT). decisions: as in `choose_labels`. hindsight: how far `find_better` looks. It is
    `choose_labels`, then `write_feedback`: a build with a cap by user puts `cap_users` between the two.
    """
    chosen = choose_labels(labelled, decisions, feedback, seed=seed)
    better = find_better(chats, labelled, feedback, hindsight)
    written = write_feedback(chats, chosen.kept, decisions, find_view(feedback.view), better)
    return Outcome(pa.concat_tables([UNSPLIT.empty_table(), *written]), chosen.dropped, chosen.rows_in)


def choose_labels(labelled: pa.Table, decisions: pa.Table, feedback: Feedback, *, seed: int = 0) -> Outcome:
    """Choose which labelled turns (LABELLED) are released, all but for the caps by user; they keep their order.

    decisions: `group_id, cluster_id, kept` of every conversation; one that is not named is kept. Turns are dropped as
    THREAD_DROPPED, by how their asking failed, as NEUTRAL, UNSURE and OVER_CONVERSATION_CAP, in this order.
    """
    known = pl.DataFrame(decisions.select(["group_id", "kept"]))
    frame = pl.DataFrame(labelled).join(known, on="group_id", how="left", maintain_order="left")
    frame, gone = apply_rules(frame, _RULES, _Asked(feedback, find_view(feedback.view), seed))
    return _divide(frame, gone, labelled.num_rows, LABELLED)


def cap_users(rows: pa.Table, max_per_user: int | None, *, seed: int = 0) -> Outcome:
    """Let of each user's rows at most so many stay, those with the smallest hash; rows without a user all stay.

    rows: any with `uid` and `user`, all rows of a user among them: by conversation a user is in many partitions. Give
    it what would else be released, since a cap that counts neutral turns leaves less than it says.
    """
    frame = pl.DataFrame(rows)
    if max_per_user is None:
        return _divide(frame, [], rows.num_rows, rows.schema)
    over = pl.col("user").is_not_null() & (_place("user", seed) > max_per_user)
    kept, gone = part(frame, DropReason.OVER_USER_CAP, over)
    return _divide(kept, [gone], rows.num_rows, rows.schema)


def write_feedback(
    chats: pa.Table, chosen: pa.Table, decisions: pa.Table, view: View, better: pl.DataFrame
) -> Iterator[pa.Table]:
    """Write chosen turns (LABELLED) with texts, category, ordinal and what `find_better` found: UNSPLIT, by uid.

    Tables follow each other, each of about 256 MiB of prompts, since all those of a partition may be more than an Arrow
    array of texts can hold: a chat of 400 messages is written 200 times. Of no turns there is none.
    """
    chosen = chosen.sort_by("uid")
    clusters = pl.DataFrame(decisions.select(["group_id", "cluster_id"]))
    texts = TurnTexts(chats, chosen)
    said = texts.messages.frame["created_at"].gather(texts.reply)
    of_chat = pl.DataFrame(chats.select([*_OF_CHAT, "created_at", "language"])).rename({"language": "told"})[texts.chat]
    frame = pl.concat([pl.DataFrame(chosen), of_chat], how="horizontal")
    frame = frame.join(better, on="uid", how="left", maintain_order="left")
    described = frame.join(clusters, on="group_id", how="left", maintain_order="left").with_columns(
        route=pl.lit(Route.CHATS.value),
        community=pl.col("source"),
        cluster_id=pl.coalesce("cluster_id", "group_id"),
        created_at=pl.coalesce(said, "created_at"),
        language=pl.coalesce("language", "told"),  # null where nobody looked: what the log says then
        weight=pl.lit(1.0),
        response=texts.read(0),
        feedback=texts.read(1),
        category=view.category(),
        ordinal=view.order(),
        prompt_chars=texts.count_prompts(),
        response_chars=pl.col("reply_chars"),
        **{name: pl.lit(None, pl.String) for name in ("url", "attribution")},
    )
    described = described.with_columns(tokens=(pl.col("prompt_chars") + pl.col("response_chars")) // _CHARS_A_TOKEN)
    thin = described.select(name for name in UNSPLIT.names if name != "prompt")
    at = 0
    for prompts in texts.write_chunks():
        columns = thin.slice(at, len(prompts)).to_arrow()
        yield columns.append_column(UNSPLIT.field("prompt"), prompts).select(UNSPLIT.names).cast(UNSPLIT)
        at += len(prompts)


def _divide(kept: pl.DataFrame, gone: list[pl.DataFrame], rows_in: int, schema: pa.Schema) -> Outcome:
    left = pl.concat(gone) if gone else kept.head(0).with_columns(reason=pl.lit(None, pl.String))
    columns = kept.select(schema.names).to_arrow().cast(schema)
    return Outcome(columns, left.rename({"uid": "ref"}).to_arrow(), rows_in)


def _place(within: str, seed: int) -> pl.Expr:
    """Place the rows of a group in an order of chance, as a hash has it, from 1."""
    return hash64(pl.lit(f"feedback {seed}"), "uid").rank("ordinal").over(within)


def _always(_: _Asked) -> bool:
    return True


def _failed(state: State) -> Callable[[pl.DataFrame, _Asked], pl.Expr]:
    return lambda _frame, _asked: pl.col("state") == state.value


_FAILURES = {
    DropReason.JUDGE_UNPARSEABLE: State.UNPARSEABLE,
    DropReason.JUDGE_REFUSED: State.REFUSED,
    DropReason.JUDGE_TIMEOUT: State.TIMEOUT,
    DropReason.JUDGE_ERROR: State.ERROR,
}

_RULES: tuple[Rule[_Asked], ...] = (
    Rule(DropReason.THREAD_DROPPED, _always, lambda _frame, _asked: ~pl.col("kept")),
    *(Rule(reason, _always, _failed(state)) for reason, state in _FAILURES.items()),
    Rule(
        DropReason.NEUTRAL,
        lambda asked: asked.feedback.neutral == "drop",
        lambda _frame, asked: is_one_of(asked.view.neutral),
    ),
    Rule(DropReason.UNSURE, _always, lambda _frame, asked: is_unsure(asked.feedback)),
    Rule(
        DropReason.OVER_CONVERSATION_CAP,
        lambda asked: asked.feedback.max_per_conversation is not None,
        lambda _frame, asked: _place("group_id", asked.seed) > asked.feedback.max_per_conversation,
    ),
)
