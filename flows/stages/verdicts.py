"""Stages around the judges: the questions about turns, and the verdicts that a model or the ledger gives on them."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from flows.judging.asking import name_answers
from flows.work import Inputs
from miners.chats.embedded.model import EmbeddedJudge, judge_turns, open_model
from miners.chats.mining.questions import decide_verdicts, write_questions
from miners.chats.mining.refusals import find_refusals
from miners.chats.mining.rubrics import find_rubric
from miners.chats.mining.views import find_view
from schemas.errors import FatalError, TransientError
from schemas.judging import VERDICT
from schemas.outcome import NOTHING_DROPPED, Outcome
from schemas.recipe import Judge, Refusals, check
from warehouse.ledger import open_ledger

Given = Mapping[str, Any]

_BYTES_A_CHAR = 4  # at most, in UTF-8
_QUESTION_BYTES = 1 << 30  # of the texts of questions that are written at once: an array of them holds 2 GiB
_DIGITS = 5  # of a model's probabilities; as Float32 .95 is a little less


def judge(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Let the embedded model judge the turns of one bucket."""
    model = _open(given, "judge")
    turns = inputs.table("turns")
    verdicts = judge_turns(inputs.table("chats"), turns, model)
    yield Outcome(verdicts, NOTHING_DROPPED, turns.num_rows)


def judge_where_sure(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Let a student judge the turns of one bucket, and give its verdicts on those of which it is sure."""
    model = _open(given, "student")
    turns = inputs.table("turns")
    verdicts = judge_turns(inputs.table("chats"), turns, model)
    confidence = pl.col("label_probs").list.max().cast(pl.Float64).round(_DIGITS)
    sure = pl.DataFrame(verdicts.select(["label_probs"])).select(confidence >= given["min_confidence"])
    yield Outcome(verdicts.filter(sure.to_series().to_arrow()), NOTHING_DROPPED, turns.num_rows, turns.num_rows)


def ask_about_turns(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Write the questions about the turns of one bucket, but for those that a student is sure of."""
    turns = inputs.table("turns")
    if inputs.has("sure"):
        sure = pl.Series(pl.from_arrow(inputs.table("sure", ["uid"])["uid"]))
        turns = turns.filter((~pl.Series(pl.from_arrow(turns["uid"])).is_in(sure.implode())).to_arrow())
    yield from _write(inputs, given, turns)


def ask_about_refusals(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Write the questions about the labelled turns of one bucket whose reply refused and was marked down."""
    refusals = check(Refusals, given["refusals"], "refusals")
    labelled = inputs.table("turns")
    yield from _write(inputs, given, find_refusals(inputs.table("chats"), labelled, refusals, find_view(given["view"])))


def decide(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Decide on the turns of one bucket by the answers in the ledger; `given` names them by a digest.

    Verdicts of a student, where there is a cascade, stand behind those of the judge. Raises TransientError where the
    answers are others by now: what is made of them would stand under the wrong fingerprint.
    """
    questions = inputs.table("questions", ["key", "uid"])
    answers = open_ledger(inputs.root).find(questions["key"])
    if name_answers(answers) != given["answers"]:
        raise TransientError("the ledger's answers changed while verdicts were decided; build again")
    verdicts = decide_verdicts(questions, answers, find_rubric(given["rubric"]))
    sure = inputs.table("sure") if inputs.has("sure") else VERDICT.empty_table()
    rows = questions.num_rows + sure.num_rows
    yield Outcome(pa.concat_tables([verdicts, sure]), NOTHING_DROPPED, rows, consumed=rows)


def _open(given: Given, name: str) -> EmbeddedJudge:
    """Open the model of `given["model"]`; raises FatalError where it is not the one whose manifest is given[name]."""
    path = given.get("model")
    model = open_model(path)
    if model.manifest.model_dump(mode="json") != given[name]:
        raise FatalError(
            f"{path or 'the shipped model'}: it is another model than when the build began; expected a folder that "
            "stays as it is while a build lasts: build again"
        )
    return model


def _write(inputs: Inputs, given: Given, turns: pa.Table) -> Iterator[Outcome]:
    """Write the questions, so many turns at a time that their texts fit into one Arrow array."""
    judge, rubric, chats = check(Judge, given["judge"], "judge"), find_rubric(given["rubric"]), inputs.table("chats")
    most_bytes = _BYTES_A_CHAR * (judge.history_chars + 2 * judge.query_chars + judge.reply_chars) * judge.votes
    at_once = max(_QUESTION_BYTES // most_bytes, 1)
    for begin in range(0, max(turns.num_rows, 1), at_once):
        yield write_questions(chats, turns.slice(begin, at_once), rubric, judge)
