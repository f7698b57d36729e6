"""The forums route: posts -> threads -> filter -> pairs, each community on its own."""

from collections.abc import Mapping
from dataclasses import dataclass

from flows.engine import Made
from flows.entries import hash_input, locate
from flows.ingest import count_buckets, read_entries
from flows.plan import Plan
from flows.work import Stage
from schemas.fingerprints import Json
from schemas.recipe import Filters, Licenses

THREADS = Stage("threads", "flows.stages.forums:make_threads", version=2)
FILTER = Stage("filter", "flows.stages.forums:filter_threads")
PAIRS = Stage("pairs", "flows.stages.forums:make_pairs", version=2)

GROUPS = "flows.stages.forums:list_groups"
"""How dedupe learns of the threads of a partition."""


@dataclass(frozen=True, slots=True)
class Mined:
    """What the route hands to the set-wide steps; partition n of each is about the same threads."""

    threads: Made
    pairs: Made


def mine(plan: Plan) -> Mined:
    """Mine every community."""
    recipe = plan.recipe
    posts = read_entries(plan)
    given: Mapping[str, Json] = {"sample": plan.sample, "seed": recipe.seed, "replies": recipe.pairs.replies}
    threads = plan.engine.stage(
        {
            entry.name: [
                plan.work(THREADS, given, {"posts": posts[entry.name]}, bucket=bucket)
                for bucket in range(count_buckets(plan, entry))
            ]
            for entry in plan.entries
        }
    )
    threads = _filter(plan, threads)
    given = {"max_per_thread": recipe.pairs.max_per_thread, "seed": recipe.seed}
    return Mined(threads, plan.each(PAIRS, {"threads": threads}, given))


def _filter(plan: Plan, threads: Made) -> Made:
    """Let the recipe's filters and licence gate see every post; where it has none there is no such step."""
    recipe = plan.recipe
    if recipe.filters == Filters() and recipe.licenses == Licenses():
        return threads
    given: dict[str, Json] = {
        "filters": recipe.filters.model_dump(mode="json", exclude={"model"}),
        "licenses": recipe.licenses.model_dump(mode="json"),
        "salt": recipe.salt,
    }
    hints: dict[str, Json] = {}
    if recipe.filters.model:  # what counts is what stands in it, not where it lies
        path = locate(recipe.filters.model, plan.folder)
        hints["model"] = path
        given["model_content"] = hash_input(path, plan.root)
    return plan.each_of(
        threads,
        lambda source, at: plan.work(FILTER, given, {"threads": (threads[source][at],)}, hints=hints),
    )
