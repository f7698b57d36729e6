"""Whole builds on generated dumps, in this process unless a test says otherwise."""

import json
from pathlib import Path

import pytest
import yaml

from flows.build import Build
from flows.engine import Engine, run_in_turn
from flows.executors import SerialExecutor
from flows.samples import DumpPlan, write_dump
from schemas.recipe import read_recipe
from warehouse.root import Root


class Bench:
    """A folder with dumps, recipes and warehouses: one build a call."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.truth = {}

    def dump(self, site, threads=120, **options):
        self.truth[site] = write_dump(self.folder / site, DumpPlan(threads=threads, site=site, **options))
        return self.folder / site

    def recipe(self, *sites, **changes):
        values = {
            "name": "bench",
            "inputs": [{"source": "stackexchange", "path": str(self.folder / site)} for site in sites],
            "release": {"min_rows": 20},
            "limits": {"max_failure_rate": 0.1},
        }
        path = self.folder / f"{abs(hash(json.dumps([sites, changes], sort_keys=True)))}.yaml"
        path.write_text(yaml.safe_dump(values | changes))
        return path

    def build(self, *sites, root="warehouse", executor=None, sample=1.0, **changes):
        """Build one release; answers (manifest, engine)."""
        recipe = read_recipe(self.recipe(*sites, **changes))
        place = Root(root if "://" in root else str(self.folder / root))
        engine = Engine(executor or SerialExecutor(), run_in_turn, max_failure_rate=recipe.limits.max_failure_rate)
        [manifest] = Build(recipe, place, engine, self.folder, sample).run()
        return manifest, engine


def shard_hashes(manifest):
    return {shard.path: shard.sha256 for shard in manifest.shards}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("bench"))
    made.dump("garden.example.com")
    made.dump("sailing.example.com", threads=80, seed=11)
    return made


@pytest.fixture
def hashes():
    return shard_hashes
