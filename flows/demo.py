"""The demo: a made-up forum in the form of a real dump, built into a release, and what one can do with it."""

import tempfile
from itertools import islice
from pathlib import Path

import yaml
from rich.console import Console

from flows.jobs import Job, run_job
from flows.pages import lay_out_row, open_console, show
from flows.samples import DumpPlan, write_dump
from flows.summary import print_summary
from schemas.errors import RootError
from schemas.manifest import ReleaseManifest
from warehouse.inspection import read_row
from warehouse.root import Root, open_root
from warehouse.shards import canonical_shards

_SITE = "garden.example.com"
_ROWS = 3

_TRAINING = """    from trl import RewardConfig, RewardTrainer
    config = RewardConfig(output_dir="reward-model", max_length=2048)
    RewardTrainer(model="Qwen/Qwen3-0.6B", args=config, train_dataset=dataset["train"]).train()"""


def run_demo(root: str, workers: int, dask: str | None, threads: int) -> None:
    """Write a dump of `threads` threads, build a release from it, and show it. Under a minute for 2,000 threads.

    The dump lies under the root, or in a temporary folder where the root is a URL.
    """
    console = open_console()
    place = open_root(root)
    folder = Path(place.path("demo-input")) if place.is_local else Path(tempfile.mkdtemp(prefix="revealed-demo-"))
    recipe = _write_input(folder, threads)
    console.print(show(f"A made-up forum of {threads:,} threads lies in {folder / _SITE}"), soft_wrap=True)
    console.print(show(f"revealed build {recipe} --root {root}", "bold"), soft_wrap=True)
    [manifest], engine = run_job(Job(recipe=recipe, root=root, workers=workers, dask=dask))
    print_summary([manifest], place, engine, console)
    console.print(show(_TRAINING), soft_wrap=True)
    first = _show_rows(console, place, manifest)
    console.print("\ntry:")
    for command in ("stats", "stats --json", f"show {first[:12]}", "verify", "gc --dry-run"):
        console.print(show(f"    revealed {command} --root {root}"), soft_wrap=True)


def _write_input(folder: Path, threads: int) -> Path:
    """Write the dump, and beside it the recipe that builds it; answers the recipe's path."""
    try:
        write_dump(folder / _SITE, DumpPlan(threads=threads, site=_SITE))
    except OSError as error:
        raise RootError(f"{folder}: cannot be written ({error.strerror}); expected a --root that can be") from None
    recipe = folder / "garden.yaml"
    values = {
        "name": "garden",
        "inputs": [{"source": "stackexchange", "path": _SITE}],
        "filters": {"detect_language": True, "pii": "mask"},
        # The dump has some twenty broken rows on purpose; of a very small site that is a large share.
        "limits": {"max_failure_rate": 0.3},
    }
    recipe.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return recipe


def _show_rows(console: Console, root: Root, manifest: ReleaseManifest) -> str:
    """Show the first rows of the release; answers the uid of the first."""
    places = ((shard, number) for shard in canonical_shards(manifest) for number in range(shard.rows))
    rows = [read_row(root, manifest, shard, number) for shard, number in islice(places, _ROWS)]
    for row in rows:
        console.print()
        console.print(lay_out_row(row))
    return str(rows[0].values["uid"])
