"""Deduplicate generated documents, a tenth of them planted near-duplicates: ours from end to end, and datatrove.

Ours runs as the build does: each stage reads Arrow files and writes Arrow files, cut into hash buckets; the last writes
the documents that are kept. datatrove runs its four MinHash steps with one worker, from JSON lines to JSON lines, on a
stated sample, because it is slow; its documents a second serve for comparison. Each runs in a process of its own.
"""

from benchmarks import report  # isort: skip  # first: it limits the threads that the others start

import json
import multiprocessing
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import ipc

from benchmarks.signatures import Numbers, lengths, spelled, words
from warehouse.dedupe.bands import band_rows, candidates, distinct
from warehouse.dedupe.clusters import decide, label
from warehouse.dedupe.curve import catch_curve
from warehouse.dedupe.edges import THRESHOLD, attach, verify
from warehouse.dedupe.kernel import finalise
from warehouse.dedupe.signatures import Sketch, signature_table

SKETCH = Sketch()
PARTITION = 20_000  # documents
BUCKETS = 16
SAMPLES = (2000, 8000)  # what datatrove is given
REPLACED = (0.01, 0.03, 0.05, 0.08)  # the share of words, in one run, in which a duplicate differs
UNIT = "documents/s"


def generate(folder: Path, size: int) -> float:
    """Write `size` documents as partitions -> the share of planted pairs that the catch curve lets expect.

    Of each partition the last tenth are copies of the first, with one run of words replaced.
    """
    expected = []
    for number, start in enumerate(range(0, size, PARTITION)):
        count = min(PARTITION, size - start)
        texts, jaccard = planted(np.random.default_rng(number), count)
        refs = finalise(np.arange(start, start + count, dtype=np.uint64))
        ids = pa.array(np.arange(start, start + count)).cast(pa.string())
        table = pa.table({"ref": refs, "group_id": ids, "text": texts})
        write(table.append_column("priority", pa.array(np.zeros(count, np.int32))), folder / f"{number:05}.arrow")
        expected.append(jaccard)
    points = np.linspace(0, 1, 201)
    caught = catch_curve(SKETCH, THRESHOLD, points.tolist())["caught"].to_numpy()
    return float(np.interp(np.concatenate(expected), points, caught).mean())


def planted(draw: np.random.Generator, count: int) -> tuple[pa.Array, np.ndarray]:
    """Draw texts of which the last tenth are copies -> them, and how alike each copy is to its original (Jaccard)."""
    copies = count // 10
    sizes = lengths(draw, count - copies)
    drawn = words(draw, int(sizes.sum()))
    copied = sizes[:copies]
    runs = np.ceil(copied * np.resize(REPLACED, copies)).astype(np.int64)
    first = (draw.random(copies) * (copied - runs)).astype(np.int64)
    place = np.arange(copied.sum()) - np.repeat(np.cumsum(copied) - copied, copied)
    inside = (place >= np.repeat(first, copied)) & (place < np.repeat(first + runs, copied))
    changed = np.where(inside, words(draw, len(place)), drawn[: len(place)])
    whole = np.maximum(copied - 4, 1)  # shingles; where the run is at an end, somewhat fewer differ than counted here
    differ = np.minimum(runs + 4, whole)
    return spelled(np.concatenate([drawn, changed]), np.concatenate([sizes, copied])), (whole - differ) / (
        whole + differ
    )


def write(table: pa.Table, path: Path) -> Path:
    """Write an Arrow file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    return path


def read(path: Path) -> pa.Table:
    """Open an Arrow file."""
    return ipc.open_file(pa.memory_map(str(path))).read_all()


def scatter(table: pa.Table, key: str, path: Path) -> None:
    """Write a table whose record batches are hash buckets of a column: the upper bits of a hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bucket = (table[key].to_numpy() * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(60)
    order = np.argsort(bucket, kind="stable")
    bounds = np.searchsorted(bucket[order], np.arange(BUCKETS + 1))
    ordered = table.take(pa.array(order)).combine_chunks()
    batch = ordered.to_batches()[0] if len(order) else pa.RecordBatch.from_pylist([], table.schema)
    with ipc.new_file(path, table.schema) as writer:
        for low, high in pairwise(bounds):
            writer.write_batch(batch.slice(low, high - low))


def gather(folder: Path, bucket: int) -> pa.Table:
    """Read one bucket of every file."""
    files = [ipc.open_file(pa.memory_map(str(path))) for path in sorted(folder.iterdir())]
    return pa.Table.from_batches([file.get_batch(bucket) for file in files])


def ours(folder: Path) -> dict[str, float]:
    """Run our stages over `folder`/input -> seconds of each."""
    stages: dict[str, Callable[[Path], None]] = {
        "sign": sign_partitions,
        "pair": pair_buckets,
        "attach": attach_buckets,
        "verify": verify_buckets,
        "decide": decide_all,
        "filter": filter_partitions,
    }
    return {name: report.clock(partial(stage, folder)) for name, stage in stages.items()}


def sign_partitions(folder: Path) -> None:
    """Text -> signatures by ref, and band rows by key."""
    for path in sorted((folder / "input").iterdir()):
        signatures = signature_table(read(path), SKETCH)
        scatter(signatures, "ref", folder / "signatures" / path.name)
        scatter(band_rows(signatures, SKETCH), "key", folder / "rows" / path.name)


def pair_buckets(folder: Path) -> None:
    """Rows of one bucket of keys -> candidate pairs by left."""
    for bucket in range(BUCKETS):
        scatter(candidates(gather(folder / "rows", bucket)), "left", folder / "pairs" / f"{bucket:05}.arrow")


def attach_buckets(folder: Path) -> None:
    """Pairs of one bucket of left -> the same with left's signature, by right."""
    for bucket in range(BUCKETS):
        signatures = gather(folder / "signatures", bucket).select(["ref", "signature"])
        attached = attach(distinct(gather(folder / "pairs", bucket)), signatures)
        scatter(attached, "right", folder / "attached" / f"{bucket:05}.arrow")


def verify_buckets(folder: Path) -> None:
    """Pairs of one bucket of right -> verified edges."""
    for bucket in range(BUCKETS):
        signatures = gather(folder / "signatures", bucket).select(["ref", "signature"])
        outcome = verify(gather(folder / "attached", bucket), signatures)
        write(outcome.kept, folder / "edges" / f"{bucket:05}.arrow")


def decide_all(folder: Path) -> None:
    """All edges, and the policy columns of their ends -> decisions."""
    labels = label(pa.concat_tables(map(read, sorted((folder / "edges").iterdir()))))
    columns = ["ref", "group_id", "text_hash", "chars", "priority"]
    policy = [read(path).select(columns) for path in sorted((folder / "signatures").iterdir())]
    ends = pa.concat_tables([part.filter(pc.is_in(part["ref"], labels["ref"].combine_chunks())) for part in policy])
    unknown = {
        "created_at": pa.timestamp("ms"),
        "snapshot_at": pa.timestamp("ms"),
        "score": pa.int64(),
        "license": pa.string(),
    }
    members = labels.join(ends, "ref")
    for name, kind in unknown.items():
        members = members.append_column(name, pa.nulls(members.num_rows, kind))
    write(decide(members, ["longest", "priority"]), folder / "decisions.arrow")


def filter_partitions(folder: Path) -> None:
    """Write the documents that are kept."""
    decisions = read(folder / "decisions.arrow")
    dropped = decisions.filter(pc.invert(decisions["kept"]))["ref"].combine_chunks()
    for path in sorted((folder / "input").iterdir()):
        documents = read(path)
        write(documents.filter(pc.invert(pc.is_in(documents["ref"], dropped))), folder / "kept" / path.name)


def theirs(folder: Path) -> dict[str, float]:
    """Run datatrove's four steps over `folder`/lines -> seconds of each."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline import dedup
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.logging import logger

    logger.disable("datatrove")

    at = {name: str(folder / name) for name in ("lines", "signatures", "buckets", "clusters", "kept")}
    steps = {
        "signature": [JsonlReader(at["lines"]), dedup.MinhashDedupSignature(at["signatures"])],
        "buckets": [dedup.MinhashDedupBuckets(at["signatures"], at["buckets"])],
        "cluster": [dedup.MinhashDedupCluster(at["buckets"], at["clusters"])],
        "filter": [
            JsonlReader(at["lines"]),
            dedup.MinhashDedupFilter(at["clusters"]),
            JsonlWriter(at["kept"], compression=None),
        ],
    }
    return {
        name: report.clock(
            LocalPipelineExecutor(
                step, tasks=14 if name == "buckets" else 1, workers=1, logging_dir=str(folder / "logs" / name)
            ).run
        )
        for name, step in steps.items()
    }


def write_lines(folder: Path) -> None:
    """Write the input as datatrove reads it."""
    (folder / "lines").mkdir()
    with (folder / "lines" / "00000.jsonl").open("w") as file:
        for path in sorted((folder / "input").iterdir()):
            table = read(path)
            for name, text in zip(table["group_id"].to_pylist(), table["text"].to_pylist(), strict=True):
                file.write(json.dumps({"id": name, "text": text}) + "\n")


def recall(kept: Iterable[int], size: int) -> tuple[float, int]:
    """Tell the share of planted pairs of which one was dropped, and how many others were dropped."""
    present = np.zeros(size, np.bool_)
    present[np.fromiter(kept, np.int64)] = True
    pairs = np.concatenate([_pairs(start, min(PARTITION, size - start)) for start in range(0, size, PARTITION)])
    both = present[pairs].all(axis=1)
    others = np.setdiff1d(np.flatnonzero(~present), pairs)
    return float(1 - both.mean()), len(others)


def _pairs(start: int, count: int) -> Numbers:
    copies = count // 10
    return start + np.stack([np.arange(copies), np.arange(count - copies, count)], axis=1)


def isolated(run: Callable[[Path], dict[str, float]], folder: Path, warm: Path) -> tuple[dict[str, float], float]:
    """Run in a fresh process, after a small run that warms it up -> seconds of each stage, and peak memory in MiB."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        process.submit(run, warm).result()
        stages = process.submit(run, folder).result()
        return stages, process.submit(report.peak_rss_mib).result()


def measure_ours(size: int, details: dict[str, float | int | str]) -> float:
    """Documents a second of ours."""
    with tempfile.TemporaryDirectory() as root:
        folder, warm = Path(root) / "corpus", Path(root) / "warm"
        generate(warm / "input", 1000)
        expected = generate(folder / "input", size)
        stages, details["peak_rss_mib"] = isolated(ours, folder, warm)
        kept = (read(path)["group_id"].cast(pa.int64()).to_numpy() for path in sorted((folder / "kept").iterdir()))
        caught, others = recall(np.concatenate(list(kept)), size)
    details |= {f"ours at {size}: {name}, s": round(seconds, 2) for name, seconds in stages.items()}
    details |= {
        f"ours at {size}: recall of planted pairs": round(caught, 4),
        f"ours at {size}: least recall by the catch curve": round(expected, 4),
        f"ours at {size}: others dropped": others,
        f"ours at {size}: {UNIT}": round(size / sum(stages.values()), 1),
    }
    return size / sum(stages.values())


def measure_theirs(size: int, details: dict[str, float | int | str]) -> float:
    """Documents a second of datatrove's."""
    with tempfile.TemporaryDirectory() as root:
        folder, warm = Path(root) / "corpus", Path(root) / "warm"
        for place, count in ((warm, 100), (folder, size)):
            generate(place / "input", count)
            write_lines(place)
        stages, peak = isolated(theirs, folder, warm)
        lines = [line for path in sorted((folder / "kept").iterdir()) for line in path.read_text().splitlines()]
        caught, others = recall([int(json.loads(line)["id"]) for line in lines], size)
    details |= {f"datatrove at {size}: {name}, s": round(seconds, 2) for name, seconds in stages.items()}
    details |= {
        f"datatrove at {size}: recall of planted pairs": round(caught, 4),
        f"datatrove at {size}: others dropped": others,
        f"datatrove at {size}: peak RSS, MiB": peak,
        f"datatrove at {size}: {UNIT}": round(size / sum(stages.values()), 1),
    }
    return size / sum(stages.values())


def main() -> None:
    """Measure ours on each size, and datatrove on its samples."""
    options = report.arguments("Whole dedupe of generated documents.", [1_000_000])
    details: dict[str, float | int | str] = {}
    for size in options.sizes:
        figure = measure_ours(size, details)
    peers = {}
    try:
        for sample in SAMPLES:
            peers["datatrove"] = measure_theirs(sample, details)
    except ImportError as error:
        report.absent("datatrove", error)
    report.show(report.Report(figure, peers, UNIT, details), as_json=options.json)


if __name__ == "__main__":
    main()
