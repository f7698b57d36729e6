"""Ingest, for every route: slices -> rows of the source's tables -> joins, each input on its own."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from flows.engine import Made
from flows.entries import ResolvedEntry
from flows.plan import Plan, power_of_two
from flows.work import Stage, Work
from miners.source import Join
from schemas.fingerprints import Json
from schemas.inputs import Route
from schemas.manifest import Partition
from warehouse.partitions import Shape

INGEST = "flows.stages.ingest:read_slice"
JOIN = "flows.stages.ingest:join_tables"

_LAST_KEYS: Mapping[Route, str] = MappingProxyType(
    {Route.FORUMS: "thread_id", Route.WEB: "doc_id", Route.CHATS: "conversation_id"}
)
"""By which column the rows of a route are bucketed in the end: all of a thread, all copies of a document, all parts of
a conversation."""


def read_entries(plan: Plan) -> Made:
    """Read every input, and let its tables join: {entry: its main table's partitions}, bucketed by the last key."""
    entries = plan.entries
    tables = _read_tables(plan, entries)
    for at in range(max((len(_joins(entry)) for entry in entries), default=0)):
        due = [(entry, own) for entry, own in zip(entries, tables, strict=True) if at < len(_joins(entry))]
        for name in sorted({_joins(entry)[at].name for entry, _ in due}):
            works = {
                entry.name: _join_works(plan, entry, at, own) for entry, own in due if _joins(entry)[at].name == name
            }
            joined = plan.engine.stage(works)
            for entry, own in due:
                if entry.name in joined:
                    own[entry.source.main] = joined[entry.name]
    return {entry.name: own[entry.source.main] for entry, own in zip(entries, tables, strict=True)}


def count_buckets(plan: Plan, entry: ResolvedEntry) -> int:
    """Say into how many buckets an input's rows are shuffled."""
    return power_of_two(entry.bytes / (plan.recipe.partitions.bucket_mib * (1 << 20)))


def slice_works(plan: Plan, entry: ResolvedEntry, table: str) -> list[Work]:
    """Describe the reading of one table's slices, bucketed by the key under which the table is needed next."""
    stage = Stage("ingest" if table == entry.source.main else f"ingest-{table}", INGEST)
    shape = Shape(_keys(entry)[table], count_buckets(plan, entry))
    return [
        plan.work(
            stage,
            {
                "source": entry.source.name,
                "version": entry.source.version,
                "community": entry.community,
                "salt": plan.recipe.salt,
                "options": entry.options.model_dump(mode="json"),
                "content": entry.hashes.get(piece.path, ""),
                "slice": {
                    "table": piece.table,
                    "member": piece.member,
                    "start": piece.start,
                    "end": piece.end,
                    "size": piece.size,
                },
            },
            {},
            shape=shape,
            hints={"path": piece.path},
        )
        for piece in entry.slices
        if piece.table == table
    ]


def _join_works(plan: Plan, entry: ResolvedEntry, at: int, tables: Mapping[str, tuple[Partition, ...]]) -> list[Work]:
    """Describe hop `at` of an entry: one partition a bucket, bucketed for the hop after it."""
    hops = _joins(entry)
    following = hops[at + 1].key if at + 1 < len(hops) else _LAST_KEYS[entry.source.route]
    buckets = count_buckets(plan, entry)
    stage = Stage(hops[at].name, JOIN)
    given: Mapping[str, Json] = {"source": entry.source.name, "version": entry.source.version, "join": hops[at].name}
    inputs = {"main": tables[entry.source.main], **{name: tables.get(name, ()) for name in hops[at].tables}}
    return [
        plan.work(stage, given, inputs, bucket=bucket, shape=Shape(following, buckets)) for bucket in range(buckets)
    ]


def _read_tables(plan: Plan, entries: Sequence[ResolvedEntry]) -> list[dict[str, tuple[Partition, ...]]]:
    """Read every table of every input: {table: partitions} for each entry."""
    tables: list[dict[str, tuple[Partition, ...]]] = [{} for _ in entries]
    for table in dict.fromkeys(piece.table for entry in entries for piece in entry.slices):
        works = {entry.name: slice_works(plan, entry, table) for entry in entries if table in _have(entry)}
        made = plan.engine.stage(works)
        for entry, own in zip(entries, tables, strict=True):
            if entry.name in made:
                own[table] = made[entry.name]
    return tables


def _have(entry: ResolvedEntry) -> set[str]:
    return {piece.table for piece in entry.slices}


def _joins(entry: ResolvedEntry) -> list[Join]:
    """List the hops for which the input has a side table."""
    return [join for join in entry.source.joins if _have(entry) & set(join.tables)]


def _keys(entry: ResolvedEntry) -> dict[str, str]:
    """Say by which column each table is bucketed when it is read."""
    hops = _joins(entry)
    keys = {name: join.key for join in hops for name in join.tables}
    keys[entry.source.main] = hops[0].key if hops else _LAST_KEYS[entry.source.route]
    return keys
