"""The demo: a made-up forum, web pages and chats in the form of real ones, built into a release each, and shown."""

import tempfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import yaml
from rich.console import Console

from flows.jobs import Job, run_job
from flows.pages import open_console, show
from flows.presentations import presentation_of
from flows.samples import DumpPlan, write_dump
from flows.summary import print_summary
from miners.registry import find_source
from schemas.errors import RootError
from schemas.inputs import Route
from schemas.manifest import ReleaseManifest
from warehouse.inspection import read_row
from warehouse.root import Root, open_root
from warehouse.shards import canonical_shards

_NAME = "demo"
_SITE, _PAGES, _CHATS = "garden.example.com", "finemath", "wildchat"
_ROWS = 2  # of each release

_TRAINING: Mapping[str, str] = MappingProxyType(
    {
        Route.FORUMS: """    from trl import RewardConfig, RewardTrainer
    config = RewardConfig(output_dir="reward-model", max_length=2048)
    RewardTrainer(model="Qwen/Qwen3-0.6B", args=config, train_dataset=dataset["train"]).train()""",
        Route.WEB: """    # a window is a batch: suffix i is prefix i's positive, the other suffixes are its negatives
    batches = dataset["train"].batch(16)""",
        Route.CHATS: """    # level 1 (rejected) to 4 (pleased) of each response, as targets of three thresholds
    text, targets = dataset["train"]["text"], dataset["train"]["ordinal_targets"]""",
    }
)


def run_demo(root: str, workers: int, dask: str | None, threads: int) -> None:
    """Write a forum of `threads` threads, and pages and chats beside it, build their releases, and show them.

    About two minutes for 2,000 threads. The inputs lie under the root, or in a temporary folder where that is a URL.
    """
    console = open_console()
    place = open_root(root)
    folder = Path(place.path("demo-input")) if place.is_local else Path(tempfile.mkdtemp(prefix="revealed-demo-"))
    recipe = _write_input(folder, threads)
    lies = f"A made-up forum of {threads:,} threads, web pages and chats lie in {folder}"
    console.print(show(lies), soft_wrap=True)
    console.print(show(f"revealed build {recipe} --root {root}", "bold"), soft_wrap=True)
    manifests, engine = run_job(Job(recipe=recipe, root=root, workers=workers, dask=dask))
    for manifest in manifests:
        print_summary([manifest], place, None, console)
        console.print(show(_TRAINING[manifest.route]), soft_wrap=True)
    firsts = {manifest.name: _show_rows(console, place, manifest) for manifest in manifests}
    computed, reused = sum(engine.computed.values()), sum(engine.reused.values())
    console.print(show(f"\npartitions: {computed} computed, {reused} already made"))
    _say_more(console, root, firsts)


def _say_more(console: Console, root: str, firsts: Mapping[str, str]) -> None:
    """Say what else can be done. firsts: the uid of a row of each release."""
    console.print("try:")
    own = [
        command.format(name=name)
        for name, uid in firsts.items()
        for command in ("stats --release {name}", f"show {uid[:12]} --release {{name}}")
    ]
    for command in (*own, "verify", "gc --dry-run"):
        console.print(show(f"    revealed {command} --root {root}"), soft_wrap=True)


def _write_input(folder: Path, threads: int) -> Path:
    """Write the inputs of all routes, and beside them the recipe that builds them; answers the recipe's path."""
    try:
        write_dump(folder / _SITE, DumpPlan(threads=threads, site=_SITE))
        for name, share in ((_PAGES, 4), (_CHATS, 2)):
            (folder / name).mkdir(exist_ok=True)
            find_source(name).sample(folder / name, max(threads // share, 60))
    except OSError as error:
        raise RootError(f"{folder}: cannot be written ({error.strerror}); expected a --root that can be") from None
    recipe = folder / f"{_NAME}.yaml"
    values = {
        "name": _NAME,
        "inputs": [
            {"source": "stackexchange", "path": _SITE},
            {"source": _PAGES, "path": _PAGES},
            {"source": _CHATS, "path": _CHATS},
        ],
        "filters": {"detect_language": True, "pii": "mask"},
        "blocks": {"prefix": 64, "suffix": 128},  # the made-up pages are short
        "windows": {"size": 16},
        "turns": {"detect_language": True, "pii": "mask"},
        # The dump has some twenty broken rows on purpose; of a very small site that is a large share.
        "limits": {"max_failure_rate": 0.3},
    }
    recipe.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return recipe


def _show_rows(console: Console, root: Root, manifest: ReleaseManifest) -> str:
    """Show the first rows of a release; answers the uid of the first."""
    places = ((shard, number) for shard in canonical_shards(manifest) for number in range(shard.rows))
    rows = [read_row(root, manifest, shard, number) for shard, number in islice(places, _ROWS)]
    lay_out = presentation_of(manifest).lay_out_row
    console.print(show(f"\nrows of {manifest.name}", "bold"))
    for row in rows:
        console.print(lay_out(row))
    return str(rows[0].values["uid"])
