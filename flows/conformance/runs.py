"""Checks of runs: other slices, memory, a kill, broken files, speed."""

import json
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from flows.conformance.comparison import compare_rows
from flows.conformance.findings import Finding, attempt, conclude, fault, fine, skip, warn
from flows.conformance.mutations import mutate
from flows.conformance.probe import Cost, Place, ingest, list_works, run_probe
from flows.conformance.specimen import MOST_BYTES, SALT, WHOLE_SLICE, Specimen, find_input, open_sample
from miners.source import Reading, Source
from schemas.errors import RevealedError
from schemas.outcome import BalanceError

_SMALL, _TINY = 7, 61  # slices into which an input is cut
_SMALL_CHUNK = 16 << 10
_TRIAL_THREADS, _GARBAGE_THREADS = 64, 12
_FACTOR = 8  # how much larger the second sample is whose memory is measured
_CHUNKS = 16  # an outcome may be so many times chunk_bytes: text becomes columns, and a long row stays whole
_KEPT_SHARE = 0.5  # growing by more than this share of the input, a source holds the input
_NOISE = 24 << 20  # bytes by which a process grows for reasons of its allocator; measured: 1 to 24 MiB
_TRIES = 3  # on a busy machine it may grow by more; what a source holds, it holds every time
_SLOW = 5.0  # MB/s
_FILES = 4  # of a sample, the largest so many are broken
_RESUMED = 6  # slices of the ingest that is killed
_COMMAND = "revealed source check"


def check_partitions(specimen: Specimen) -> list[Finding]:
    """Check that the rows are the same, however the input is cut."""
    size = sum(piece.part.size for piece in specimen.pieces)
    if size >= MOST_BYTES:
        return [skip(f"the input is larger than {MOST_BYTES >> 20} MiB; give a smaller one")]
    faults: list[Finding] = []
    counts: list[int] = []
    for slice_bytes in (1 << 40, max(size // _SMALL, 1), max(size // _TINY, 1)):
        pieces = specimen.read(slice_bytes, chunk_bytes=min(slice_bytes, _SMALL_CHUNK))
        counts.append(len(pieces))
        reading = f"a reading in slices of {slice_bytes:,} bytes"
        faults += compare_rows(specimen.rows, specimen.join(pieces), reading)
        faults += compare_rows(_list_drops(specimen.pieces), _list_drops(pieces), f"the dropped rows of {reading}")
    return conclude(faults, f"the same rows from {', '.join(map(str, counts))} slices")


def _list_drops(pieces: Any) -> pl.DataFrame:
    tables = [outcome.dropped.select(["reason", "ref"]) for piece in pieces for outcome in piece.outcomes]
    return pl.DataFrame(pa.concat_tables(tables, promote_options="permissive"))


def check_memory(specimen: Specimen) -> list[Finding]:
    """Check that memory is bounded by chunk_bytes, whatever the size of the input."""
    measured = _measure(specimen)
    if isinstance(measured, Finding):
        return [measured]
    if len(measured) == 1:
        return [skip("too slow to be measured: see speed")]
    (small, large, _), chunk_bytes = measured, _chunk_bytes(specimen)
    expected = "an Outcome about every reading.chunk_bytes, and nothing kept between two: yield, do not collect"
    faults = []
    if large.largest > max(_CHUNKS * chunk_bytes, 2 * small.largest):
        what = f"unbounded memory: one outcome of {_mib(large.largest)}, where chunk_bytes is {_mib(chunk_bytes)}"
        faults.append(fault(what, "read", expected))
    if not _is_bounded(large):
        what = f"unbounded memory: it grew by {_mib(large.growth)} while {_mib(large.size)} were read"
        faults.append(fault(what, "read", expected))
    seen = f"grew by {_mib(large.growth)} over {_mib(large.size)}; largest outcome {_mib(large.largest)}"
    return conclude(faults, seen)


def check_speed(specimen: Specimen) -> list[Finding]:
    """Say how fast it is; slowness is no fault."""
    measured = _measure(specimen)
    if isinstance(measured, Finding):
        return [skip("see memory")]
    rate = measured[-1].size / 1e6 / max(measured[-1].seconds, 1e-6)
    if rate < _SLOW:
        expected = f"{_SLOW:.0f} MB/s or more: expressions over columns, no loop over rows"
        return [warn(f"{rate:.1f} MB/s", "read", expected)]
    return [fine(f"{rate:,.0f} MB/s on one core")]


def _chunk_bytes(specimen: Specimen) -> int:
    """Choose chunks of which the small sample has several."""
    return int(specimen.effort.mib * (1 << 20)) // _FACTOR // 8


def _measure(specimen: Specimen) -> tuple[Cost, ...] | Finding:
    """Measure in a process of its own: a small sample, a large one, the small one in chunks as builds have.

    Once for all checks; but anew, up to `_TRIES` times, while memory seems unbounded.
    """
    if not specimen.effort.mib:
        return skip("not asked for")
    known = specimen.scratch / "measured.json"
    if not known.exists():
        source = specimen.source
        trial, _ = open_sample(source, specimen.scratch / "trial", _TRIAL_THREADS)
        a_thread = sum(part.size for part in source.plan(trial, specimen.options, WHOLE_SLICE)) / _TRIAL_THREADS
        threads = int(specimen.effort.mib * (1 << 20) / a_thread / _FACTOR) + 1
        small, large = (_place(specimen, f"{count}-threads", count) for count in (threads, threads * _FACTOR))
        given = {"small": small, "large": large, "chunk_bytes": _chunk_bytes(specimen)}
        for _ in range(_TRIES):
            done = run_probe("measure", given)
            if done.returncode:
                return _describe_death(done.stderr)
            known.write_text(done.stdout, encoding="utf-8")
            if all(map(_is_bounded, _load_costs(known)[1:2])):  # the large one
                break
    return _load_costs(known)


def _load_costs(path: Path) -> tuple[Cost, ...]:
    return tuple(Cost(**cost) for cost in json.loads(path.read_text(encoding="utf-8")))


def _is_bounded(cost: Cost) -> bool:
    """Tell whether a reading kept less than the input, whatever the allocator may have kept."""
    return cost.growth <= _NOISE + _KEPT_SHARE * cost.size


def _place(specimen: Specimen, name: str, threads: int) -> dict[str, Any]:
    path, community = open_sample(specimen.source, specimen.scratch / name, threads)
    options = specimen.options.model_dump(mode="json")
    return {"source": specimen.source.name, "path": path, "community": community, "options": options}


def _describe_death(errors: str) -> Finding:
    last = errors.strip().splitlines()[-1:] or ["no word"]
    return fault(
        f"a process that reads it failed: {last[0][:300]}", _COMMAND, "a source that any process finds and runs"
    )


def check_resume(specimen: Specimen) -> list[Finding]:
    """Check that an ingest that was killed goes on, and gives the bytes of one that was not."""
    if not specimen.effort.kills:
        return [skip("not asked for")]
    place = Place(**_place(specimen, "resumed", specimen.effort.threads))
    parts = specimen.source.plan(place.path, specimen.options, WHOLE_SLICE)
    slice_bytes = max(sum(part.size for part in parts) // _RESUMED, 1)
    whole, killed = str(specimen.scratch / "whole"), str(specimen.scratch / "killed")
    works = list_works(place, killed, slice_bytes)
    given = {"place": _as_json(place), "root": killed, "slice_bytes": slice_bytes}
    kills = sorted({(len(works) - 1) * kill // 2 for kill in specimen.effort.kills})
    for kill_at in kills:
        done = run_probe("ingest", {**given, "kill_at": kill_at})
        if done.returncode != -signal.SIGKILL:
            return [_describe_death(done.stderr)]
    wanted = ingest(list_works(place, whole, slice_bytes))
    faults = [
        fault(
            f"slice {number} of {len(works)} has other bytes after a kill and a new start",
            f"table {work.given['slice']['table']}, byte {work.given['slice']['start']}",  # type: ignore[index,call-overload]
            "the same bytes in every process: no clock, no chance, no Python hash()",
        )
        for number, (work, one, other) in enumerate(zip(works, wanted, ingest(works), strict=True), 1)
        if one.sha256 != other.sha256
    ]
    return conclude(faults, f"{len(works)} slices, killed in {len(kills)} of them: the same bytes")


def check_garbage(specimen: Specimen) -> list[Finding]:
    """Check that broken files are refused, or their rows quarantined, and that nothing else is raised."""
    source, folder = specimen.source, specimen.scratch / "sound"
    folder.mkdir()
    path = Path(source.sample(folder, _GARBAGE_THREADS))
    files = sorted((file for file in folder.rglob("*") if file.is_file()), key=lambda file: -file.stat().st_size)
    faults: list[Finding] = []
    tries = 0
    for file in files[:_FILES]:
        for how, data in mutate(file.read_bytes()).items():
            tries += 1
            broken = specimen.scratch / f"broken-{tries}"
            shutil.copytree(folder, broken)
            (broken / file.relative_to(folder)).write_bytes(data)
            found = attempt(partial(_read_or_refuse, specimen, broken / path.relative_to(folder)), specimen.home)
            if isinstance(found, Finding):
                faults.append(fault(f"with {file.name} {how}, {found.what}", found.where, found.expected))
            shutil.rmtree(broken)
    return conclude(faults, f"{tries} broken files: refused, or their rows quarantined")


def _read_or_refuse(specimen: Specimen, path: Path) -> None:
    """Read a broken input; one of our errors is an answer, but for lost rows."""
    try:
        for reading, part in _plan(specimen.source, specimen, path):
            for outcome in specimen.source.read(part, reading):
                outcome.tally()
    except BalanceError:
        raise
    except RevealedError:
        return


def _plan(source: Source, specimen: Specimen, path: Path) -> Iterator[tuple[Reading, Any]]:
    found, community = find_input(source, str(path))
    reading = Reading(community, SALT, specimen.options, _SMALL_CHUNK)
    for part in source.plan(found, specimen.options, WHOLE_SLICE):
        yield reading, part


def _as_json(place: Place) -> dict[str, Any]:
    return {"source": place.source, "path": place.path, "community": place.community, "options": dict(place.options)}


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
