"""Questions: what a judge is asked about turns, as texts; and verdicts: what its answers say about them.

A conversation is shown as data. Every section stands between lines that hold a tag, a hash of all that is shown: a
message cannot hold the tag of a text that it is part of, so it can neither close its section nor open another. Nor can
it end the judge's turn: control tokens of chat templates are broken.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from miners.chats.mining.rubrics import Rubric, ask_for
from miners.chats.mining.texts import TurnTexts
from miners.text.characters import Integers, lay_out
from miners.text.control_tokens import break_control_tokens
from schemas.chat_sections import Judge
from schemas.drops import DropReason
from schemas.errors import PartitionError
from schemas.fingerprints import Json, fingerprint
from schemas.identity import digest, hash64
from schemas.judging import QUESTION, VERDICT, State
from schemas.outcome import Outcome

_TAG_DIGITS = 12
_EMPTY_HISTORY = "[nothing was said before]"
_FAILURES = [state.value for state in State if state != State.OK]
_OF_VERDICT = ["judge", "model", "rubric"]


def write_questions(chats: pa.Table, turns: pa.Table, rubric: Rubric, judge: Judge) -> Outcome:
    """Write the questions (QUESTION) about turns (TURN) of conversations (CHAT): `judge.votes` for each turn.

    The history loses its beginning, at a message's border where one lies within `judge.history_chars`; query and
    follow-up lose their middle; a reply is never cut: turns with a longer one are dropped as TOO_LONG. The outcome
    balances on turns. Questions stand in the order of the turns.

    Two turns that read the same have the same keys: they are asked about once.
    """
    fits = pl.Series(pl.from_arrow(turns["reply_chars"])) <= judge.reply_chars
    fit = turns.filter(fits.to_arrow())
    shown = _show(TurnTexts(chats, fit), rubric, judge)
    asked = pl.DataFrame({"uid": fit["uid"], "text": shown})
    votes = pl.DataFrame({"vote": range(judge.votes)}, schema={"vote": pl.Int16})
    key = digest("text", pl.lit(judge_fingerprint(rubric, judge)), "vote")
    questions = asked.join(votes, how="cross", maintain_order="left_right").with_columns(key=key)
    return Outcome(
        kept=questions.select(QUESTION.names).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(QUESTION),
        dropped=_drop(pl.DataFrame(turns.select(["uid", "reply_chars"])).filter(~fits), judge.reply_chars),
        rows_in=turns.num_rows,
        consumed=fit.num_rows,
    )


def judge_fingerprint(rubric: Rubric, judge: Judge) -> str:
    """Name a judge by all that changes its answers but the text: rubric, model, revision, sampling, and `judge.extra`.

    How many votes are asked, over which endpoints and whether by a server or offline are no part of it.
    """
    asked: Json = [rubric.id, rubric.system, rubric.answers]
    return fingerprint(asked, judge.model, judge.revision, {**sampling(judge), **judge.extra})


def sampling(judge: Judge) -> dict[str, float | int]:
    """Say how an answer is drawn, in OpenAI's words. An integer temperature is written as the float that it means."""
    return {"temperature": float(judge.temperature), "max_tokens": judge.max_tokens}


def draw_seed(key: str) -> int:
    """Give the seed of a question's answer: of its text and vote, so that votes differ and can be drawn again.

    >>> draw_seed("0000010" + 25 * "f")
    16
    """
    return int(key[:7], 16)


def _drop(long: pl.DataFrame, most: int) -> pa.Table:
    detail = pl.format("the reply has {} characters, and the judge is shown {}", "reply_chars", pl.lit(most))
    return long.select(reason=pl.lit(DropReason.TOO_LONG.value), ref="uid", detail=detail).to_arrow()


def _show(texts: TurnTexts, rubric: Rubric, judge: Judge) -> pl.Series:
    """Render what the judge is shown of each turn."""
    history, first = _cut_history(texts, judge.history_chars if "history" in rubric.shows else 0)
    read = {"query": texts.read(-1), "reply": texts.read(0), "follow_up": texts.read(1)}
    shown = pl.DataFrame(read).with_columns(break_control_tokens(pl.all()))
    digests = history.select("turn", said=hash64("role", "content")).group_by("turn").agg("said")
    hashed = digests.select("turn", history_hash=pl.col("said").cast(pl.List(pl.String)).list.join(","))
    tagged = (
        shown.with_row_index("turn")
        .with_columns(pl.col("turn").cast(pl.Int64), cut=pl.Series(first - texts.first, dtype=pl.Int64))
        .join(hashed, on="turn", how="left", maintain_order="left")
        .with_columns(tag=digest("history_hash", "cut", *rubric.texts).str.head(_TAG_DIGITS))
    )
    told = _tell_history(history, tagged.select("turn", "tag"))
    mark = pl.format("[{} earlier messages left out {}]", "cut", "tag")
    whole = tagged.join(told, on="turn", how="left", maintain_order="left").with_columns(
        history=pl.when(pl.col("cut") > 0)
        .then(pl.concat_str(mark, "history", separator="\n", ignore_nulls=True))
        .otherwise(pl.col("history").fill_null(_EMPTY_HISTORY)),
        query=_cut_middle("query", judge.query_chars),
        follow_up=_cut_middle("follow_up", judge.query_chars),
    )
    begin = pl.format("The tag is {}.", "tag")
    end = pl.lit(f"The sections end here, and what follows is asked of you.\n{ask_for(rubric.answers)}")
    sections = [_fence(part) for part in rubric.shows]
    return whole.select(pl.concat_str(begin, *sections, end, separator="\n\n")).to_series()


def _fence(part: str) -> pl.Expr:
    name = part.upper().replace("_", "-")
    return pl.format(f"<<<{name} {{}}\n{{}}\n{name} {{}}>>>", "tag", part, "tag")


def _cut_middle(column: str, most: int) -> pl.Expr:
    """Leave the middle out of longer texts; what is left has `most` characters, and says how many are gone."""
    text = pl.col(column)
    gone = text.str.len_chars().cast(pl.Int64) - most
    mark = pl.format("\n[{} characters left out {}]\n", gone, "tag")
    cut = pl.concat_str(text.str.head(most // 2), mark, text.str.tail(most - most // 2))
    return pl.when(gone > 0).then(cut).otherwise(text)


def _cut_history(texts: TurnTexts, most: int) -> tuple[pl.DataFrame, Integers]:
    """Choose the messages before each query that are shown -> (`turn, role, content, gone` of each; the first's place).

    turn: row of the turn. gone: characters that a message lost. Shown are the last messages that together have `most`
    characters; where the last alone has more, its end.
    """
    behind = texts.reply - 1  # the query's place
    sizes = texts.messages.chars_before
    first = np.maximum(np.searchsorted(sizes, sizes[behind] - most, side="left"), texts.first)
    if most:
        first = np.where((first == behind) & (behind > texts.first), behind - 1, first)
    first = np.minimum(first, behind)  # messages without a character may stand between
    counts = behind - first
    begins = lay_out(counts)
    rows = np.repeat(first - begins[:-1], counts) + np.arange(begins[-1])
    turn = pl.Series("turn", np.repeat(np.arange(len(counts)), counts), dtype=pl.Int64)
    content = pl.col("content").fill_null("")
    messages = texts.messages.frame.select("role", content)[rows].with_columns(turn)
    gone = content.str.len_chars().cast(pl.Int64) - most
    shown = break_control_tokens(content.str.tail(most))
    return messages.with_columns(content=shown, gone=gone.clip(0)), first


def _tell_history(history: pl.DataFrame, tags: pl.DataFrame) -> pl.DataFrame:
    """Join the messages shown of each turn -> `turn, history`."""
    mark = pl.format("[{} characters left out {}]\n", "gone", "tag")
    header = pl.format("[{} {}]\n", "role", "tag")
    said = pl.concat_str(header, pl.when(pl.col("gone") > 0).then(mark).otherwise(pl.lit("")), "content")
    told = history.join(tags, on="turn", how="left", maintain_order="left")
    return told.group_by("turn", maintain_order=True).agg(history=said.str.join("\n"))


def decide_verdicts(questions: pa.Table, answers: pa.Table, rubric: Rubric) -> pa.Table:
    """Decide what the answers (ANSWER, one for each key) say about the turns of questions (QUESTION) -> VERDICT.

    The label is what most of the ok votes say; of several, what the votes together find more probable; of those, the
    one nearest to the rubric's neutral answer. `label_probs` are the mean of the ok votes that have any. Where no vote
    is ok the state is the commonest failure. One row a turn, in the order of the questions.

    Raises PartitionError where a question has no answer, or an answer is none of the rubric's.
    """
    told = pl.DataFrame(answers).select("key", "state", "answer", "probs", *_OF_VERDICT)
    votes = pl.DataFrame(questions.select(["key", "uid"])).join(told, on="key", how="left", maintain_order="left")
    _check(votes, rubric)
    turns = votes.group_by("uid", maintain_order=True).agg(
        pl.first(*_OF_VERDICT),
        (pl.col("state") == State.OK).sum().alias("ok"),
        *(_count(answer).alias(f"votes_{at}") for at, answer in enumerate(rubric.answers)),
        *(_weigh(at).alias(f"prob_{at}") for at in range(len(rubric.answers))),
        *((pl.col("state") == state).sum().alias(state) for state in _FAILURES),
    )
    places = range(len(rubric.answers))
    counts = turns.select(f"votes_{at}" for at in places).to_numpy()
    weights = turns.select(pl.col(f"prob_{at}").fill_null(0.0) for at in places).to_numpy()
    chosen = _choose(counts, weights, rubric.preference)
    return _as_verdicts(turns, chosen, counts)


def _check(votes: pl.DataFrame, rubric: Rubric) -> None:
    """Refuse votes that were not asked for, or of another rubric."""
    if missing := votes["state"].null_count():
        raise PartitionError(f"{missing} of {votes.height} questions have no answer in the ledger: ask them")
    known = pl.col("answer").is_in(rubric.answers).fill_null(value=False)
    strange = votes.filter((pl.col("state") == State.OK) & ~known)
    if strange.height:
        key, answer = strange.select("key", "answer").row(0)
        raise PartitionError(f"the answer to {key} is `{answer}`; {rubric.id} has {', '.join(rubric.answers)}")


def _count(answer: str) -> pl.Expr:
    return ((pl.col("state") == State.OK) & (pl.col("answer") == answer)).sum().cast(pl.Int64)


def _weigh(place: int) -> pl.Expr:
    """Average the probability of an answer over the ok votes that give any; null without."""
    said = pl.when(pl.col("state") == State.OK).then(pl.col("probs").list.get(place, null_on_oob=True))
    return said.cast(pl.Float64).mean()


def _choose(counts: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], preference: Sequence[int]) -> Integers:
    """Choose an answer's place for each turn."""
    most = counts == counts.max(axis=1, initial=0, keepdims=True)
    among = np.where(most, weights, -1.0)
    best = among == among.max(axis=1, initial=-1.0, keepdims=True)
    order = np.array(preference)
    chosen: Integers = order[best[:, order].argmax(axis=1)]
    return chosen


def _as_verdicts(turns: pl.DataFrame, chosen: Integers, counts: npt.NDArray[np.int64]) -> pa.Table:
    """Write the choices as VERDICT; where no vote is ok nothing is chosen."""
    ok = pl.col("ok") > 0
    failure = pl.concat_list(_FAILURES).list.arg_max()
    for_it = pl.Series(counts[np.arange(len(chosen)), chosen], dtype=pl.Float64)
    probs = pl.concat_list(f"prob_{at}" for at in range(counts.shape[1]))
    verdicts = turns.select(
        "uid",
        state=pl.when(ok).then(pl.lit(State.OK.value)).otherwise(pl.lit(pl.Series(_FAILURES)).gather(failure)),
        label=pl.when(ok).then(pl.Series(chosen + 1, dtype=pl.Int8)),
        label_probs=pl.when(pl.col("prob_0").is_not_null()).then(probs),
        agreement=pl.when(ok).then(for_it / pl.col("ok")),
        judge="judge",
        judge_model="model",
        rubric="rubric",
    )
    return verdicts.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(VERDICT)
