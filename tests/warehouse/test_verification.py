"""What `verify` must notice, what it may take away, and that the next publication brings it back."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from schemas.errors import FatalError
from schemas.manifest import Partition
from tests.warehouse.conftest import SmallRelease, make_pairs, publish_pairs
from warehouse._release_checks import check_plan, check_shard
from warehouse.partitions import find_partition, record_key
from warehouse.publication import publish
from warehouse.root import Root
from warehouse.verification import verify_warehouse


def flip_last_byte(path: Path) -> None:
    """Damage a file under its own name only: other hard links keep the sound bytes."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"PAR1")


def paths(release: SmallRelease) -> list[str]:
    return [problem.path for problem in verify_warehouse(release.root).problems]


def select_part(release: SmallRelease) -> Partition:
    part = find_partition(release.root, "select", release.draft.made["select"]["corpus"][0])
    assert part is not None
    return part


def edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_sound_warehouse_has_no_problems_and_counts_all_of_it(small_release: SmallRelease) -> None:
    report = verify_warehouse(small_release.root)
    assert report.problems == ()
    assert (report.snapshots, report.partitions, report.builds, report.shards) == (1, 21, 1, 20)


def test_a_warehouse_in_a_store_without_links_verifies_too() -> None:
    release = publish_pairs(Root("memory://verification"), make_pairs(40), files=2)
    assert verify_warehouse(release.root).problems == ()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda release, part: flip_last_byte(release.file(part.file)), "other content"),
        (lambda release, part: cut_short(release.file(part.file)), "has 4 bytes"),
        (lambda release, part: release.file(part.file).unlink(), "is missing"),
        (lambda release, part: release.file(str(part.drops_file)).unlink(), "dropped rows"),
        (lambda release, part: cut_short(release.file(str(part.drops_file))), "cannot be read"),
        (
            lambda release, part: edit(release.file(record_key("select", part.fingerprint)), columns_hash="0"),
            "other columns",
        ),
        (
            lambda release, part: edit(
                release.file(record_key("select", part.fingerprint)), bucket_rows=[part.rows, 0, 0, 0]
            ),
            "other buckets",
        ),
        (
            lambda release, part: edit(release.file(record_key("select", part.fingerprint)), rows_out=1),
            "does not balance",
        ),
        (
            lambda release, part: edit(release.file(record_key("select", part.fingerprint)), stage="threads"),
            "another partition's place",
        ),
        (
            lambda release, part: release.file(record_key("select", part.fingerprint)).write_text("{"),
            "not a Partition",
        ),
    ],
)
def test_a_broken_partition_is_named_and_forgotten(
    small_release: SmallRelease, damage: Callable[[SmallRelease, Partition], object], words: str
) -> None:
    part = select_part(small_release)
    damage(small_release, part)
    [problem] = verify_warehouse(small_release.root).problems
    assert words in problem.problem
    assert "next build makes it again" in problem.remedy
    assert find_partition(small_release.root, "select", part.fingerprint) is None
    # Until that build, it is missing.
    [problem] = verify_warehouse(small_release.root).problems
    assert "is missing" in problem.problem


@pytest.mark.parametrize("damage", [flip_last_byte, cut_short, Path.unlink])
def test_a_broken_shard_is_removed_and_the_next_publication_restores_it(
    small_release: SmallRelease, damage: Callable[[Path], None]
) -> None:
    shard = small_release.shard(1)
    sound = shard.read_bytes()
    damage(shard)
    [problem] = verify_warehouse(small_release.root).problems
    assert problem.path == str(shard)
    assert not shard.exists()
    publish(small_release.root, small_release.draft)
    assert shard.read_bytes() == sound
    assert paths(small_release) == []


def test_damage_in_place_breaks_the_shard_and_the_partition_it_is_a_link_to(tmp_path: Path) -> None:
    release = publish_pairs(Root(str(tmp_path)), make_pairs(20), files=2)
    with release.shard(0).open("r+b") as file:
        file.seek(100)
        file.write(b"\0\0\0\0")
    [partition, shard] = verify_warehouse(release.root).problems
    assert partition.path == release.root.path(release.draft.parts["pairs"][0].file)
    assert shard.path == str(release.shard(0))


def test_a_manifest_that_was_changed_condemns_no_sound_shard(small_release: SmallRelease) -> None:
    manifest = small_release.file(f"{small_release.folder}/manifest.json")
    manifest.write_text(manifest.read_text().replace(small_release.manifest.shards[0].sha256, "0" * 64))
    assert set(paths(small_release)) == {str(manifest)}
    assert small_release.shard(0).exists()
    publish(small_release.root, small_release.draft)
    assert paths(small_release) == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda release: release.file("releases/small/latest.json").unlink(), "no reader finds"),
        (lambda release: release.file("releases/small/latest.json").write_text("?"), "not a Latest"),
        (lambda release: edit(release.file("releases/small/latest.json"), build="0" * 12), "has no manifest"),
        (lambda release: edit(release.file("releases/small/latest.json"), manifest_sha256="0"), "is not the manifest"),
        (lambda release: release.file(f"{release.folder}/manifest.json").unlink(), "has no manifest"),
        (lambda release: release.file(f"{release.folder}/README.md").unlink(), "is missing"),
        (
            lambda release: release.file(f"snapshots/small/{release.manifest.build}.json").unlink(),
            "removes its partitions",
        ),
        (
            lambda release: release.file(f"snapshots/small/{release.manifest.build}.json").write_text("{}"),
            "not a Snapshot",
        ),
    ],
)
def test_what_publication_writes_last_is_written_again(
    small_release: SmallRelease, damage: Callable[[SmallRelease], object], words: str
) -> None:
    damage(small_release)
    [problem] = verify_warehouse(small_release.root).problems
    assert words in problem.problem
    publish(small_release.root, small_release.draft)
    assert paths(small_release) == []


def test_a_manifest_that_does_not_parse_is_named(small_release: SmallRelease) -> None:
    manifest = small_release.file(f"{small_release.folder}/manifest.json")
    manifest.write_text("{}")
    problems = verify_warehouse(small_release.root).problems
    assert {problem.path for problem in problems} == {str(manifest)}
    assert any("not a ReleaseManifest" in problem.problem for problem in problems)


def test_stray_files_are_named_and_left_alone(small_release: SmallRelease) -> None:
    stray = small_release.file(f"{small_release.folder}/train/more.parquet")
    stray.write_bytes(b"PAR1")
    assert paths(small_release) == [str(stray)]
    assert stray.exists()


@pytest.mark.parametrize("name", ["small", "first-of-its-name"])
def test_an_unfinished_publication_is_counted_not_condemned(small_release: SmallRelease, name: str) -> None:
    started = small_release.file(f"releases/{name}/0123456789ab/train/part-00000-of-00001-0123456789ab.parquet")
    started.parent.mkdir(parents=True)
    started.write_bytes(b"PAR1")
    report = verify_warehouse(small_release.root)
    assert (report.unfinished, report.problems) == (1, ())


def test_a_uid_that_stands_twice_is_named(tmp_path: Path) -> None:
    pairs = pl.DataFrame(make_pairs(30))
    twice = pl.concat([pairs, pairs.head(1)]).to_arrow().cast(make_pairs(1).schema)
    [problem] = verify_warehouse(publish_pairs(Root(str(tmp_path)), twice, files=2).root).problems
    assert "1 uids stand in it twice" in problem.problem
    assert pairs["uid"][0] in problem.problem


@pytest.mark.parametrize("column", ["group_id", "cluster_id"])
def test_a_group_or_cluster_in_two_splits_is_named_even_from_the_tail(tmp_path: Path, column: str) -> None:
    pairs = make_pairs(11)  # with one shard of ten rows or fewer a split, the last rows lie in tails
    other = {"group_id", "cluster_id"} - {column}
    torn = (
        pl.DataFrame(pairs)
        .with_columns(
            pl.lit("torn").alias(column),
            *(pl.concat_str(pl.lit("own"), "uid").alias(name) for name in other),
            split=pl.when(pl.int_range(pl.len()) < 8).then(pl.lit("train")).otherwise(pl.lit("test")),
        )
        .to_arrow()
        .cast(pairs.schema)
    )
    [problem] = verify_warehouse(publish_pairs(Root(str(tmp_path)), torn, files=2).root).problems
    assert f"1 values of {column} stand in more than one split: torn" in problem.problem


def test_rows_that_name_another_split_are_noticed(small_release: SmallRelease) -> None:
    """The bytes are as the manifest says, and still wrong: only a fault of ours can do that."""
    manifest = small_release.manifest
    shards = tuple(
        shard.model_copy(update={"split": "test" if shard.split == "train" else "train"}) for shard in manifest.shards
    )
    summaries = {"train": manifest.splits["test"], "test": manifest.splits["train"]}
    swapped = manifest.model_copy(update={"shards": shards, "splits": summaries})
    small_release.root.write_record(f"{small_release.folder}/manifest.json", swapped)
    problems = [problem.problem for problem in verify_warehouse(small_release.root).problems]
    assert "has rows of train in split test" in problems
    assert small_release.shard(0).exists()


def test_a_manifest_is_held_against_itself(small_release: SmallRelease) -> None:
    manifest = small_release.manifest
    assert list(check_plan(manifest)) == []
    first = manifest.shards[0].model_copy(update={"rows": 7})
    faults = list(check_plan(manifest.model_copy(update={"shards": (first, *manifest.shards[1:])})))
    assert [fault.split(":")[0] for fault in faults] == ["split train", "split train", "config trl"]
    fewer = {"splits": {"train": manifest.splits["train"]}}
    [fault] = check_plan(manifest.model_copy(update=fewer))
    assert fault == "there are shards of splits that it does not list: test"


@pytest.mark.parametrize(
    ("change", "words"),
    [({"rows": 21}, "has 20 rows"), ({"row_groups": 4}, "row groups"), ({"config": "trl"}, "other columns")],
)
def test_a_shard_is_held_against_the_manifest(
    small_release: SmallRelease, change: dict[str, object], words: str
) -> None:
    shard = small_release.manifest.shards[0]
    assert check_shard(small_release.root, small_release.manifest, shard) is None
    fault = check_shard(small_release.root, small_release.manifest, shard.model_copy(update=change))
    assert fault is not None
    assert words in fault


def test_one_release_can_be_verified_alone(small_release: SmallRelease) -> None:
    other = publish_pairs(small_release.root, make_pairs(20, seed=1), files=2, name="other")
    flip_last_byte(other.shard(0))
    assert verify_warehouse(small_release.root, "small").problems == ()
    assert len(verify_warehouse(small_release.root, "other").problems) == 1


@pytest.mark.parametrize("release", [None, "smal"])
def test_nothing_to_verify_is_an_error(tmp_path: Path, release: str | None) -> None:
    with pytest.raises(FatalError, match="expected the root"):
        verify_warehouse(Root(str(tmp_path / "elsewhere")), release)


def test_shards_are_read_as_the_manifest_describes_them(small_release: SmallRelease) -> None:
    """Guards the fixture: shards are equal, in equal row groups."""
    files = sorted(small_release.file(f"{small_release.folder}/train").glob("*.parquet"))
    groups = [[pq.ParquetFile(file).metadata.row_group(at).num_rows for at in range(5)] for file in files]
    assert groups == [[4] * 5] * 4
