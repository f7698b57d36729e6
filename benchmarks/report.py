"""What all benchmarks share: one core, their arguments, a clock, and one way to print the outcome.

Import it before anything that starts threads.
"""

import argparse
import gc
import json
import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

ONE_CORE = {"NUMBA_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
"""Figures are of one core, ours and the peers'; the libraries read these when they first start their threads."""

os.environ |= ONE_CORE


@dataclass(frozen=True)
class Report:
    """The outcome of a benchmark; more is better.

    ours: our figure, in `unit`.
    peers: theirs, by name; a peer that is not installed is left out.
    details: further figures, by what they say: samples, sizes, recall.
    """

    ours: float
    peers: Mapping[str, float]
    unit: str
    details: Mapping[str, float | int | str] = field(default_factory=dict)

    def ratios(self) -> dict[str, float]:
        """Tell how many times each peer's figure ours is."""
        return {name: round(self.ours / figure, 2) for name, figure in self.peers.items()}


def arguments(description: str, sizes: Sequence[int]) -> argparse.Namespace:
    """Read the command line: `json: bool`, `sizes: list[int]`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(sizes), help=f"documents (default {list(sizes)})")
    return parser.parse_args()


def measure(run: Callable[[], object], repeats: int = 3) -> float:
    """Median wall time of `run` in seconds; one run before it warms caches and compilers up."""
    run()
    return statistics.median(clock(run) for _ in range(repeats))


def spend(runs: Mapping[str, Callable[[], object]], repeats: int = 3) -> dict[str, float]:
    """Least processor time of each run in seconds, of all its threads, after one run before: {name: seconds}.

    What one core would need, however busy the machine is. They take turns, so that a drift of its speed hits all alike.
    """
    for run in runs.values():
        run()
    rounds = [{name: _spent(run) for name, run in runs.items()} for _ in range(repeats)]
    return {name: min(took[name] for took in rounds) for name in runs}


def _spent(run: Callable[[], object]) -> float:
    gc.collect()
    start = time.process_time()
    run()
    return time.process_time() - start


def clock(run: Callable[[], object]) -> float:
    """Wall time of one run, in seconds."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def peak_rss_mib() -> float:
    """Most memory this process has held so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)  # Linux counts in KiB


def absent(peer: str, error: ImportError) -> None:
    """Say that a peer is not installed, and how to have it."""
    print(f"{peer} is left out ({error}): `uv run --group peers python -m benchmarks.NAME` brings it")


def show(report: Report, *, as_json: bool) -> None:
    """Print the table, or the object: `ours, peers, unit, ratios, peak_rss_mib, details`."""
    figures = {
        "ours": round(report.ours, 1),
        "peers": {name: round(figure, 1) for name, figure in report.peers.items()},
        "unit": report.unit,
        "ratios": report.ratios(),
        "peak_rss_mib": report.details.get("peak_rss_mib", peak_rss_mib()),
        "details": dict(report.details),
    }
    if as_json:
        print(json.dumps(figures))
        return
    print(f"{'ours':<40}{report.ours:>14,.1f} {report.unit}")
    for name, figure in report.peers.items():
        print(f"{name:<40}{figure:>14,.1f} {report.unit}   ours is {report.ratios()[name]:,.1f}x")
    for name, value in report.details.items():
        print(f"{name:<40}{value!s:>14}")
    print(f"{'peak_rss_mib':<40}{figures['peak_rss_mib']!s:>14}")
