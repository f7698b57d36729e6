"""The chats route: conversations -> turns -> verdicts -> labels -> caps -> feedback -> decontamination -> places.

Partition n of every step holds the same conversations, so that texts are read where they stand, and written out last.
"""

from collections.abc import Mapping

from flows.decontamination import clean
from flows.engine import Made
from flows.ingest import count_buckets, read_entries
from flows.plan import Plan, flat, power_of_two
from flows.verdicts import check_judge, judge_refusals, judge_turns
from flows.work import Stage, Work
from miners.chats.mining.views import find_view
from schemas.fingerprints import Json
from schemas.manifest import Partition
from schemas.recipe import Feedback, Recipe, Turns
from warehouse.partitions import PLAIN, Shape

CHATS = Stage("chats", "flows.stages.chats:make_chats", version=2)
TURNS = Stage("turns", "flows.stages.chats:list_turns")
FIT = Stage("fit", "flows.stages.chats:fit_turns")
FIT_LABELS = Stage("fit-labels", "flows.stages.chats:fit_turns")
LABELS = Stage("labels", "flows.stages.chats:label")
REFUSALS = Stage("refusals", "flows.stages.chats:correct_refusals")
CHOOSE = Stage("choose", "flows.stages.chats:choose")
CAPS = Stage("caps", "flows.stages.chats:cap")
FEEDBACK = Stage("feedback", "flows.stages.chats:write", version=3)
PLACES = Stage("places", "flows.stages.chats:place_rows", version=2)

GROUPS = "flows.stages.chats:list_openings"
"""How dedupe learns of the conversations of a partition."""

_OF_CHATS = {"toxic", "redacted", "max_messages", "pii"}
"""Of the recipe's `turns`, what is asked of whole conversations."""

_TURNS_A_BUCKET = 500_000
_ROWS_A_PLACE = 20_000


def check_settings(plan: Plan) -> None:
    """Refuse a view that the judge cannot serve, and a model that is not there, before the work."""
    if plan.entries:
        check_judge(plan)


def settle(recipe: Recipe) -> Recipe:
    """Write into a recipe what it leaves to its view, so that fingerprints and manifest say what is done."""
    view = find_view(recipe.feedback.view)
    return recipe.model_copy(update={"hindsight": view.settle(recipe.hindsight)})


def gather_chats(plan: Plan) -> Made:
    """Read every input, and assemble its conversations; all parts and copies of one meet in one partition."""
    slices = read_entries(plan)
    recipe = plan.recipe
    given: Mapping[str, Json] = {
        "turns": recipe.turns.model_dump(mode="json", include=_OF_CHATS),
        "licenses": recipe.licenses.model_dump(mode="json"),
        "sample": plan.sample,
        "seed": recipe.seed,
    }
    return plan.engine.stage(
        {
            entry.name: [
                plan.work(CHATS, given, {"slices": slices[entry.name]}, bucket=bucket)
                for bucket in range(count_buckets(plan, entry))
            ]
            for entry in plan.entries
        }
    )


def collect_feedback(plan: Plan, chats: Made, decisions: Made, benchmarks: tuple[Partition, ...]) -> Made:
    """Judge the turns of the conversations that dedupe kept, and write what is released; bucketed by place."""
    turns = _find_turns(plan, chats, decisions)
    labelled = _label(plan, chats, turns, decisions)
    inputs = {"chats": chats, "decisions": decisions, "labelled": labelled}
    feedback = _write(plan, inputs, _choose(plan, labelled, decisions))
    return _place(plan, clean(plan, feedback, benchmarks, ("prompt", "response", "feedback", "better")))


def _find_turns(plan: Plan, chats: Made, decisions: Made) -> Made:
    """Find the turns that are to be judged: the fit ones, or all, where the recipe filters later."""
    turns = plan.each(TURNS, {"chats": chats}, {})
    asked = plan.recipe.turns if plan.recipe.turns.filter == "before" else Turns()
    return _fit(plan, FIT, {"chats": chats, "turns": turns, "decisions": decisions}, asked)


def _fit(plan: Plan, stage: Stage, inputs: Mapping[str, Made], asked: Turns) -> Made:
    return plan.each(stage, inputs, {"turns": asked.model_dump(mode="json", exclude={"filter", *_OF_CHATS})})


def _label(plan: Plan, chats: Made, turns: Made, decisions: Made) -> Made:
    """Have the turns judged, and correct their labels by what came later, and by what is found about refusals."""
    verdicts = judge_turns(plan, chats, turns)
    view: Mapping[str, Json] = {"view": plan.recipe.feedback.view}
    given: Mapping[str, Json] = {**view, "hindsight": plan.recipe.hindsight.model_dump(mode="json")}
    labelled = plan.each(LABELS, {"chats": chats, "turns": turns, "verdicts": verdicts}, given)
    if plan.recipe.turns.filter == "after":
        inputs = {"chats": chats, "turns": labelled, "decisions": decisions}
        labelled = _fit(plan, FIT_LABELS, inputs, plan.recipe.turns)
    found = judge_refusals(plan, chats, labelled)
    return labelled if found is None else plan.each(REFUSALS, {"labelled": labelled, "verdicts": found}, view)


def _choose(plan: Plan, labelled: Made, decisions: Made) -> Made:
    """Choose the labels to release; bucketed by user where these are capped."""
    asked = plan.recipe.feedback
    given: Mapping[str, Json] = {
        "feedback": asked.model_dump(mode="json", exclude={"max_per_user", *_unused(asked)}),
        "seed": plan.recipe.seed,
    }
    shape = PLAIN if asked.max_per_user is None else Shape("user", _count_user_buckets(labelled))
    return plan.each(CHOOSE, {"labelled": labelled, "decisions": decisions}, given, shape=shape)


def _unused(asked: Feedback) -> set[str]:
    """Name what changes nothing as the rest stands; fingerprints are without it."""
    return set() if asked.min_probability and asked.temperature != 1 else {"temperature"}


def _count_user_buckets(labelled: Made) -> int:
    return power_of_two(sum(part.rows for part in flat(labelled)) / _TURNS_A_BUCKET)


def _cap(plan: Plan, chosen: Made) -> tuple[Partition, ...]:
    most = plan.recipe.feedback.max_per_user
    parts = flat(chosen)
    if most is None or not parts:
        return ()
    given: Mapping[str, Json] = {"max_per_user": most, "seed": plan.recipe.seed}
    buckets = range(len(parts[0].bucket_rows))
    return plan.corpus([plan.work(CAPS, given, {"chosen": parts}, bucket=bucket) for bucket in buckets])


def _write(plan: Plan, inputs: Mapping[str, Made], chosen: Made) -> Made:
    """Write the chosen turns with their texts, but for those beyond the cap of their user."""
    capped = _cap(plan, chosen)
    sure = {"view", "min_agreement", "min_probability", "temperature"} - _unused(plan.recipe.feedback)
    given: Mapping[str, Json] = {
        "feedback": plan.recipe.feedback.model_dump(mode="json", include=sure),
        "hindsight": plan.recipe.hindsight.model_dump(mode="json", include={"turns", "min_likeness"}),
    }

    def write(source: str, at: int) -> Work:
        own = {name: (made[source][at],) for name, made in {**inputs, "chosen": chosen}.items()}
        return plan.work(FEEDBACK, given, {**own, "capped": capped})

    return plan.each_of(chosen, write)


def _place(plan: Plan, rows: Made) -> Made:
    splits = plan.recipe.splits.shares()
    places = power_of_two(sum(part.rows for part in flat(rows)) / _ROWS_A_PLACE)
    given: Mapping[str, Json] = {"seed": plan.recipe.seed, "splits": splits, "places": places}
    return plan.each(PLACES, {"rows": rows}, given, shape=Shape("place", places * len(splits)))
