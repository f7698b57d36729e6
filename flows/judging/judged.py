"""Judged turns: what the builds of a warehouse know of them, found again by the partitions that their snapshots name.

Partition n of every stage of a build holds the same conversations, so verdicts, turns and texts are joined piecewise.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import polars as pl
import pyarrow as pa

from miners.chats.mining.questions import decide_verdicts
from miners.chats.mining.rubrics import Rubric
from schemas.errors import FatalError
from schemas.inputs import Route
from schemas.judging import ANSWER, QUESTION, VERDICT, State
from schemas.manifest import Partition, ReleaseManifest, Snapshot
from warehouse.ledger import Ledger, open_ledger
from warehouse.partitions import find_partition, read_partition
from warehouse.publication import find_release
from warehouse.root import Root

CHATS, TURNS, QUESTIONS, VERDICTS = "chats", "fit", "questions", "verdicts"
"""Stages of the chats route."""

Piece: TypeAlias = Mapping[str, Partition]
"""{stage: the partition that holds these conversations}"""

_OF_TURN = ("uid", "group_id", "turn", "user")
JUDGED = pl.Schema(
    pl.DataFrame(VERDICT.empty_table()).schema | {"group_id": pl.String, "turn": pl.Int32, "user": pl.String}
)
"""A VERDICT with the turn that it is about."""


def find_snapshot(root: Root, release: str | None, build: str | None = None) -> tuple[ReleaseManifest, Snapshot]:
    """Find a release of feedback and the snapshot of its build; raises FatalError where there is none."""
    manifest = find_release(root, release, build)
    if manifest.route != Route.CHATS:
        raise FatalError(f"{manifest.name} is no release of feedback: no judge was asked about its rows")
    snapshot = root.read_record(f"snapshots/{manifest.name}/{manifest.build}.json", Snapshot)
    if snapshot is None:
        raise FatalError(f"{manifest.name}: the snapshot of build {manifest.build} is gone; build it again")
    return manifest, snapshot


def list_snapshots(root: Root) -> tuple[Snapshot, ...]:
    """List the snapshots of all builds in which turns were put to a judge outside, by name and build."""
    found = (root.read_record(key, Snapshot) for key in sorted(root.keys("snapshots")))
    return tuple(one for one in found if one is not None and QUESTIONS in one.partitions)


def list_pieces(root: Root, snapshots: Iterable[Snapshot], stages: Sequence[str]) -> Iterator[Piece]:
    """List the partitions of some stages of builds, those that belong together at a time.

    What a build did not change stands in the snapshots of others too, and is listed once, where it comes first. Raises
    FatalError where a partition is gone.
    """
    prints = (own for snapshot in snapshots for own in _list_prints(snapshot, stages))
    for own in dict.fromkeys(prints):
        yield {stage: _find(root, stage, print_) for stage, print_ in zip(stages, own, strict=True)}


def _list_prints(snapshot: Snapshot, stages: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for source in sorted(snapshot.partitions.get(stages[0], {})):
        yield from zip(*(snapshot.partitions[stage][source] for stage in stages), strict=True)


def _find(root: Root, stage: str, print_: str) -> Partition:
    partition = find_partition(root, stage, print_)
    if partition is None:
        raise FatalError(
            f"{root.url}: partition {print_} of the stage {stage} is gone; `revealed build` makes it again"
        )
    return partition


def read_verdicts(root: Root, snapshot: Snapshot) -> pl.DataFrame:
    """Read what a build's judge said of every turn that it was asked about, released or not: JUDGED, sorted by uid."""
    pieces = list_pieces(root, [snapshot], (VERDICTS, TURNS))
    tables = [_join(read_partition(root, piece[VERDICTS]), read_turns(root, piece)) for piece in pieces]
    return pl.concat([JUDGED.to_frame(), *tables]).sort("uid")


def read_answers(root: Root, ledger: Ledger, piece: Piece, rubric: Rubric, ids: Collection[str] = ()) -> pa.Table:
    """Read what the ledger says by now to the questions of a piece that a rubric asked: VERDICT of those answered.

    ids: the versions of the rubric that count, of those that are `alike`; default: this one alone.
    """
    questions = read_partition(root, piece[QUESTIONS], QUESTION.names)
    found = pl.DataFrame(ledger.find(questions["key"])).filter(pl.col("rubric").is_in(ids or [rubric.id]))
    known = pl.Series(pl.from_arrow(questions["key"])).is_in(found["key"].implode())
    return decide_verdicts(questions.filter(known.to_arrow()), found.to_arrow().cast(ANSWER), rubric)


def read_ledger(root: Root, ledger: Ledger, rubric: Rubric) -> pl.DataFrame:
    """Read what each judge in the ledger said, by a rubric, of the turns of all builds: JUDGED, sorted by uid.

    Versions of the rubric that have the same answers count as well: to each belongs a `judge` of its own. Where a judge
    was asked about a turn in several ways, the first build that has an `ok` counts.
    """
    pieces = list_pieces(root, list_snapshots(root), (QUESTIONS, TURNS))
    answers = ((read_answers(root, ledger, piece, rubric, rubric.alike), piece) for piece in pieces)
    tables = [_join(verdicts, read_turns(root, piece)) for verdicts, piece in answers]
    whole = pl.concat([JUDGED.to_frame(), *tables])
    ranked = whole.sort("uid", "judge", pl.col("state") != State.OK, maintain_order=True)
    return ranked.unique(["uid", "judge"], keep="first", maintain_order=True)


def list_judges(root: Root, rubric: Rubric) -> list[pl.DataFrame]:
    """List what each judge in the ledger said (JUDGED, see `read_ledger`), the one with the most answers first.

    Raises FatalError where there is none.
    """
    judged = read_ledger(root, open_ledger(root), rubric)
    if judged.is_empty():
        ids = " or ".join(reversed(rubric.alike))
        raise FatalError(f"{root.url}: the ledger has no answers by {ids} to questions of a published build")
    groups = judged.partition_by("judge", maintain_order=True)
    return sorted(groups, key=lambda own: (-own.height, own["judge"][0]))


def read_turns(root: Root, piece: Piece) -> pa.Table:
    """Read the turns of a piece, without texts."""
    return read_partition(root, piece[TURNS], _OF_TURN)


def _join(verdicts: pa.Table, turns: pa.Table) -> pl.DataFrame:
    joined = pl.DataFrame(verdicts).join(pl.DataFrame(turns.select(_OF_TURN)), on="uid", how="inner")
    return joined.select(JUDGED.names()).cast(JUDGED)
