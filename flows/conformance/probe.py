"""Probes: what must be measured, or killed, in a process of its own.

`python -m flows.conformance COMMAND JSON` runs one; it finds the source by its name, as every process of a build does.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flows.conformance.specimen import SALT, WHOLE_CHUNK, WHOLE_SLICE
from flows.entries import ResolvedEntry
from flows.ingest import INGEST, slice_works
from flows.plan import Plan
from flows.work import Inputs, Work, find, load_function, perform
from miners.registry import find_source
from miners.source import Reading
from schemas.fingerprints import Json
from schemas.manifest import Partition
from schemas.outcome import Outcome
from schemas.recipe import Entry, Recipe, check
from warehouse.root import Root

_SECONDS = 600  # after which a probe is given up
_PATIENCE = 10.0  # seconds
_ALLOCATOR = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2", "POLARS_MAX_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Cost:
    """What it takes to read an input: bytes read, seconds, bytes by which memory grew, bytes of the largest outcome."""

    size: int
    seconds: float
    growth: int
    largest: int


@dataclass(frozen=True, slots=True)
class Place:
    """An input, said so that another process finds it. options: the source's own, as JSON."""

    source: str
    path: str
    community: str
    options: Mapping[str, Json]


def run_probe(command: str, given: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run a command of this module in a fresh process."""
    call = [sys.executable, "-m", "flows.conformance", command, json.dumps(given)]
    return subprocess.run(  # noqa: S603 (our own module)
        call, capture_output=True, text=True, check=False, timeout=_SECONDS, env={**os.environ, **_ALLOCATOR}
    )


def measure(small: Mapping[str, Any], large: Mapping[str, Any], chunk_bytes: int) -> list[Cost]:
    """Read the small input, and then the large one: what the first needs is there when the second is measured.

    The small one is then read once more, in chunks as a build has them, for its speed. A source that is slow on it is
    spared the large one.
    """
    first = _read(Place(**small), chunk_bytes)
    if first.seconds > _PATIENCE:
        return [first]
    return [first, _read(Place(**large), chunk_bytes), _read(Place(**small), WHOLE_CHUNK)]


def _read(place: Place, chunk_bytes: int) -> Cost:
    source = find_source(place.source)
    options = check(source.options, dict(place.options), f"options of {source.name}")
    reading = Reading(place.community, SALT, options, chunk_bytes)
    parts = source.plan(place.path, options, WHOLE_SLICE)
    before, began, largest = _forget_peak(), time.perf_counter(), 0
    for part in parts:
        for outcome in source.read(part, reading):
            largest = max(largest, outcome.kept.nbytes)
    seconds = time.perf_counter() - began
    return Cost(sum(part.size for part in parts), seconds, max(_peak() - before, 0), largest)


def _forget_peak() -> int:
    """Let the peak of memory begin anew, where the system can (Linux); answers what is used now, in bytes."""
    with suppress(OSError):  # elsewhere the peak so far stays, and growth below it is not seen
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _peak()


def _peak() -> int:
    """Peak of resident memory in bytes. The rusage of a child begins with its parent's, so Linux is asked elsewhere."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def list_works(place: Place, root: str, slice_bytes: int) -> list[Work]:
    """List the works with which a build would read the input."""
    source = find_source(place.source)
    options = check(source.options, dict(place.options), f"options of {source.name}")
    slices = tuple(source.plan(place.path, options, slice_bytes))
    entry = ResolvedEntry("conformance", place.community, source, options, slices, {})
    recipe = Recipe(name="conformance", inputs=(Entry(source=place.source, path=place.path),))
    plan = Plan(recipe, Root(root), None)  # type: ignore[arg-type]  # nothing is run here
    return [work for table in dict.fromkeys(part.table for part in slices) for work in slice_works(plan, entry, table)]


def ingest(works: list[Work]) -> list[Partition]:
    """Make what is not made yet, as the engine does."""
    return [find(work) or perform(work) for work in works]


def ingest_and_die(place: Mapping[str, Any], root: str, slice_bytes: int, kill_at: int) -> None:
    """Ingest up to a slice, and be killed in the middle of writing that one."""
    works = list_works(Place(**place), root, slice_bytes)
    ingest(works[:kill_at])
    deadly = replace(works[kill_at].stage, function=f"{read_and_die.__module__}:{read_and_die.__name__}")
    perform(replace(works[kill_at], stage=deadly))


def read_and_die(inputs: Inputs, given: Mapping[str, Any]) -> Iterator[Outcome]:
    """Hand over the first outcome of a slice, and die once it is written."""
    for outcome in load_function(INGEST)(inputs, given):
        yield outcome
        os.kill(os.getpid(), signal.SIGKILL)
