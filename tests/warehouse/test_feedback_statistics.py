import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.manifest import ReleaseManifest, Shard
from schemas.signals import FEEDBACK
from warehouse.feedback_statistics import _values_of, describe_users, feedback_statistics
from warehouse.root import Root

NAMES = ("bad", "neutral", "good")


@pytest.mark.parametrize(("absent", "expected"), [(["better", "better_turn"], None), ([], 1)])
def test_a_release_from_before_a_column_is_described_without_its_figure(tmp_path, absent, expected):
    shard = Shard(path="train/a.parquet", split="train", config="feedback", rows=2, row_groups=1, bytes=0, sha256="")
    nothing = {name: {} for name in ("recipe", "columns_hash", "splits", "licenses", "communities")}
    of_a_build = {"name": "old", "build": "b", "route": "chats", "code_version": "", "catch_curve": (), "funnel": ()}
    manifest = ReleaseManifest(shards=(shard,), **nothing, **of_a_build)
    numbers = {name: [0, 4] for name in ("turn", "prompt_chars", "response_chars", "feedback_chars", "pii")}
    rows = pl.DataFrame({"community": ["c"] * 2, "group_id": ["g"] * 2, "category": ["good"] * 2, **numbers})
    values = {**rows.to_dict(as_series=False), "better_turn": [2, None]}
    known = [values.get(name, [None] * 2) for name in FEEDBACK.names]
    table = pl.DataFrame(dict(zip(FEEDBACK.names, known, strict=True))).drop(absent)
    (tmp_path / "releases/old/b/train").mkdir(parents=True)
    table.write_parquet(tmp_path / "releases/old/b" / shard.path)
    found = feedback_statistics(Root(str(tmp_path)), manifest, NAMES, {})
    assert (found.rows, found.better) == (2, expected)
    assert {value: labels.rows for value, labels in found.labels_by["turn"].items()} == {"0": 1, "4-7": 1}


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(0, 20))
def test_users_are_described_as_by_the_definitions(counts, without):
    found = describe_users(pl.Series(counts), sum(counts) + without)
    gini = sum(abs(a - b) for a in counts for b in counts) / (2 * len(counts) * sum(counts))
    assert found.gini == pytest.approx(gini)
    assert (found.users, found.rows_without) == (len(counts), without)
    most = sorted(counts, reverse=True)[: -(-len(counts) // 10)]
    assert found.top_tenth == pytest.approx(sum(most) / sum(counts))
    assert found.top_hundredth == pytest.approx(max(counts) / sum(counts))


def test_no_value_is_left_out():
    rows = [("model", f"m{at:02}", 100 - at) for at in range(50)]
    values = pl.DataFrame(rows, {"column": pl.String, "value": pl.String, "count": pl.UInt64}, orient="row")
    assert list(_values_of(values, "model").items()) == [(name, count) for _, name, count in rows]


def test_without_users_there_is_nothing_to_describe():
    found = describe_users(pl.Series([], dtype=pl.UInt64), 7)
    assert (found.users, found.rows_without, found.gini) == (0, 7, None)
