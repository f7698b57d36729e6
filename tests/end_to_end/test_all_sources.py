"""Every source there is in one recipe, with every set-wide step: the sums, and the bytes."""

import polars as pl
import pytest

from flows.build import Build
from flows.engine import Engine, run_in_turn
from flows.executors import SerialExecutor
from miners.registry import list_sources
from schemas.inputs import Route
from schemas.recipe import Recipe
from warehouse.root import Root

FORUMS = [source for source in list_sources().values() if source.route == Route.FORUMS]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """One generated input of each source: its entry in a recipe."""
    made = []
    for source in FORUMS:
        folder = tmp_path_factory.mktemp(source.name)
        made.append({"source": source.name, "path": str(source.sample(folder, 60)), "name": source.name})
    return made


def build(inputs, root, executor=None, **changes):
    values = {
        "name": "all",
        "inputs": inputs,
        "view": "custom",
        "custom": {"max_per_author": 4, "max_per_thread": 3},
        "pairs": {"replies": "siblings"},
        "filters": {"detect_language": True, "pii": "mask", "min_reply_chars": 3},
        "release": {"min_rows": 20},
    }
    recipe = Recipe.model_validate(values | changes)
    engine = Engine(executor or SerialExecutor(), run_in_turn, max_failure_rate=recipe.limits.max_failure_rate)
    [manifest] = Build(recipe, Root(str(root)), engine, root).run()
    return manifest, engine


@pytest.fixture(scope="module")
def built(inputs, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    return *build(inputs, root), root


def test_every_source_gives_pairs_and_every_stage_balances(built):
    manifest, _, root = built
    for row in manifest.funnel:
        assert row.rows_in == row.rows_out + sum(row.dropped.values()), row
    folder = root / "releases" / manifest.name / manifest.build
    frame = pl.concat([pl.read_parquet(folder / shard.path) for shard in manifest.shards if shard.config == "pairs"])
    assert set(frame["source"]) == {source.name for source in FORUMS}
    assert frame["uid"].is_unique().all()
    assert (frame["margin"] > 0).all()
    assert (frame["license"] != "").all()


@pytest.mark.parametrize(
    "partitions", [{"slice_mib": 0.01, "bucket_mib": 0.05}, {"slice_mib": 0.05, "bucket_mib": 0.02}], ids=str
)
def test_the_cutting_of_the_work_changes_no_byte(built, inputs, tmp_path, partitions):
    manifest, _ = build(inputs, tmp_path, partitions=partitions)
    assert {shard.path: shard.sha256 for shard in manifest.shards} == {
        shard.path: shard.sha256 for shard in built[0].shards
    }


def test_a_change_of_view_computes_nothing_before_it(built, inputs):
    _, engine = build(inputs, built[2], view="worldpm", custom=None)
    before = {
        "threads",
        "filter",
        "pairs",
        "signatures",
        "bands",
        "candidates",
        "attach",
        "edges",
        "clusters",
        "dedupe",
    }
    assert not any(engine.computed.get(stage) for stage in (before | {"ingest"}))
    assert engine.computed["draw"] > 0
