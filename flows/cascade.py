"""The cascade: a student decides where it is sure, and only the rest is asked of the judge."""

from collections.abc import Mapping

from flows.engine import Made
from flows.entries import locate
from flows.plan import Plan
from flows.work import Stage, Work
from miners.chats.embedded.model import EmbeddedJudge, open_model
from miners.chats.mining.rubrics import find_rubric
from miners.chats.mining.views import find_view
from schemas.errors import RecipeError
from schemas.fingerprints import Json

STUDENT = Stage("student", "flows.stages.verdicts:judge_where_sure")


def check_cascade(plan: Plan) -> None:
    """Refuse a cascade before a judge that costs nothing, and a student that was not made for the view's rubric."""
    judge = plan.recipe.judge
    if judge.cascade is None:
        return
    if judge.kind == "embedded":
        raise RecipeError(
            "`judge.cascade` saves questions, and `judge.kind: embedded` asks none; expected `server` or `offline`, "
            "or the student as the judge's `model`"
        )
    view = find_view(plan.recipe.feedback.view)
    rubric, student = find_rubric(view.rubric), _open_student(plan).manifest
    if (student.rubric, student.labels) != (rubric.id, len(rubric.answers)):
        raise RecipeError(
            f"`judge.cascade.student`: {judge.cascade.student} answers {student.rubric}, and the view `{view.name}` "
            f"asks {rubric.id}; expected a student made by `revealed judge distill --rubric {rubric.name}`"
        )


def judge_where_sure(plan: Plan, chats: Made, turns: Made) -> Made | None:
    """Let the student decide about the turns (TURN) of which it is sure: VERDICT; None where there is no cascade.

    What counts of a student is what stands in it, not where it lies.
    """
    cascade = plan.recipe.judge.cascade
    if cascade is None:
        return None
    given: Mapping[str, Json] = {
        "student": _open_student(plan).manifest.model_dump(mode="json"),
        "min_confidence": cascade.min_confidence,
    }
    hints: Mapping[str, Json] = {"model": locate(cascade.student, plan.folder)}

    def judge(source: str, at: int) -> Work:
        inputs = {"chats": (chats[source][at],), "turns": (turns[source][at],)}
        return plan.work(STUDENT, given, inputs, hints=hints)

    return plan.each_of(turns, judge)


def _open_student(plan: Plan) -> EmbeddedJudge:
    cascade = plan.recipe.judge.cascade
    assert cascade is not None
    return open_model(locate(cascade.student, plan.folder))
