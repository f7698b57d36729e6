"""Records and manifests: what was written, of what, and how much of it. Readers see only what these list."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.outcome import Tally


class Record(BaseModel):
    """Base of all that is written as JSON beside the data: immutable, and nothing unknown in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Partition(Record):
    """One stage's output for one part of its input. Its file is whole once this record lies beside it."""

    stage: str
    fingerprint: str
    """Of the stage, its version and options, and the content of its inputs; also the file's name."""
    file: str
    """Key under the warehouse root."""
    bytes: int
    sha256: str
    rows: int
    columns_hash: str
    """Fingerprint of the Arrow schema."""
    bucket_rows: tuple[int, ...] = ()
    """Rows of each hash bucket; empty for a partition that is not bucketed."""
    rows_in: int
    rows_out: int
    dropped: dict[str, int] = Field(default_factory=dict)
    produced: int | None = None
    drops_file: str | None = None
    """Dropped rows, sampled above the recipe's limit; Parquet in the schema DROP."""

    def tally(self) -> Tally:
        """Say how many rows came in, went on and were dropped."""
        return Tally(self.rows_in, self.rows_out, self.dropped, self.produced)


class FunnelRow(Record):
    """One stage of one source: `rows_in == rows_out + sum(dropped)`; `produced` where the unit changes."""

    stage: str
    source: str
    rows_in: int
    rows_out: int
    dropped: dict[str, int]
    produced: int | None = None


class Shard(Record):
    """One file of a release. `path` is relative to the release's folder."""

    path: str
    split: str
    config: str
    rows: int
    row_groups: int
    bytes: int
    sha256: str
    tail: bool = False


class SplitSummary(Record):
    """Rows of one split: in the shards, and left over in the tail folder so that all shards are equal."""

    rows: int
    shards: int
    rows_per_shard: int
    tail_rows: int


class ReleaseManifest(Record):
    """Everything about a release but the time it was made, so that equal builds have equal manifests."""

    format: Literal[1] = 1
    name: str
    build: str
    route: str
    recipe: dict[str, object]
    code_version: str
    columns_hash: dict[str, str]
    splits: dict[str, SplitSummary]
    shards: tuple[Shard, ...]
    funnel: tuple[FunnelRow, ...]
    licenses: dict[str, int]
    communities: dict[str, int]
    catch_curve: tuple[tuple[float, float, float], ...]
    """(Jaccard, chance to become a candidate, chance to be caught) of the MinHash settings used."""


class Snapshot(Record):
    """What a finished build stands on: garbage collection keeps every partition that a snapshot lists."""

    format: Literal[1] = 1
    name: str
    build: str
    recipe: dict[str, object]
    code_version: str
    partitions: dict[str, dict[str, tuple[str, ...]]]
    """{stage: {source: fingerprints}}"""


class Latest(Record):
    """The pointer that publishes a release."""

    name: str
    build: str
    manifest_sha256: str
    previous: str | None = None
    """The build that this one took the place of; None where it is the first."""
