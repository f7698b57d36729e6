"""The forums route: slices -> posts -> joins -> threads -> pairs, each community on its own; then what a view draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flows.engine import Made
from flows.entries import ResolvedEntry
from flows.plan import Plan, flat, power_of_two
from flows.work import Stage, Work
from miners.source import Join
from schemas.fingerprints import Json
from schemas.manifest import Partition
from warehouse.partitions import Shape

INGEST = Stage("ingest", "flows.stages.forums:read_slice")
JOIN = "flows.stages.forums:join_tables"
THREADS = Stage("threads", "flows.stages.forums:make_threads")
PAIRS = Stage("pairs", "flows.stages.forums:make_pairs")
SELECT = Stage("select", "flows.stages.forums:select")

GROUPS = "flows.stages.forums:list_groups"
"""How dedupe learns of the threads of a partition."""

_LAST_KEY = "thread_id"
_PAIRS_A_PLACE = 20_000


@dataclass(frozen=True, slots=True)
class Mined:
    """What the route hands to the set-wide steps; partition n of each is about the same threads."""

    threads: Made
    pairs: Made


def mine(plan: Plan, entries: Sequence[ResolvedEntry]) -> Mined:
    """Mine every community."""
    recipe = plan.recipe
    posts = {entry.name: parts for entry, parts in zip(entries, _posts(plan, entries), strict=True)}
    given: Mapping[str, Json] = {"sample": plan.sample, "seed": recipe.seed}
    threads = plan.engine.stage(
        {
            entry.name: [
                plan.work(THREADS, given, {"posts": posts[entry.name]}, bucket=bucket)
                for bucket in range(_buckets(plan, entry))
            ]
            for entry in entries
        }
    )
    given = {"max_per_thread": recipe.pairs.max_per_thread, "seed": recipe.seed}
    return Mined(threads, plan.each(PAIRS, {"threads": threads}, given))


def select(plan: Plan, mined: Mined, decisions: Made) -> Made:
    """Draw the recipe's view, with texts, splits and places; bucketed by place."""
    splits = plan.recipe.splits.shares()
    places = power_of_two(sum(part.rows for part in flat(mined.pairs)) / _PAIRS_A_PLACE)
    given: Mapping[str, Json] = {
        "view": plan.recipe.view,
        "seed": plan.recipe.seed,
        "splits": splits,
        "places": places,
    }
    made = {"pairs": mined.pairs, "threads": mined.threads, "decisions": decisions}
    return plan.each(SELECT, made, given, shape=Shape("place", places * len(splits)))


def slice_works(plan: Plan, entry: ResolvedEntry) -> list[Work]:
    """Describe the reading of an entry's slices, each bucketed by the key under which its table is needed next."""
    keys = _keys(entry)
    buckets = _buckets(plan, entry)
    return [
        plan.work(
            INGEST,
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
            shape=Shape(keys[piece.table], buckets),
            hints={"path": piece.path},
        )
        for piece in entry.slices
    ]


def _posts(plan: Plan, entries: Sequence[ResolvedEntry]) -> list[tuple[Partition, ...]]:
    """Read every community, and let its tables join; answers its posts, bucketed by thread."""
    made = plan.engine.stage({entry.name: slice_works(plan, entry) for entry in entries})
    tables = [_by_table(entry, made[entry.name]) for entry in entries]
    for at in range(max(len(_joins(entry)) for entry in entries)):
        due = [(entry, own) for entry, own in zip(entries, tables, strict=True) if at < len(_joins(entry))]
        for name in sorted({_joins(entry)[at].name for entry, _ in due}):
            works = {
                entry.name: _join_works(plan, entry, at, own) for entry, own in due if _joins(entry)[at].name == name
            }
            joined = plan.engine.stage(works)
            for entry, own in due:
                if entry.name in joined:
                    own[entry.source.main] = joined[entry.name]
    return [own[entry.source.main] for entry, own in zip(entries, tables, strict=True)]


def _join_works(plan: Plan, entry: ResolvedEntry, at: int, tables: Mapping[str, tuple[Partition, ...]]) -> list[Work]:
    """Describe hop `at` of an entry: one partition a bucket, bucketed for the hop after it."""
    hops = _joins(entry)
    following = hops[at + 1].key if at + 1 < len(hops) else _LAST_KEY
    buckets = _buckets(plan, entry)
    stage = Stage(hops[at].name, JOIN)
    given: Mapping[str, Json] = {"source": entry.source.name, "version": entry.source.version, "join": hops[at].name}
    inputs = {"main": tables[entry.source.main], **{name: tables.get(name, ()) for name in hops[at].tables}}
    return [
        plan.work(stage, given, inputs, bucket=bucket, shape=Shape(following, buckets)) for bucket in range(buckets)
    ]


def _by_table(entry: ResolvedEntry, parts: Sequence[Partition]) -> dict[str, tuple[Partition, ...]]:
    tables: dict[str, tuple[Partition, ...]] = {}
    for piece, part in zip(entry.slices, parts, strict=True):
        tables[piece.table] = (*tables.get(piece.table, ()), part)
    return tables


def _joins(entry: ResolvedEntry) -> list[Join]:
    """List the hops for which the input has a side table."""
    have = {piece.table for piece in entry.slices}
    return [join for join in entry.source.joins if have & set(join.tables)]


def _keys(entry: ResolvedEntry) -> dict[str, str]:
    """Say by which column each table is bucketed when it is read."""
    hops = _joins(entry)
    keys = {name: join.key for join in hops for name in join.tables}
    keys[entry.source.main] = hops[0].key if hops else _LAST_KEY
    return keys


def _buckets(plan: Plan, entry: ResolvedEntry) -> int:
    return power_of_two(entry.bytes / (plan.recipe.partitions.bucket_mib * (1 << 20)))
