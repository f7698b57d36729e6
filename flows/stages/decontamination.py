"""Stages of decontamination: the index of the recipe's benchmarks, and the rows of one partition against it."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from flows.work import Inputs
from schemas.manifest import Partition
from schemas.outcome import NOTHING_DROPPED, Outcome
from schemas.recipe import Decontaminate, check
from warehouse.decontamination.benchmarks import read_benchmark
from warehouse.decontamination.index import ITEMS, Index, list_grams, open_index
from warehouse.decontamination.matching import decontaminate
from warehouse.partitions import read_partition
from warehouse.root import Root

Given = Mapping[str, Any]


def index_benchmarks(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Read the benchmarks that the recipe names, and list their n-grams (GRAMS), once for the whole build.

    given: `decontaminate`, the recipe's section; `folder`, where its paths start; `content`, hashes of the files, so
    that a benchmark that changed is read again.
    """
    section = check(Decontaminate, given["decontaminate"], "decontaminate")
    tables = [read_benchmark(benchmark, Path(given["folder"])) for benchmark in section.benchmarks]
    items = pa.concat_tables([ITEMS.empty_table(), *tables])
    grams = list_grams(items, ngram=section.ngram)
    yield Outcome(grams, NOTHING_DROPPED, items.num_rows, consumed=items.num_rows)


def decontaminate_rows(inputs: Inputs, given: Given) -> Iterator[Outcome]:
    """Drop or flag the rows of one partition (or bucket) that overlap with a benchmark.

    inputs: `rows`; `benchmarks`, what `index_benchmarks` made. given: `texts`, the columns to look into; `seamless`;
    `action`.
    """
    records = tuple(part.model_dump_json() for part in inputs.work.inputs["benchmarks"])
    index = _open(inputs.root.url, records)
    yield decontaminate(
        inputs.table("rows"), given["texts"], index, given["action"], seamless=given.get("seamless", False)
    )


@lru_cache(maxsize=1)
def _open(root: str, records: tuple[str, ...]) -> Index:
    """Open the index once a process: it serves every partition of the build."""
    parts = [Partition.model_validate_json(record) for record in records]
    return open_index([read_partition(Root(root), part) for part in parts])
