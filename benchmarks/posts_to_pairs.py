"""Posts.xml to pairs, MB of XML a second: the build's own stages on one core, beside the scripts people use.

Ours reads, joins, renders, pairs and writes every partition, as a build does. The peers parse, convert bodies and pair
in memory and write nothing; they are given smaller dumps, two sizes each, since they are slow.
"""

from benchmarks import report  # isort: skip  # first: it limits the threads that the others start

import html
import itertools
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa

from flows import forums
from flows.engine import Engine, run_in_turn
from flows.entries import resolve_entries
from flows.executors import Resources, SerialExecutor, open_executor
from flows.plan import Plan
from flows.progress import Silent
from flows.samples import write_posts
from miners.text.markdown import render_markdown
from schemas.inputs import Kind
from schemas.recipe import Recipe
from warehouse.partitions import read_partition
from warehouse.root import Root

MB = 1_000_000


class Timer(Silent):
    """Adds up the seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._began: dict[str, float] = {}

    def begin(self, stage: str, source: str, total: int, reused: int) -> None:  # noqa: ARG002
        """Start the stage's clock."""
        self._began[stage + source] = time.perf_counter()

    def end(self, stage: str, source: str) -> None:
        """Stop the stage's clock."""
        self.seconds[stage] += time.perf_counter() - self._began[stage + source]


def mine(folder: Path, workers: int) -> tuple[float, Timer, list[pa.Table]]:
    """Mine a dump into a fresh warehouse; answers the seconds, those of each stage, and the threads."""
    recipe = Recipe.model_validate(
        {
            "name": "b",
            "inputs": [{"source": "stackexchange", "path": str(folder)}],
            "partitions": {"slice_mib": 16, "bucket_mib": 32},
        }
    )
    timer = Timer()
    with tempfile.TemporaryDirectory() as place:
        root = Root(place)
        with open_executor(Resources(workers), shared_root=True) as executor:
            engine = Engine(executor, run_in_turn, timer)
            if not isinstance(executor, SerialExecutor):
                warm_up(executor, workers)
            began = time.perf_counter()
            mined = forums.mine(Plan(recipe, root, engine), resolve_entries(recipe, folder, root))
            seconds = time.perf_counter() - began
        threads = [read_partition(root, part) for parts in mined.threads.values() for part in parts]
    timer.seconds["hash of the input"] = seconds - sum(timer.seconds.values())
    return seconds, timer, threads


def warm_up(executor: object, workers: int) -> None:
    """Let the processes start and import before the clock does."""
    submit = executor.submit  # type: ignore[attr-defined]
    for future in [submit(_render_one, n) for n in range(workers * 4)]:
        future.result()


def _render_one(_: int) -> int:
    time.sleep(0.3)  # long enough for every process to get one
    return len(render_markdown(pa.array(["<p>warm</p>"])))


def render_seconds(path: Path) -> float:
    """Time rendering alone, on the bodies that the build renders: those of threads that can give pairs."""
    threads, _ = parse(path)
    wanted = [
        body for question in threads.values() if len({score for score, _ in question[1:]}) > 1 for _, body in question
    ]
    bodies = pa.array(wanted)
    return report.measure(lambda: render_markdown(bodies), 1)


def parse(path: Path) -> tuple[dict[str, list[tuple[int, str]]], int]:
    """Read threads as the usual script does: {question: [(score, body) of question and answers]}."""
    threads: dict[str, list[tuple[int, str]]] = {}
    for _, row in ET.iterparse(path):
        if row.tag == "row":
            key = row.get("Id") if row.get("PostTypeId") == "1" else row.get("ParentId")
            threads.setdefault(str(key), []).append((int(str(row.get("Score"))), str(row.get("Body"))))
            row.clear()
    return threads, len(threads)


def script(path: Path, convert: Callable[[str], str]) -> int:
    """Pair as the published scripts do: parse, convert, itertools.combinations."""
    threads, _ = parse(path)
    pairs = 0
    for _, *answers in threads.values():
        texts = [(score, convert(body)) for score, body in answers]
        pairs += sum(a[0] != b[0] for a, b in itertools.combinations(texts, 2))
    return pairs


def peers() -> Iterator[tuple[str, Callable[[str], str]]]:
    try:
        from markdownify import markdownify

        yield "ElementTree + markdownify", markdownify
    except ImportError as error:
        report.absent("markdownify", error)
    try:
        from bs4 import BeautifulSoup

        yield "ElementTree + bs4 text", lambda body: BeautifulSoup(body, "html.parser").get_text()
    except ImportError as error:
        report.absent("bs4", error)
    yield "ElementTree + nothing (bodies left as HTML)", html.unescape


def main() -> None:
    given = report.arguments(__doc__ or "", [200])
    size = given.sizes[0] * MB
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "site.example.com"
        folder.mkdir()
        write_posts(folder / "Posts.xml", size, 1)
        mine(folder, 1)  # warms caches and compilers up
        seconds, timer, threads = mine(folder, 1)
        alone, _, _ = mine(folder, 1)
        two, _, _ = mine(folder, 2)
        rendering = render_seconds(folder / "Posts.xml")
        best = min(seconds, alone)
        figures: dict[str, float] = {}
        details: dict[str, float | int | str] = {
            "size_mb": size // MB,
            "posts rendered": sum(
                pl.DataFrame(table).filter(pl.col("kind") != Kind.COMMENT).height for table in threads
            ),
            "rendering alone, share of all": round(rendering / seconds, 3),
            "2 processes, MB/s": round(size / MB / two, 1),
            "2 processes against 1": round(best / two, 2),
        }
        details |= {f"{stage}, share of all": round(spent / seconds, 3) for stage, spent in timer.seconds.items()}
        for sample in (4 * MB, 8 * MB):
            path = Path(place) / f"{sample}.xml"
            write_posts(path, sample, 2)
            for name, convert in peers():
                rate = sample / MB / report.clock(lambda: script(path, convert))  # noqa: B023 (called at once)
                details[f"{name}, {sample // MB} MB sample, MB/s"] = round(rate, 2)
                figures[name] = rate
        report.show(report.Report(size / MB / best, figures, "MB/s", details), as_json=given.json)


if __name__ == "__main__":
    main()
