"""The last steps: cut the selected rows into shards, bring these into each trainer's columns, and publish."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from flows.duplicates import sketch_of
from flows.engine import Made
from flows.plan import Plan, flat
from flows.work import Stage
from schemas.inputs import Route
from schemas.manifest import Partition
from warehouse.dedupe.curve import catch_curve
from warehouse.partitions import Shape
from warehouse.projections import PROJECTIONS
from warehouse.publication import Draft
from warehouse.shuffle import Cut, plan_cuts

SHARDS = Stage("shards", "flows.stages.corpus:cut_shard")
PROJECT = Stage("project", "flows.stages.corpus:project_shard")


def draft_release(plan: Plan, selected: Made, code_version: str) -> Draft:
    """Cut and project; answers all that publishing needs."""
    cuts, shards = _cut(plan, selected)
    parts = {"pairs": shards} | {config: _project(plan, config, cuts, shards) for config in PROJECTIONS}
    curve = catch_curve(sketch_of(plan), plan.recipe.dedupe.threshold)
    return Draft(
        name=plan.recipe.release_name(plan.sample),
        route=Route.FORUMS,
        recipe=plan.recipe.model_dump(mode="json"),
        code_version=code_version,
        cuts=tuple(cuts),
        parts=parts,
        funnel=tuple(row for row in plan.engine.funnel() if row.stage not in {SHARDS.name, PROJECT.name}),
        catch_curve=tuple(zip(*curve.to_pydict().values(), strict=True)),
        made={
            stage: {source: tuple(part.fingerprint for part in own) for source, own in sources.items()}
            for stage, sources in plan.engine.made.items()
        },
    )


def _cut(plan: Plan, selected: Made) -> tuple[list[Cut], tuple[Partition, ...]]:
    parts = flat(selected)
    splits = list(plan.recipe.splits.shares())
    release = plan.recipe.release
    counts = count_places(parts)
    cuts = plan_cuts(
        counts,
        splits,
        len(counts) // len(splits),
        files=None if release.files == "auto" else release.files,
        min_rows=release.min_rows,
        row_groups=release.row_groups,
    )
    works = [
        plan.work(
            SHARDS,
            {"cut": {**asdict(cut), "places": list(cut.places)}},
            {"selected": parts},
            shape=Shape(row_groups=cut.row_groups),
        )
        for cut in cuts
    ]
    return cuts, plan.corpus(works)


def count_places(parts: Sequence[Partition]) -> Mapping[int, int]:
    """Sum up the rows of each place over all selected partitions."""
    columns = zip(*(part.bucket_rows for part in parts), strict=True)
    return dict(enumerate(sum(rows) for rows in columns))


def _project(plan: Plan, config: str, cuts: Sequence[Cut], shards: Sequence[Partition]) -> tuple[Partition, ...]:
    return plan.corpus(
        [
            plan.work(PROJECT, {"config": config}, {"shard": (shard,)}, shape=Shape(row_groups=cut.row_groups))
            for cut, shard in zip(cuts, shards, strict=True)
        ]
    )
