"""The last steps: cut the selected rows into shards, bring these into each trainer's columns, and publish."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from flows.duplicates import sketch_of
from flows.engine import Made
from flows.plan import CORPUS, Plan, flat
from flows.work import Stage
from schemas.inputs import Route
from schemas.manifest import FunnelRow, Partition
from warehouse.dedupe.curve import catch_curve
from warehouse.layouts import LAYOUTS
from warehouse.partitions import Shape
from warehouse.publication import Draft
from warehouse.shuffle import Cut, plan_cuts

SHARDS = Stage("shards", "flows.stages.corpus:cut_shard")
PROJECT = Stage("project", "flows.stages.corpus:project_shard", version=2)


def draft_release(plan: Plan, route: Route, selected: Made, code_version: str) -> Draft:
    """Cut and project; answers all that publishing needs. selected: a route's rows, bucketed by place."""
    layout = LAYOUTS[route]
    window = plan.recipe.windows.size if layout.windows else None
    cuts, shards = _cut(plan, selected, window)
    projected = _project(plan, route, cuts, shards)
    curve = catch_curve(sketch_of(plan), plan.recipe.dedupe.threshold)
    return Draft(
        name=plan.recipe.release_name(plan.sample, plan.route),
        route=route,
        recipe=plan.recipe.model_dump(mode="json"),
        code_version=code_version,
        cuts=tuple(cuts),
        parts={layout.canonical: shards} | projected,
        funnel=_funnel(plan),
        catch_curve=tuple(zip(*curve.to_pydict().values(), strict=True)),
        made={
            stage: {source: tuple(part.fingerprint for part in own) for source, own in sources.items()}
            for stage, sources in plan.engine.made.items()
        },
    )


def _funnel(plan: Plan) -> tuple[FunnelRow, ...]:
    """Give the stages in which rows may go, of the plan's own inputs and of all together, in their order."""
    own = {CORPUS, plan.whole, *(entry.name for entry in plan.entries)}
    later = {SHARDS.name, PROJECT.name}
    order = list(dict.fromkeys(stage for stage, source in plan.engine.ended if source in own))
    rows = [row for row in plan.engine.funnel() if row.source in own and row.stage not in later]
    return tuple(sorted(rows, key=lambda row: order.index(row.stage)))


def _cut(plan: Plan, selected: Made, window: int | None) -> tuple[list[Cut], tuple[Partition, ...]]:
    parts = flat(selected)
    if not parts:  # nothing was left to be dealt over windows
        return [], ()
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
        window=window or 1,
    )
    works = [
        plan.work(
            SHARDS,
            {"cut": {**asdict(cut), "places": list(cut.places)}},
            {"selected": tuple(part for part in parts if any(part.bucket_rows[place] for place in cut.places))},
            shape=Shape(row_groups=cut.row_groups),
        )
        for cut in cuts
    ]
    return cuts, plan.corpus(works)


def count_places(parts: Sequence[Partition]) -> Mapping[int, int]:
    """Sum up the rows of each place over all selected partitions."""
    columns = zip(*(part.bucket_rows for part in parts), strict=True)
    return dict(enumerate(sum(rows) for rows in columns))


def _project(
    plan: Plan, route: Route, cuts: Sequence[Cut], shards: Sequence[Partition]
) -> dict[str, tuple[Partition, ...]]:
    """Bring each shard into the columns of each config: {config: partitions}. One stage, however many there are."""
    layout = LAYOUTS[route]
    window = plan.recipe.windows.size if layout.windows else None
    works = [
        plan.work(
            PROJECT,
            {"route": route, "config": config, "window": None if cut.tail else window},
            {"shard": (shard,)},
            shape=Shape(row_groups=cut.row_groups),
        )
        for config in layout.projections
        for cut, shard in zip(cuts, shards, strict=True)
    ]
    made = plan.corpus(works)
    return {config: made[at * len(cuts) : (at + 1) * len(cuts)] for at, config in enumerate(layout.projections)}
