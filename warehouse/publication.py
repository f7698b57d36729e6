"""Publication: a draft's shards become a release that readers see whole, or not at all.

    releases/NAME/BUILD/train/part-00000-of-00008-BUILD.parquet    every column (config `pairs`, or what its route has)
    releases/NAME/BUILD/trl/train/part-...                         one folder a projection
    releases/NAME/BUILD/tail/train/part-...                        rows left over so that shards are equal
    releases/NAME/BUILD/README.md, ATTRIBUTION.md
    releases/NAME/BUILD/manifest.json                              written after all of these
    releases/NAME/latest.json                                      switched last

BUILD is a hash of the shards' hashes, so the same rows are the same build, whenever and wherever it was made.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from schemas.errors import CorruptError, FatalError
from schemas.fingerprints import fingerprint
from schemas.inputs import Route
from schemas.manifest import FunnelRow, Latest, Partition, ReleaseManifest, Shard, Snapshot, SplitSummary
from warehouse.cards import write_attribution, write_card
from warehouse.layouts import Layout, layout_of
from warehouse.partitions import read_partition
from warehouse.root import Root
from warehouse.shuffle import Cut


@dataclass(frozen=True)
class Draft:
    """A release about to be published: how it was cut, and the partitions that hold each config's shards.

    parts: {config: partitions}, one for each cut, in order. made: {stage: {source: fingerprints}} of the whole build.
    """

    name: str
    route: Route
    recipe: dict[str, object]
    code_version: str
    cuts: tuple[Cut, ...]
    parts: Mapping[str, tuple[Partition, ...]]
    funnel: tuple[FunnelRow, ...]
    catch_curve: tuple[tuple[float, float, float], ...]
    made: dict[str, dict[str, tuple[str, ...]]]


def publish(root: Root, draft: Draft) -> ReleaseManifest:
    """Write the release, then its manifest, then the snapshot, then the pointer. Repeating it changes nothing."""
    refuse_empty(draft)
    build = name_build(draft.name, {config: [part.sha256 for part in parts] for config, parts in draft.parts.items()})
    manifest = _describe(root, draft, build)
    folder = release_folder(manifest)
    for shard, part in zip(manifest.shards, _in_order(draft), strict=True):
        if root.size(f"{folder}/{shard.path}") != shard.bytes:
            root.adopt(part.file, f"{folder}/{shard.path}")
    root.write(f"{folder}/README.md", write_card(manifest).encode())
    root.write(f"{folder}/ATTRIBUTION.md", write_attribution(manifest).encode())
    data = root.write_record(f"{folder}/manifest.json", manifest)
    snapshot = Snapshot(
        name=draft.name,
        build=manifest.build,
        recipe=draft.recipe,
        code_version=draft.code_version,
        partitions=draft.made,
    )
    root.write_record(f"snapshots/{draft.name}/{manifest.build}.json", snapshot)
    _switch(root, manifest, hashlib.sha256(data).hexdigest())
    return manifest


def _switch(root: Root, manifest: ReleaseManifest, manifest_sha256: str) -> None:
    """Make a build the one that readers see; its pointer remembers which one that was before."""
    key = f"releases/{manifest.name}/latest.json"
    try:
        old = root.read_record(key, Latest)
    except CorruptError:
        old = None  # it is written anew
    repeats = old is not None and old.build == manifest.build
    previous = None if old is None else old.previous if repeats else old.build
    pointer = Latest(name=manifest.name, build=manifest.build, manifest_sha256=manifest_sha256, previous=previous)
    root.write_record(key, pointer)


def refuse_empty(draft: Draft) -> None:
    """Raise FatalError where a draft has no shard; where it has no row, with the reasons for which all were dropped."""
    if not draft.cuts:
        raise FatalError(f"{draft.name}: no row is left to release; dropped: {_sum_up(draft.funnel)}")
    if all(cut.tail for cut in draft.cuts):
        rows = ", ".join(f"{cut.rows} of {cut.split}" for cut in draft.cuts)
        raise FatalError(
            f"{draft.name}: the rows that are left ({rows}) fill no window of any split, for a window takes rows of as "
            "many different documents as `windows.size` says; add documents, or set a smaller `windows.size`"
        )


def name_build(name: str, hashes: Mapping[str, Sequence[str]]) -> str:
    """Name a build of a release by its content. hashes: {config: SHA-256 of each shard, in the manifest's order}."""
    return fingerprint(name, {config: list(own) for config, own in hashes.items()})[:12]


def _sum_up(funnel: Sequence[FunnelRow]) -> str:
    totals: Counter[str] = Counter()
    for row in funnel:
        totals.update(row.dropped)
    return ", ".join(f"{count} {reason}" for reason, count in totals.items()) or "nothing; the input holds no rows"


def release_folder(manifest: ReleaseManifest) -> str:
    """Key of the release's folder."""
    return f"releases/{manifest.name}/{manifest.build}"


def find_release(root: Root, name: str | None = None, build: str | None = None) -> ReleaseManifest:
    """Read a release's manifest: of a name (default: the only one), of a build (default: the latest)."""
    names = sorted({key.split("/")[1] for key in root.keys("releases") if key.endswith("/latest.json")})
    if name is None and len(names) == 1:
        [name] = names
    if name is None or name not in names:
        asked = f"no release `{name}`" if name else "which release is meant is not said"
        raise FatalError(f"{root.url}: {asked}; there {'are' if names else 'is'}: {', '.join(names) or 'none'}")
    if build is None:
        pointer = root.read_record(f"releases/{name}/latest.json", Latest)
        build = pointer.build if pointer else ""
    manifest = root.read_record(f"releases/{name}/{build}/manifest.json", ReleaseManifest)
    if manifest is None:
        raise FatalError(f"{root.url}: release `{name}` has no build `{build}`; expected one of those under releases/")
    return manifest


def _describe(root: Root, draft: Draft, build: str) -> ReleaseManifest:
    layout = layout_of(draft.route)
    shards = tuple(
        _shard(layout, config, cut, part, build)
        for config, parts in draft.parts.items()
        for cut, part in zip(draft.cuts, parts, strict=True)
    )
    counts = _count_values(root, draft.parts[layout.canonical], ("license", "community"))
    return ReleaseManifest(
        name=draft.name,
        build=build,
        route=draft.route,
        recipe=draft.recipe,
        code_version=draft.code_version,
        columns_hash={config: parts[0].columns_hash for config, parts in draft.parts.items()},
        splits=_summarise(draft.cuts),
        shards=shards,
        funnel=draft.funnel,
        licenses=counts["license"],
        communities=counts["community"],
        catch_curve=draft.catch_curve,
    )


def _in_order(draft: Draft) -> Sequence[Partition]:
    return [part for parts in draft.parts.values() for part in parts]


def _shard(layout: Layout, config: str, cut: Cut, part: Partition, build: str) -> Shard:
    folder = f"{'tail/' if cut.tail else ''}{layout.folder(config)}{cut.split}"
    return Shard(
        path=f"{folder}/part-{cut.number:05}-of-{cut.of:05}-{build}.parquet",
        split=cut.split,
        config=config,
        rows=part.rows,
        row_groups=cut.row_groups,
        bytes=part.bytes,
        sha256=part.sha256,
        tail=cut.tail,
    )


def _summarise(cuts: Sequence[Cut]) -> dict[str, SplitSummary]:
    splits = dict.fromkeys(cut.split for cut in cuts)
    return {
        split: SplitSummary(
            rows=sum(cut.rows for cut in cuts if cut.split == split and not cut.tail),
            shards=sum(cut.split == split and not cut.tail for cut in cuts),
            rows_per_shard=next((cut.rows for cut in cuts if cut.split == split and not cut.tail), 0),
            tail_rows=sum(cut.rows for cut in cuts if cut.split == split and cut.tail),
        )
        for split in splits
    }


def _count_values(root: Root, parts: Sequence[Partition], columns: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count the rows of each value of some columns, a shard at a time: {column: {value: rows}}, values sorted."""
    totals: dict[str, Counter[str]] = {column: Counter() for column in columns}
    for part in parts:
        rows = pl.DataFrame(read_partition(root, part, columns))
        for column, total in totals.items():
            values = rows[column].fill_null("unknown").value_counts()
            total.update(dict(zip(values[column], values["count"], strict=True)))
    return {column: dict(sorted(total.items())) for column, total in totals.items()}
