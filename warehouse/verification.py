"""Verification: whether a warehouse still holds what its records and manifests say, and what to do where it does not.

Broken things are taken out of the way, so that the next `revealed build` makes them again: of a partition its record,
of a release the shard itself. Nothing else is touched.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.errors import CorruptError, FatalError
from schemas.manifest import Latest, Partition, ReleaseManifest, Snapshot
from warehouse._release_checks import check_content, check_plan, check_shard
from warehouse._sound_partition import compare_bytes, find_fault
from warehouse.partitions import record_key
from warehouse.publication import name_build
from warehouse.root import Root
from warehouse.shards import shard_key

_REBUILD = "`revealed build` of its recipe writes it again"
_REMADE = "its record was removed: the next build makes it again"
_RESTORED = "it was removed: `revealed build` of its recipe restores it"
_OURS = "no build should have written this: please report it as a fault of revealed"
_STRAY = "remove it: a loader that reads the whole folder would take it for data"

_CARDS = ("README.md", "ATTRIBUTION.md")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it was written: where, what, and what to do about it."""

    path: str
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked and what was found. unfinished: folders of publications that never came to their manifest."""

    snapshots: int
    partitions: int
    builds: int
    shards: int
    unfinished: int
    problems: tuple[Problem, ...]


@dataclass
class _Findings:
    """What the checks have counted and found so far."""

    shards: int = 0
    problems: list[Problem] = field(default_factory=list)

    def add(self, path: str, problem: str, remedy: str) -> None:
        self.problems.append(Problem(path, problem, remedy))


def verify_warehouse(root: Root, release: str | None = None) -> Report:
    """Check every partition that a snapshot reaches, and every build of every release, or of one.

    Raises FatalError where there is nothing of the kind. Every byte is read; memory holds one column of one shard, and
    64 bits a row.
    """
    snapshots = _list(root.keys("snapshots"), release)
    files = _list(root.keys("releases"), release)
    if not snapshots and not files:
        asked = f"no release `{release}`" if release else "neither a release nor a snapshot"
        raise FatalError(f"{root.url}: {asked} is here; expected the root that a build was given")
    findings = _Findings()
    reached = _reached(root, snapshots, findings)
    for stage, print_ in reached:
        _verify_partition(root, stage, print_, findings)
    begun = {"/".join(key.split("/")[:3]) for key in files if not key.endswith("/latest.json")}
    folders = [folder for folder in sorted(begun) if f"{folder}/manifest.json" in files]
    for name in sorted({key.split("/")[1] for key in (*snapshots, *folders)}):
        _verify_pointer(root, name, findings)
    for folder in folders:
        _verify_build(root, folder, [key for key in files if key.startswith(f"{folder}/")], findings)
    return Report(
        snapshots=len(snapshots),
        partitions=len(reached),
        builds=len(folders),
        shards=findings.shards,
        unfinished=len(begun - set(folders)),
        problems=tuple(findings.problems),
    )


def _list(keys: Iterable[str], release: str | None) -> list[str]:
    """Keep the keys of one release; `releases/NAME/...` and `snapshots/NAME/...` alike."""
    return [key for key in keys if release is None or key.split("/")[1] == release]


def _reached(root: Root, snapshots: Iterable[str], findings: _Findings) -> list[tuple[str, str]]:
    """List the partitions that the snapshots list, each once: stage and fingerprint."""
    found: dict[tuple[str, str], None] = {}
    for key in snapshots:
        try:
            snapshot = root.read_record(key, Snapshot)
        except CorruptError as error:
            findings.add(error.path, error.problem, _REBUILD)
            continue
        stages = snapshot.partitions if snapshot else {}
        found |= {(stage, one): None for stage in stages for own in stages[stage].values() for one in own}
    return list(found)


def _verify_partition(root: Root, stage: str, print_: str, findings: _Findings) -> None:
    key = record_key(stage, print_)
    path = root.locate(key)
    try:
        partition = root.read_record(key, Partition)
        if partition is None:
            findings.add(path, "the partition is missing, though a snapshot lists it", "the next build makes it again")
            return
        path = root.locate(partition.file)
        fault = find_fault(root, partition, key)
    except CorruptError as error:
        fault = error.problem
    if fault is not None:
        root.delete(key)
        findings.add(path, fault, _REMADE)


def _verify_pointer(root: Root, name: str, findings: _Findings) -> None:
    key = f"releases/{name}/latest.json"
    try:
        pointer = root.read_record(key, Latest)
    except CorruptError as error:
        findings.add(error.path, error.problem, _REBUILD)
        return
    if pointer is None:
        findings.add(root.locate(key), "is missing, so that no reader finds the release", _REBUILD)
        return
    target = f"releases/{name}/{pointer.build}/manifest.json"
    try:
        digest = hashlib.sha256(root.read(target)).hexdigest()
    except FileNotFoundError:
        findings.add(root.locate(key), f"points to build {pointer.build}, which has no manifest", _REBUILD)
        return
    if digest != pointer.manifest_sha256:
        findings.add(root.locate(target), "is not the manifest that latest.json was switched to", _REBUILD)


def _verify_build(root: Root, folder: str, files: list[str], findings: _Findings) -> None:
    key = f"{folder}/manifest.json"
    try:
        manifest = root.read_record(key, ReleaseManifest)
    except CorruptError as error:
        findings.add(error.path, error.problem, _REBUILD)
        return
    if manifest is None or not _names_itself(manifest, folder):
        # Its hashes cannot be trusted, so nothing is held against them: a sound shard could be taken for a broken one.
        findings.add(root.locate(key), "does not list the shards that its build is named after", _REBUILD)
        return
    for fault in check_plan(manifest):
        findings.add(root.locate(key), fault, _REBUILD)
    _verify_files(root, manifest, folder, files, findings)
    _verify_shards(root, manifest, findings)


def _names_itself(manifest: ReleaseManifest, folder: str) -> bool:
    """Whether the manifest's hashes give the name of its folder: it holds even for builds that are not the latest."""
    hashes: dict[str, list[str]] = {}
    for shard in manifest.shards:
        hashes.setdefault(shard.config, []).append(shard.sha256)
    build = name_build(manifest.name, hashes)
    return build == manifest.build and folder == f"releases/{manifest.name}/{build}"


def _verify_files(root: Root, manifest: ReleaseManifest, folder: str, files: list[str], findings: _Findings) -> None:
    cards = {f"{folder}/{card}" for card in _CARDS}
    listed = {shard_key(manifest, shard) for shard in manifest.shards}
    for key in sorted(cards - set(files)):
        findings.add(root.locate(key), "is missing", _REBUILD)
    for key in sorted(set(files) - cards - listed - {f"{folder}/manifest.json"}):
        findings.add(root.locate(key), "is not of this release", _STRAY)
    snapshot = f"snapshots/{manifest.name}/{manifest.build}.json"
    if not root.exists(snapshot):
        findings.add(root.locate(snapshot), "is missing, so that `revealed gc` removes its partitions", _REBUILD)


def _verify_shards(root: Root, manifest: ReleaseManifest, findings: _Findings) -> None:
    sound = []
    for shard in manifest.shards:
        findings.shards += 1
        key = shard_key(manifest, shard)
        broken = compare_bytes(root, key, shard.bytes, shard.sha256)
        if broken is not None:
            root.delete(key)
            findings.add(root.locate(key), broken, _RESTORED)
        elif (fault := check_shard(root, manifest, shard)) is not None:
            findings.add(root.locate(key), fault, _OURS)
        else:
            sound.append(shard)
    for path, fault in check_content(root, manifest, sound):
        findings.add(root.locate(path), fault, _OURS)
