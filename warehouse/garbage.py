"""Garbage: what no snapshot reaches, left by changed recipes and killed builds."""

from dataclasses import dataclass

from schemas.manifest import Snapshot
from warehouse.leases import hold_lease
from warehouse.partitions import record_key
from warehouse.root import Root


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection removed, or would."""

    files: int
    bytes: int


def collect_garbage(root: Root, *, dry_run: bool = False) -> Collected:
    """Remove partitions that no snapshot reaches, releases without a manifest, and temporary files.

    Raises FatalError while a build is at work. Records go first: a partition without its record does not exist, so a
    collection may be killed at any moment.
    """
    with hold_lease(root, "revealed gc", "collection"):
        reached = _reached(root)
        doomed = {key: size for key, size in root.keys("stages").items() if key not in reached}
        doomed |= _unfinished(root) | root.keys("tmp")
        if not dry_run:
            for key in sorted(doomed, key=lambda key: (not key.endswith(".json"), key)):
                root.delete(key)
        return Collected(len(doomed), sum(doomed.values()))


def _unfinished(root: Root) -> dict[str, int]:
    """List the files of publications that were killed before their manifest: `releases/NAME/BUILD/...`."""
    files = root.keys("releases")
    whole = {key.removesuffix("manifest.json") for key in files if key.endswith("/manifest.json")}
    builds = {key: "/".join([*key.split("/")[:3], ""]) for key in files if key.count("/") > 2}  # noqa: PLR2004
    return {key: files[key] for key, build in builds.items() if build not in whole}


def _reached(root: Root) -> set[str]:
    keys: set[str] = set()
    for key in root.keys("snapshots"):
        snapshot = root.read_record(key, Snapshot)
        if snapshot is None:
            continue
        for stage, sources in snapshot.partitions.items():
            for print_ in (one for prints in sources.values() for one in prints):
                record = record_key(stage, print_)
                base = record.removesuffix(".json")
                keys |= {record, f"{base}.arrow", f"{base}.parquet", f"{base}.drops.parquet"}
    return keys
