"""Decontamination, for every route: the benchmarks are indexed once, and each route's texts are held against them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import polars as pl
from rich.table import Table

from flows.engine import Made, patiently
from flows.entries import hash_input
from flows.pages import fill_table, make_table
from flows.plan import Plan
from flows.work import Stage, Work
from schemas.drops import DROP, DropReason
from schemas.fingerprints import Json
from schemas.manifest import Partition, ReleaseManifest, Snapshot
from schemas.recipe import Benchmark, Decontaminate, check
from warehouse.decontamination.benchmarks import find_files, label_files, name_benchmark
from warehouse.decontamination.index import open_index, summarise
from warehouse.decontamination.matching import CONTAMINATED
from warehouse.partitions import PLAIN, Shape, find_partition, read_drops, read_partition
from warehouse.root import Root

BENCHMARKS = Stage("benchmarks", "flows.stages.decontamination:index_benchmarks")
DECONTAMINATE = Stage("decontaminate", "flows.stages.decontamination:decontaminate_rows", version=2)

_DONE: Mapping[str, str] = {"drop": "dropped", "flag": "flagged"}


def index_benchmarks(plan: Plan) -> tuple[Partition, ...]:
    """Index the recipe's benchmarks; a changed file makes a new index. Nothing where the recipe names none.

    Raises RecipeError for an unknown preset, and InputError for a file that is missing or is not what the preset says.
    """
    asked = plan.recipe.decontaminate
    if not asked.benchmarks:
        return ()
    given: Mapping[str, Json] = {
        "ngram": asked.ngram,
        "benchmarks": [_describe(plan, benchmark) for benchmark in asked.benchmarks],
    }
    hints: Mapping[str, Json] = {"decontaminate": asked.model_dump(mode="json"), "folder": str(plan.folder)}
    return plan.corpus([plan.work(BENCHMARKS, given, {}, hints=hints)])


def clean(
    plan: Plan, rows: Made, index: tuple[Partition, ...], texts: Sequence[str], *, seamless: bool = False
) -> Made:
    """Drop or flag the rows that overlap with a benchmark; partitions stay bucketed as they are.

    texts: the columns to look into. seamless: they are neighbours in one text, and are read as one.
    """
    if not index:
        return rows
    given: Mapping[str, Json] = {
        "texts": list(texts),
        "seamless": seamless,
        "action": plan.recipe.decontaminate.action,
    }

    def describe(source: str, at: int) -> Work:
        part = rows[source][at]
        buckets = len(part.bucket_rows)
        shape = Shape("place", buckets) if buckets > 1 else PLAIN
        return plan.work(DECONTAMINATE, given, {"rows": (part,), "benchmarks": index}, shape=shape)

    return plan.each_of(rows, describe)


def lay_out_coverage(manifest: ReleaseManifest, root: Root) -> Table | None:
    """List the benchmarks that a release was held against; None where its recipe names none.

    Of each: how many of its texts are known by their n-grams, by all their words, or not at all, for they are too short
    or say too little; and how many rows of the release's route were dropped for it, or flagged. A dropped row counts
    for the benchmark with the strongest evidence, a flagged one for each.
    """
    index = _find(manifest, root, BENCHMARKS)
    if not index:
        return None
    known = pl.DataFrame(summarise(open_index([read_partition(root, part) for part in index])))
    asked = check(Decontaminate, manifest.recipe.get("decontaminate", {}), "decontaminate")
    count = _count_flagged if asked.action == "flag" else _count_dropped
    hits = count(root, _find(manifest, root, DECONTAMINATE), known["benchmark"].to_list())
    numbers = ("texts", "by n-grams", "as a whole", "not checked", f"rows {_DONE[asked.action]}")
    table = make_table("benchmark", *numbers, numbers=numbers, title="benchmarks that the rows were held against")
    shown = known.select("benchmark", "texts", "by_ngrams", "as_whole", "unchecked").iter_rows()
    return fill_table(table, ((name, *map("{:,}".format, texts), hits[name]) for name, *texts in shown))


def _find(manifest: ReleaseManifest, root: Root, stage: Stage) -> list[Partition]:
    """Find what a stage made for a release; without what it made for releases of other routes."""
    snapshot = root.read_record(f"snapshots/{manifest.name}/{manifest.build}.json", Snapshot)
    sources = snapshot.partitions.get(stage.name, {}) if snapshot else {}
    other = stage == DECONTAMINATE and {row.source for row in manifest.funnel}
    prints = [one for source, own in sources.items() if not other or source in other for one in own]
    found = [find_partition(root, stage.name, one) for one in prints]
    return [part for part in found if part is not None]


def _count_flagged(root: Root, parts: Sequence[Partition], benchmarks: Sequence[str]) -> dict[str, str]:
    names = pl.element().str.extract("^([^/]*)/").unique()
    found = Counter[str]()
    for part in parts:
        flags = pl.DataFrame(read_partition(root, part, [CONTAMINATED.name]))
        found.update(flags[CONTAMINATED.name].list.eval(names).explode().drop_nulls().to_list())
    return {name: f"{found[name]:,}" for name in benchmarks}


def _count_dropped(root: Root, parts: Sequence[Partition], benchmarks: Sequence[str]) -> dict[str, str]:
    """Count the dropped rows that are kept to be read: all of them, but where a partition dropped very many."""
    details = pl.concat([pl.DataFrame(DROP.empty_table()), *(pl.DataFrame(read_drops(root, part)) for part in parts)])
    dropped = sum(part.dropped.get(DropReason.CONTAMINATED, 0) for part in parts)
    words = "{:,}" if details.height == dropped else "at least {:,}"
    return {name: words.format(details["detail"].str.starts_with(f"{name} item ").sum()) for name in benchmarks}


def _describe(plan: Plan, benchmark: Benchmark) -> Json:
    """Say what a benchmark is: how it and its items are called and what its files hold, not where they lie."""
    files = find_files(benchmark, plan.folder)
    hashes = [patiently(partial(hash_input, file, plan.root)) for file in files]
    return {
        "preset": benchmark.preset,
        "name": name_benchmark(benchmark),
        "columns": list(benchmark.columns),
        "files": [[label, digest] for (label, _), digest in zip(label_files(files), hashes, strict=True)],
    }
