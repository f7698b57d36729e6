"""Verdicts: turns go to the recipe's judge, and what it says of each comes back.

The embedded model is a stage as any other. A model outside is asked between two stages: one writes the questions, the
other reads the answers out of the ledger; its fingerprint holds a digest of those answers, so that a new one makes just
the partitions again that it concerns.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from flows.cascade import check_cascade, judge_where_sure
from flows.engine import Made
from flows.entries import locate
from flows.judging.asking import ask_questions, digest_answers
from flows.judging.client import Answerer, Client, Pace
from flows.judging.offline import check_extra, open_offline
from flows.plan import Plan, flat
from flows.work import Stage, Work
from miners.chats.embedded.model import EmbeddedJudge, open_model
from miners.chats.mining.questions import judge_fingerprint
from miners.chats.mining.rubrics import Rubric, find_rubric
from miners.chats.mining.views import find_view
from schemas.errors import RecipeError
from schemas.fingerprints import Json
from schemas.recipe import Judge
from warehouse.ledger import open_ledger
from warehouse.partitions import read_partition

EMBEDDED = Stage("verdicts", "flows.stages.verdicts:judge")


@dataclass(frozen=True, slots=True)
class Round:
    """One time that turns are put to a judge outside: how its stages are called.

    may_fail: a question without an answer changes nothing, so that no number of them stops the build.
    """

    questions: Stage
    verdicts: Stage
    may_fail: bool = False


TURNS = Round(
    Stage("questions", "flows.stages.verdicts:ask_about_turns", version=2),
    Stage("verdicts", "flows.stages.verdicts:decide"),
)
REFUSALS = Round(
    Stage("refusal-questions", "flows.stages.verdicts:ask_about_refusals", version=2),
    Stage("refusal-verdicts", "flows.stages.verdicts:decide"),
    may_fail=True,
)

_REFUSAL_RUBRIC = "refusal"
_ASKED = {"model", "revision", "votes", "temperature", "max_tokens", "history_chars", "query_chars", "reply_chars"}
"""Of the recipe's `judge`, what changes a question or its answer."""


def check_judge(plan: Plan) -> None:
    """Refuse a view that the embedded model was not made for, a model that is not there, and `extra` of no use."""
    check_cascade(plan)
    if plan.recipe.judge.kind == "offline":
        check_extra(plan.recipe.judge)
    if plan.recipe.judge.kind != "embedded":
        return
    model, view = _open_embedded(plan), find_view(plan.recipe.feedback.view)
    made_for = model.manifest.rubric.partition("@")[0]
    if view.rubric != made_for:
        raise RecipeError(
            f"`judge.kind: embedded`: {model.manifest.name} was made for the rubric `{made_for}`, and the view "
            f"`{view.name}` asks `{view.rubric}`; expected `feedback.view: wildreward`, or `judge.kind: server`"
        )


def judge_turns(plan: Plan, chats: Made, turns: Made) -> Made:
    """Have every turn (TURN) judged by the view's rubric: VERDICT. In a cascade the student's are among them."""
    if plan.recipe.judge.kind == "embedded":
        return _judge_here(plan, chats, turns)
    sure = judge_where_sure(plan, chats, turns)
    rubric = find_rubric(find_view(plan.recipe.feedback.view).rubric)
    return _ask(plan, {"chats": chats, "turns": turns}, TURNS, rubric, sure=sure)


def judge_refusals(plan: Plan, chats: Made, labelled: Made) -> Made | None:
    """Have the refusals among labelled turns (LABELLED) judged: VERDICT; None where the recipe asks nobody.

    The embedded model was not made for the question, and is not asked.
    """
    recipe = plan.recipe
    view = find_view(recipe.feedback.view)
    if recipe.judge.kind == "embedded" or recipe.refusals.validate_with == "off" or not view.refusals:
        return None
    given: Mapping[str, Json] = {"refusals": recipe.refusals.model_dump(mode="json"), "view": view.name}
    return _ask(plan, {"chats": chats, "turns": labelled}, REFUSALS, find_rubric(_REFUSAL_RUBRIC), given)


def _open_embedded(plan: Plan) -> EmbeddedJudge:
    path = plan.recipe.judge.model
    return open_model(locate(path, plan.folder) if path else None)


def _judge_here(plan: Plan, chats: Made, turns: Made) -> Made:
    """Let the embedded model judge; what counts is what stands in it, not where it lies."""
    path = plan.recipe.judge.model
    manifest = _open_embedded(plan).manifest
    given: Mapping[str, Json] = {"judge": manifest.model_dump(mode="json")}
    hints: Mapping[str, Json] = {"model": locate(path, plan.folder)} if path else {}

    def judge(source: str, at: int) -> Work:
        inputs = {"chats": (chats[source][at],), "turns": (turns[source][at],)}
        return plan.work(EMBEDDED, given, inputs, hints=hints)

    return plan.each_of(turns, judge)


def _ask(
    plan: Plan,
    about: Mapping[str, Made],
    around: Round,
    rubric: Rubric,
    more: Mapping[str, Json] | None = None,
    sure: Made | None = None,
) -> Made:
    """Write the questions, ask what the ledger does not know, and decide by its answers.

    about: `chats` and `turns`. sure: verdicts that are there already; of their turns nothing is asked.
    """
    judge = plan.recipe.judge
    included = _ASKED | {"extra"} if judge.extra else _ASKED  # where there is none, fingerprints are without it
    given: Mapping[str, Json] = {
        **(more or {}),
        "rubric": rubric.name,
        "judge": {**judge.model_dump(mode="json", include=included), "kind": "offline"},
        "fingerprint": judge_fingerprint(rubric, judge),
    }
    known = {} if sure is None else {"sure": sure}
    questions = plan.each(around.questions, {**about, **known}, given)
    ledger = open_ledger(plan.root)
    pace = Pace(declined=sys.maxsize) if around.may_fail else Pace()
    answerer = _Later(partial(_open_answerer, judge, rubric, plan.folder, pace))
    allowed = judge.model_copy(update={"max_failures": 1.0}) if around.may_fail else judge
    ask_questions(flat(questions), answerer, ledger, reporter=plan.engine.reporter, judge=allowed)

    def decide(source: str, at: int) -> Work:
        part = questions[source][at]
        answers = digest_answers(ledger, read_partition(plan.root, part, ["key"])["key"])
        inputs = {"questions": (part,), **{name: (made[source][at],) for name, made in known.items()}}
        return plan.work(around.verdicts, {"rubric": rubric.name, "answers": answers}, inputs)

    return plan.each_of(questions, decide)


@dataclass(frozen=True, slots=True)
class _Later:
    """An Answerer that is opened when it is asked: a build that asks nothing needs no server."""

    open: Callable[[], Answerer]

    def answer(self, questions: Iterable[pa.Table], sink: Callable[[pa.Table], None]) -> None:
        """Open it, and ask."""
        self.open().answer(questions, sink)


def _open_answerer(judge: Judge, rubric: Rubric, folder: Path, pace: Pace) -> Answerer:
    return open_offline(judge, rubric, folder) if judge.kind == "offline" else Client(judge, rubric, pace, say=_say)


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")  # a progress bar, where there is one, stays below it
