"""From the pair store to what is released: opinions -> hygiene -> draw -> caps -> select -> decontaminate -> rewards.

Before the draw, every pair is asked what it says of its two replies, so that pairs which repeat or contradict each
other are known wherever in the corpus they stand. Only what is drawn is written out with its texts.
"""

from collections.abc import Mapping

from flows.decontamination import clean
from flows.engine import Made
from flows.entries import hash_input, locate
from flows.forums import Mined
from flows.plan import Plan, flat, power_of_two
from flows.work import Stage, Work
from schemas.fingerprints import Json
from schemas.manifest import Partition
from warehouse.partitions import PLAIN, Shape

OPINIONS = Stage("opinions", "flows.stages.drawing:hear_opinions")
HYGIENE = Stage("hygiene", "flows.stages.drawing:weigh")
DRAW = Stage("draw", "flows.stages.drawing:draw")
CAPS = Stage("caps", "flows.stages.drawing:cap")
SELECT = Stage("select", "flows.stages.drawing:select", version=2)
REWARDS = Stage("rewards", "flows.stages.drawing:reward")

_PAIRS_A_BUCKET = 500_000
_PAIRS_A_PLACE = 20_000


def draw_view(plan: Plan, mined: Mined, decisions: Made, benchmarks: tuple[Partition, ...]) -> Made:
    """Draw the recipe's view, with texts, splits and places; bucketed by place."""
    pairs = sum(part.rows for part in flat(mined.pairs))
    count = power_of_two(pairs / _PAIRS_A_BUCKET)
    verdicts = _weigh(plan, mined, decisions, count)
    drawn = _draw(plan, mined, decisions, verdicts, count)
    selected = _select(plan, mined, drawn, _cap(plan, drawn, count), power_of_two(pairs / _PAIRS_A_PLACE))
    return _reward(plan, clean(plan, selected, benchmarks, ("prompt", "chosen", "rejected")))


def _view(plan: Plan) -> dict[str, Json]:
    custom = plan.recipe.custom
    return {"view": plan.recipe.view, "custom": None if custom is None else custom.model_dump(mode="json")}


def _weigh(plan: Plan, mined: Mined, decisions: Made, count: int) -> tuple[Partition, ...]:
    def hear(source: str, at: int) -> Work:
        inputs = {"pairs": (mined.pairs[source][at],), "decisions": (decisions[source][at],)}
        return plan.work(OPINIONS, {**_view(plan), "entry": source}, inputs, shape=Shape("key", count))

    opinions = flat(plan.each_of(mined.pairs, hear))
    return plan.corpus([plan.work(HYGIENE, {}, {"opinions": opinions}, bucket=n) for n in range(count)])


def _draw(plan: Plan, mined: Mined, decisions: Made, verdicts: tuple[Partition, ...], count: int) -> Made:
    """Draw each bucket of pairs; bucketed by author where these are capped."""
    by_author = plan.recipe.max_per_author is not None
    given: dict[str, Json] = {
        **_view(plan),
        "hygiene": plan.recipe.hygiene.model_dump(mode="json"),
        "by_author": by_author,
    }

    def draw(source: str, at: int) -> Work:
        inputs = {
            "pairs": (mined.pairs[source][at],),
            "decisions": (decisions[source][at],),
            "verdicts": verdicts,
        }
        shape = Shape("author_key", count) if by_author else PLAIN
        return plan.work(DRAW, {**given, "entry": source}, inputs, shape=shape)

    return plan.each_of(mined.pairs, draw)


def _cap(plan: Plan, drawn: Made, count: int) -> tuple[Partition, ...]:
    most = plan.recipe.max_per_author
    if most is None:
        return ()
    given: Mapping[str, Json] = {"max_per_author": most}
    return plan.corpus([plan.work(CAPS, given, {"drawn": flat(drawn)}, bucket=n) for n in range(count)])


def _select(plan: Plan, mined: Mined, drawn: Made, capped: tuple[Partition, ...], places: int) -> Made:
    splits = plan.recipe.splits.shares()
    given: dict[str, Json] = {
        **_view(plan),
        "max_parents": plan.recipe.pairs.max_parents,
        "seed": plan.recipe.seed,
        "splits": splits,
        "places": places,
    }

    def select(source: str, at: int) -> Work:
        inputs = {"drawn": (drawn[source][at],), "threads": (mined.threads[source][at],), "capped": capped}
        return plan.work(SELECT, given, inputs, shape=Shape("place", places * len(splits)))

    return plan.each_of(drawn, select)


def _reward(plan: Plan, selected: Made) -> Made:
    """Bring scores from outside to the rows, where the recipe has some."""
    scores = plan.recipe.scores
    if scores is None:
        return selected
    given: dict[str, Json] = {"scores": scores.model_dump(mode="json")}
    hints: dict[str, Json] = {}
    if scores.file:  # what counts is what stands in it, not where it lies
        path = locate(scores.file, plan.folder)
        given = {
            "scores": scores.model_copy(update={"file": ""}).model_dump(mode="json"),
            "content": hash_input(path, plan.root),
        }
        hints["path"] = path

    def reward(source: str, at: int) -> Work:
        part = selected[source][at]
        return plan.work(
            REWARDS, given, {"selected": (part,)}, shape=Shape("place", len(part.bucket_rows)), hints=hints
        )

    return plan.each_of(selected, reward)
