"""Work: one partition to be made, described so that any process on any machine can make it, or find it made."""

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from schemas.fingerprints import Json, fingerprint
from schemas.manifest import Partition
from schemas.outcome import Outcome
from warehouse.partitions import PLAIN, Shape, find_partition, read_bucket, read_partition, write_partition
from warehouse.root import Root


@dataclass(frozen=True, slots=True)
class Stage:
    """A step that every partition of a source, or of the corpus, goes through.

    name: as the funnel shows it. function: `module:name` of a StageFunction. version: raise it when the same input
    gives another output.
    """

    name: str
    function: str
    version: int = 1


@dataclass(frozen=True)
class Work:
    """One partition to be made.

    given: what the stage function is told; all of it goes into the fingerprint.
    inputs: {name: partitions}; bucket: which of their buckets, None for all. Their content, not their names, goes into
        the fingerprint: what is made again with the same bytes makes nothing downstream be made again.
    hints: what may change how the work is done, but not what comes out; stays out of the fingerprint.
    """

    root: str
    stage: Stage
    given: Mapping[str, Json]
    inputs: Mapping[str, tuple[Partition, ...]] = field(default_factory=dict)
    bucket: int | None = None
    shape: Shape = PLAIN
    kept_drops: int = 1000
    hints: Mapping[str, Json] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Name the output by everything that can change it."""
        return fingerprint(
            self.stage.name,
            self.stage.version,
            dict(self.given),
            {name: [part.sha256 for part in parts] for name, parts in self.inputs.items()},
            self.bucket,
            self.shape.as_json(),
        )


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a stage function reads: its work's inputs, a bucket at a time."""

    root: Root
    work: Work

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read this work's bucket of all partitions of one input."""
        parts = self.work.inputs[name]
        if self.work.bucket is None:
            tables = [read_partition(self.root, part, columns) for part in parts]
            return pa.concat_tables(tables) if tables else pa.table({})
        return read_bucket(self.root, parts, self.work.bucket, columns)

    def each(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Read the partitions of one input one after the other."""
        for part in self.work.inputs[name]:
            yield read_partition(self.root, part, columns)

    def has(self, name: str) -> bool:
        """Whether the input has partitions."""
        return bool(self.work.inputs.get(name))


StageFunction = Callable[[Inputs, Mapping[str, Json]], Iterable[Outcome]]


def find(work: Work) -> Partition | None:
    """Look up whether the partition is already there."""
    return find_partition(Root(work.root), work.stage.name, work.fingerprint)


def load_function(reference: str) -> Any:
    """Import what `module:name` names: functions travel between processes by name."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def perform(work: Work) -> Partition:
    """Make the partition. Runs in any process; the module of the stage function is imported there."""
    root = Root(work.root)
    function: StageFunction = load_function(work.stage.function)
    outcomes = function(Inputs(root, work), {**work.given, **work.hints})
    return write_partition(root, work.stage.name, work.fingerprint, outcomes, work.shape, work.kept_drops)
