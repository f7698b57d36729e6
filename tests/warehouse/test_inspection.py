"""Looking one row up: in the release by its uid, or among what was dropped."""

from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from schemas.errors import FatalError
from tests.warehouse.conftest import SmallRelease, make_pairs, publish_pairs
from warehouse.inspection import find_dropped, find_row, read_row
from warehouse.root import Root


def test_every_row_is_found_by_its_uid_in_the_shard_and_at_the_number_it_names(small_release: SmallRelease) -> None:
    for uid, url in small_release.rows.sample(12, seed=1).select("uid", "url").rows():
        row = find_row(small_release.root, small_release.manifest, uid)
        assert row is not None
        assert (row.values["uid"], row.values["url"]) == (uid, url)
        assert pq.read_table(small_release.file(row.shard))["uid"][row.number].as_py() == uid


def test_the_first_digits_suffice_where_they_mean_one_row(small_release: SmallRelease) -> None:
    uid = small_release.rows["uid"][7]
    row = find_row(small_release.root, small_release.manifest, uid[:10].upper())
    assert row is not None
    assert row.values["uid"] == uid


def test_digits_that_several_uids_begin_with_are_refused(small_release: SmallRelease) -> None:
    with pytest.raises(FatalError, match="expected more digits"):
        find_row(small_release.root, small_release.manifest, "")


def test_two_rows_of_different_shards_are_still_ambiguous(tmp_path: Path) -> None:
    pairs = make_pairs(30)
    uids = pl.Series([f"{'abc' if n in (0, 29) else 'def'}{n:029}" for n in range(30)])
    named = pl.DataFrame(pairs).with_columns(uid=uids).to_arrow().cast(pairs.schema)
    release = publish_pairs(Root(str(tmp_path)), named, files=4)
    with pytest.raises(FatalError, match=f"abc{29:029}"):
        find_row(release.root, release.manifest, "abc")


def test_a_uid_that_no_row_has_finds_nothing(small_release: SmallRelease) -> None:
    assert find_row(small_release.root, small_release.manifest, "f" * 32) is None


def test_a_row_number_beyond_the_shard_is_refused(small_release: SmallRelease) -> None:
    with pytest.raises(FatalError, match="has no row 20"):
        read_row(small_release.root, small_release.manifest, small_release.manifest.shards[0], 20)


@pytest.mark.parametrize("ref", ["stackexchange/bees.example.com/7001", "bees.example.com/7001", "7001"])
def test_a_dropped_row_is_found_by_its_reference_or_the_end_of_it(small_release: SmallRelease, ref: str) -> None:
    [dropped] = find_dropped(small_release.root, small_release.manifest, ref)
    assert (dropped.stage, dropped.source, dropped.reason) == ("select", "corpus", "too_few_replies")
    assert dropped.words == "the thread has fewer than two replies"
    assert (dropped.file, dropped.offset) == ("Posts.xml", 812)
    assert dropped.row == '{"body":"only one reply"}'


@pytest.mark.parametrize("ref", ["001", "example.com/7001", "e.com/7001", "", "stackexchange"])
def test_half_a_number_or_name_finds_nothing(small_release: SmallRelease, ref: str) -> None:
    assert find_dropped(small_release.root, small_release.manifest, ref) == []


def test_a_dropped_pair_is_found_by_the_first_digits_of_its_uid(small_release: SmallRelease) -> None:
    [dropped] = find_dropped(small_release.root, small_release.manifest, "abababab")
    assert dropped.reason == "not_drawn"


def test_without_its_snapshot_a_release_knows_of_no_drops(small_release: SmallRelease) -> None:
    small_release.file(f"snapshots/small/{small_release.manifest.build}.json").unlink()
    assert find_dropped(small_release.root, small_release.manifest, "7001") == []
