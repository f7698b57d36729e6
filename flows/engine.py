"""The engine: brings works to an executor, keeps what is already made, and counts everything."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from flows.progress import Reporter, Silent
from flows.work import Work, find, perform
from schemas.drops import QUARANTINE
from schemas.errors import CeilingError, CorruptError, FatalError, PartitionError, TransientError
from schemas.manifest import FunnelRow, Partition
from schemas.outcome import Tally

_ATTEMPTS = 4
_PAUSE_SECONDS = 1.0

Result = TypeVar("Result")
Made = dict[str, tuple[Partition, ...]]
"""{source: partitions} of one stage."""

Step = tuple[str, Callable[[], tuple[Partition, ...]]]
"""A coarse task, one stage of one source: its name, and the call."""


class Runner(Protocol):
    """How coarse tasks are run: directly, or as tasks of a Prefect flow."""

    def __call__(self, steps: Sequence[Step]) -> list[tuple[Partition, ...]]:
        """Run all steps, in any order; answer their results in order."""


def run_directly(steps: Sequence[Step]) -> list[tuple[Partition, ...]]:
    """Run the steps of a stage side by side; the executor behind them decides how much really runs at once."""
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="step") as threads:
        return list(threads.map(lambda step: patiently(step[1]), steps))


def run_in_turn(steps: Sequence[Step]) -> list[tuple[Partition, ...]]:
    """Run the steps one after the other, in this thread."""
    return [patiently(call) for _, call in steps]


def patiently(call: Callable[[], Result]) -> Result:
    """Call, and call again after a transient error. What was made meanwhile is kept, so a repetition resumes."""
    for attempt in range(1, _ATTEMPTS):
        try:
            return call()
        except TransientError:
            time.sleep(_PAUSE_SECONDS * 2**attempt)
    return call()


@dataclass
class Engine:
    """Runs stages, one after the other, and remembers what each made.

    max_failure_rate: share of a source's rows that may be quarantined; CeilingError beyond it.
    made: {stage: {source: partitions}} so far, in order; ended: (stage, source) as they came to their end.
    computed, reused: partitions by stage.
    """

    executor: Executor
    run: Runner = run_directly
    reporter: Reporter = field(default_factory=Silent)
    max_failure_rate: float = 0.01
    made: dict[str, Made] = field(default_factory=dict)
    ended: list[tuple[str, str]] = field(default_factory=list)
    computed: dict[str, int] = field(default_factory=dict)
    reused: dict[str, int] = field(default_factory=dict)
    _counting: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def stage(self, works: Mapping[str, Sequence[Work]]) -> Made:
        """Run one stage over all sources: {source: works} -> {source: partitions}, in the order of the works."""
        steps: list[Step] = [
            (f"{batch[0].stage.name} {source}", partial(self._step, source, batch))
            for source, batch in works.items()
            if batch
        ]
        names = [source for source, batch in works.items() if batch]
        made = dict(zip(names, self.run(steps) if steps else (), strict=True))
        for source, parts in made.items():
            self.made.setdefault(parts[0].stage, {})[source] = parts
            self.ended.append((parts[0].stage, source))
        return {source: made.get(source, ()) for source in works}

    def funnel(self) -> tuple[FunnelRow, ...]:
        """Say for each stage and source how many rows came in, went on and were dropped."""
        return tuple(
            FunnelRow(
                stage=stage,
                source=source,
                rows_in=total.rows_in,
                rows_out=total.rows_out,
                dropped=dict(total.dropped),
                produced=total.produced,
            )
            for stage, sources in self.made.items()
            for source, parts in sources.items()
            for total in (add_up(part.tally() for part in parts),)
        )

    def _step(self, source: str, works: Sequence[Work]) -> tuple[Partition, ...]:
        stage = works[0].stage.name
        found = [find(work) for work in works]
        missing = [at for at, part in enumerate(found) if part is None]
        self.reporter.begin(stage, source, len(works), len(works) - len(missing))
        for at, part in self._make(source, works, missing):
            found[at] = part
            self._count(self.computed, stage, 1)
            self.reporter.advance(stage, source)
        self._count(self.reused, stage, len(works) - len(missing))
        self.reporter.end(stage, source)
        parts = tuple(part for part in found if part is not None)
        self._hold_ceiling(source, parts)
        return parts

    def _make(self, source: str, works: Sequence[Work], missing: Iterable[int]) -> Iterable[tuple[int, Partition]]:
        """Have partitions made; the others go on when one fails, and then the step fails with all that went wrong."""
        futures: dict[Future[Partition], int] = {}
        failed: list[PartitionError] = []
        try:
            futures |= {self.executor.submit(perform, works[at]): at for at in missing}
            for future in as_completed(futures):
                try:
                    yield futures[future], future.result()
                except CorruptError:
                    raise
                except PartitionError as error:
                    failed.append(error)
        except BrokenExecutor as error:
            raise FatalError(
                f"{works[0].stage.name} {source}: a worker process died ({error}), most likely for want of memory; "
                "expected about 1 GiB a worker: lower --workers, or `slice_mib` and `bucket_mib` in the recipe"
            ) from error
        finally:
            for future in futures:
                future.cancel()
        if failed:
            shown = "\n".join(f"  {error}" for error in failed[:5])
            raise CeilingError(f"{source}: {len(failed)} of {len(works)} partitions could not be made:\n{shown}")

    def _count(self, counts: dict[str, int], stage: str, more: int) -> None:
        """Add to a stage's count; steps of one stage run side by side, in threads."""
        with self._counting:
            counts[stage] = counts.get(stage, 0) + more

    def _hold_ceiling(self, source: str, parts: Sequence[Partition]) -> None:
        total = add_up(part.tally() for part in parts)
        broken = {reason: count for reason, count in total.dropped.items() if reason in QUARANTINE}
        share = sum(broken.values()) / max(total.rows_in, 1)
        if share > self.max_failure_rate:
            files = [part.drops_file for part in parts if part.drops_file]
            raise CeilingError(
                f"{source}: {sum(broken.values())} of {total.rows_in} rows ({share:.2%}) could not be read: "
                f"{', '.join(f'{count} {reason}' for reason, count in broken.items())}. "
                f"The recipe allows {self.max_failure_rate:.2%} (limits.max_failure_rate); see {files[0]}"
            )


def add_up(tallies: Iterable[Tally]) -> Tally:
    """Add tallies of one stage; of none, nothing."""
    total: Tally | None = None
    for tally in tallies:
        total = tally if total is None else total + tally
    return total if total is not None else Tally()
