"""The web route: documents -> blocks -> decontamination -> places -> windows."""

from collections.abc import Mapping
from dataclasses import asdict

from flows.decontamination import clean
from flows.engine import Made
from flows.entries import hash_input, locate
from flows.ingest import count_buckets, read_entries
from flows.plan import Plan, flat, power_of_two
from flows.shards import count_places
from flows.work import Stage, Work
from miners.web.mining.cuts import check_blocks
from miners.web.mining.tokens import open_tokenizer
from schemas.fingerprints import Json
from schemas.manifest import Partition
from warehouse.partitions import Shape
from warehouse.windows import plan_deals

DOCUMENTS = Stage("documents", "flows.stages.web:filter_bucket")
BLOCKS = Stage("blocks", "flows.stages.web:cut_bucket", version=2)
PLACES = Stage("places", "flows.stages.web:place_blocks")
WINDOWS = Stage("windows", "flows.stages.web:deal")

GROUPS = "flows.stages.web:list_groups"
"""How dedupe learns of the documents of a partition."""

_BLOCKS_A_PLACE = 20_000


def check_settings(plan: Plan) -> None:
    """Refuse a tokenizer or a classifier that is not there, and blocks that contradict themselves, before the work."""
    recipe = plan.recipe
    if plan.entries:
        path = recipe.blocks.tokenizer and locate(recipe.blocks.tokenizer, plan.folder)
        check_blocks(recipe.blocks, has_ids=open_tokenizer(path).has_ids)
        if recipe.documents.model:
            hash_input(locate(recipe.documents.model, plan.folder), plan.root)


def gather_documents(plan: Plan) -> Made:
    """Read every corpus, and keep the documents that the recipe finds fit; all copies of one meet in one partition."""
    slices = read_entries(plan)
    recipe = plan.recipe
    given: dict[str, Json] = {
        "documents": recipe.documents.model_dump(mode="json", exclude={"model"}),
        "licenses": recipe.licenses.model_dump(mode="json"),
        "sample": plan.sample,
        "seed": recipe.seed,
    }
    hints: dict[str, Json] = {}
    if recipe.documents.model:  # what counts is what stands in it, not where it lies
        path = locate(recipe.documents.model, plan.folder)
        hints["model"] = path
        given["model_content"] = hash_input(path, plan.root)
    return plan.engine.stage(
        {
            entry.name: [
                plan.work(DOCUMENTS, given, {"slices": slices[entry.name]}, bucket=bucket, hints=hints)
                for bucket in range(count_buckets(plan, entry))
            ]
            for entry in plan.entries
        }
    )


def deal_blocks(plan: Plan, documents: Made, decisions: Made, benchmarks: tuple[Partition, ...]) -> Made:
    """Cut the documents that dedupe kept, and order the blocks in windows; bucketed by place."""
    blocks = clean(plan, _cut(plan, documents, decisions), benchmarks, ("prefix", "suffix"), seamless=True)
    count = power_of_two(sum(part.rows for part in flat(blocks)) / _BLOCKS_A_PLACE)
    return _deal(plan, flat(_place(plan, blocks, count)), count)


def _cut(plan: Plan, documents: Made, decisions: Made) -> Made:
    recipe = plan.recipe
    given: dict[str, Json] = {
        "blocks": recipe.blocks.model_dump(mode="json", exclude={"tokenizer"}),
        "seed": recipe.seed,
    }
    hints: dict[str, Json] = {}
    if recipe.blocks.tokenizer:
        path = locate(recipe.blocks.tokenizer, plan.folder)
        hints["tokenizer"] = path
        given["tokenizer_content"] = hash_input(path, plan.root)
    communities = {entry.name: entry.community for entry in plan.entries}

    def cut(source: str, at: int) -> Work:
        inputs = {"documents": (documents[source][at],), "decisions": (decisions[source][at],)}
        return plan.work(BLOCKS, {**given, "community": communities[source]}, inputs, hints=hints)

    return plan.each_of(documents, cut)


def _place(plan: Plan, blocks: Made, places: int) -> Made:
    splits = plan.recipe.splits.shares()
    hard = plan.recipe.windows
    given: Mapping[str, Json] = {
        "seed": plan.recipe.seed,
        "splits": splits,
        "places": places,
        "together": "group_id" if hard.hard and hard.hard_by == "same_document" else "uid",
    }
    return plan.each(PLACES, {"blocks": blocks}, given, shape=Shape("place", places * len(splits)))


def _deal(plan: Plan, placed: tuple[Partition, ...], places: int) -> Made:
    """Deal the rows of each few places over windows; what fills none has a place of its own, the last of its split."""
    splits = list(plan.recipe.splits.shares())
    windows: Json = plan.recipe.windows.model_dump(mode="json")
    works = [
        plan.work(
            WINDOWS,
            {"deal": {**asdict(deal), "places": list(deal.places)}, "windows": windows},
            {"placed": tuple(part for part in placed if any(part.bucket_rows[place] for place in deal.places))},
            shape=Shape("place", (places + 1) * len(splits)),
        )
        for deal in plan_deals(count_places(placed), splits, places)
    ]
    return {plan.whole: plan.corpus(works)}
