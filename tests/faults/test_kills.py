"""A build is killed at random moments, again and again; then nothing may be lost, doubled or different."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import yaml

from flows.samples import DumpPlan, write_dump
from miners.registry import list_sources
from miners.source import Source
from schemas.manifest import Latest, ReleaseManifest
from warehouse.root import Root

BUILD = [sys.executable, "-m", "flows.cli", "build"]


@pytest.fixture
def recipe(tmp_path):
    write_dump(tmp_path / "garden.example.com", DumpPlan(threads=200))
    others = [write_sample(tmp_path, source) for source in list_sources().values() if source.name != "stackexchange"]
    path = tmp_path / "recipe.yaml"
    values = {
        "name": "killed",
        "inputs": [{"source": "stackexchange", "path": "garden.example.com"}, *others],
        "partitions": {"slice_mib": 0.15, "bucket_mib": 0.4},
        "view": "custom",  # by which authors are capped, so that every stage there is has its turn
        "custom": {"max_per_author": 3, "max_per_thread": 2},
        "filters": {"min_reply_chars": 5, "detect_language": True, "pii": "mask"},
        "blocks": {"prefix": 64, "suffix": 64},
        "windows": {"size": 4},
        "release": {"min_rows": 20},
        "limits": {"max_failure_rate": 0.1},
    }
    path.write_text(yaml.safe_dump(values))
    return path


def write_sample(folder: Path, source: Source) -> dict[str, object]:
    """Write an input of a source; answers its entry in the recipe."""
    (folder / source.name).mkdir()
    path = source.sample(folder / source.name, 30)
    return {"source": source.name, "path": str(path), "name": source.name}


def routes() -> set[str]:
    return {source.route.value for source in list_sources().values()}


def start(recipe: Path, root: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [*BUILD, str(recipe), "--root", str(root), "--workers", str(workers)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT")}
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, env=environment
    )


def finish(recipe: Path, root: Path, workers: int) -> float:
    began = time.monotonic()
    process = start(recipe, root, workers)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    return time.monotonic() - began


def kill_at_random(recipe: Path, root: Path, *, kills: int, span: float, seed: int, workers: int) -> int:
    """Start the build and kill it, `kills` times; half of them only the parent, half with its workers.

    Where a build got through before its kill, the warehouse is emptied so that there is something to kill again.
    """
    chance = random.Random(seed)
    done = 0
    while done < kills:
        process = start(recipe, root, workers)
        try:
            process.wait(timeout=chance.uniform(0.3, span))
        except subprocess.TimeoutExpired:
            target = os.killpg if chance.random() < 0.5 else os.kill
            target(process.pid, signal.SIGKILL)
            done += 1
        else:
            assert process.returncode == 0, process.stderr.read().decode()
            forget(root, chance)
        process.communicate()
        check_what_readers_see(root)
    return done


def forget(root: Path, chance: random.Random) -> None:
    """Remove the records of some stages, so that the next build has work again from there on."""
    for record in sorted(root.glob("stages/*/*/*.json")):
        if chance.random() < 0.7:
            record.unlink()


def check_what_readers_see(root: Path) -> None:
    """At any moment: a pointer, if there is one, leads to a release that is whole."""
    place = Root(str(root))
    for pointer in list_pointers(root):
        folder = f"releases/{pointer.parent.name}/{Latest.model_validate_json(pointer.read_bytes()).build}"
        manifest = place.read_record(f"{folder}/manifest.json", ReleaseManifest)
        for shard in manifest.shards:
            assert place.size(f"{folder}/{shard.path}") == shard.bytes


def list_pointers(root: Path) -> list[Path]:
    """Of each release, one a route, the file that names its latest build."""
    return sorted(root.glob("releases/*/latest.json"))


def content(root: Path) -> dict[str, str]:
    """Every file of the releases with its hash; the manifest's funnel proves the balance."""
    import hashlib

    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((root / "releases").rglob("*"))
        if path.is_file()
    }


def check(tmp_path: Path, recipe: Path, kills: int) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    span = finish(recipe, whole, 2)
    assert kill_at_random(recipe, killed, kills=kills, span=span, seed=kills, workers=2) == kills
    finish(recipe, killed, 2)
    assert content(killed) == content(whole)
    pointers = list_pointers(killed)
    assert [pointer.parent.name for pointer in pointers] == [f"killed-{route}" for route in sorted(routes())]
    for pointer in pointers:
        files = (pointer.parent / json.loads(pointer.read_text())["build"]).glob("t*/part-*.parquet")
        assert pl.concat([pl.read_parquet(file, columns=["uid"]) for file in files])["uid"].is_unique().all()
    assert not list((killed / "tmp").iterdir()) or collected(killed)


def collected(root: Path) -> bool:
    """What kills left in tmp/ is garbage, and collection takes it."""
    subprocess.run([sys.executable, "-m", "flows.cli", "gc", "--root", str(root)], check=True, capture_output=True)
    return not list((root / "tmp").iterdir())


def test_a_few_kills(tmp_path, recipe):
    check(tmp_path, recipe, kills=6)


@pytest.mark.slow
def test_a_hundred_kills(tmp_path, recipe):
    check(tmp_path, recipe, kills=100)
