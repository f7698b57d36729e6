"""Stages around the judges: the questions about turns, and the verdicts that a model or the ledger gives on them."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from flows.work import Inputs
from miners.chats.embedded.model import judge_turns, open_model
from miners.chats.mining.questions import decide_verdicts, write_questions
from miners.chats.mining.refusals import find_refusals
from miners.chats.mining.rubrics import find_rubric
from miners.chats.mining.views import find_view
from schemas.judging import VERDICT
from schemas.outcome import NOTHING_DROPPED, Outcome
from schemas.recipe import Judge, Refusals, check
from warehouse.ledger import open_ledger

Given = Mapping[str, Any]

_DIGITS = 5  # of a model's probabilities; as Float32 .95 is a little less


def judge(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Let the embedded model judge the turns of one bucket."""
    turns = inputs.table("turns")
    verdicts = judge_turns(inputs.table("chats"), turns, open_model(given.get("model")))
    yield Outcome(verdicts, NOTHING_DROPPED, turns.num_rows)


def judge_where_sure(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Let a student judge the turns of one bucket, and give its verdicts on those of which it is sure."""
    turns = inputs.table("turns")
    verdicts = judge_turns(inputs.table("chats"), turns, open_model(given["model"]))
    confidence = pl.col("label_probs").list.max().cast(pl.Float64).round(_DIGITS)
    sure = pl.DataFrame(verdicts.select(["label_probs"])).select(confidence >= given["min_confidence"])
    yield Outcome(verdicts.filter(sure.to_series().to_arrow()), NOTHING_DROPPED, turns.num_rows, turns.num_rows)


def ask_about_turns(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Write the questions about the turns of one bucket, but for those that a student is sure of."""
    turns = inputs.table("turns")
    if inputs.has("sure"):
        sure = pl.Series(pl.from_arrow(inputs.table("sure", ["uid"])["uid"]))
        turns = turns.filter((~pl.Series(pl.from_arrow(turns["uid"])).is_in(sure.implode())).to_arrow())
    yield _write(inputs, given, turns)


def ask_about_refusals(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Write the questions about the labelled turns of one bucket whose reply refused and was marked down."""
    refusals = check(Refusals, given["refusals"], "refusals")
    labelled = inputs.table("turns")
    yield _write(inputs, given, find_refusals(inputs.table("chats"), labelled, refusals, find_view(given["view"])))


def decide(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Decide on the turns of one bucket by the answers in the ledger; `given` names them by a digest.

    Verdicts of a student, where there is a cascade, stand behind those of the judge.
    """
    questions = inputs.table("questions", ["key", "uid"])
    answers = open_ledger(inputs.root).find(questions["key"])
    verdicts = decide_verdicts(questions, answers, find_rubric(given["rubric"]))
    sure = inputs.table("sure") if inputs.has("sure") else VERDICT.empty_table()
    rows = questions.num_rows + sure.num_rows
    yield Outcome(pa.concat_tables([verdicts, sure]), NOTHING_DROPPED, rows, consumed=rows)


def _write(inputs: Inputs, given: Given, turns: pa.Table) -> Outcome:
    judge = check(Judge, given["judge"], "judge")
    return write_questions(inputs.table("chats"), turns, find_rubric(given["rubric"]), judge)
