from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.audit.intervals import bound_share
from flows.judging.drift import MIN_NEW, bound_difference, compare_builds, compare_labels, compare_readings, conclude
from miners.chats.mining.rubrics import find_rubric
from schemas.identity import hash64
from schemas.manifest import Latest, Snapshot
from warehouse.partitions import record_key

COUNTS = st.dictionaries(st.integers(1, 5), st.integers(1, 300), min_size=1)
USUAL = {1: 300, 2: 1400, 3: 7600, 4: 600, 5: 100}
CHANGED = {1: 60, 2: 420, 3: 400, 4: 90, 5: 30}


def apart(counts):
    """Turns of as many users, by label: `label, unit, count`."""
    labels = pl.DataFrame(
        {"label": list(counts), "turns": list(counts.values())}, {"label": pl.Int8, "turns": pl.Int64}
    )
    turns = labels.select(pl.col("label").repeat_by("turns").explode(empty_as_null=False))
    return turns.with_row_index("unit").with_columns(count=pl.lit(1, pl.UInt64))


def compare(old, new):
    return compare_labels(apart(old), apart(new))


def shifted(old, new):
    return [shift.label for shift in compare(old, new).shifts if shift.alarming]


def draw(counts, build, turns_of):
    """Draw turns of users, of whom each favours a label: any two of a user's agree by .1 more than chance has it.

    build: names the draw. turns_of: how many, of each user.
    """
    total, bounds = sum(counts.values()), pl.Series(list(counts.values())).cum_sum()
    users = pl.DataFrame({"unit": range(len(turns_of)), "turn": [list(range(turns)) for turns in turns_of]})
    turns = users.explode("turn", empty_as_null=False)

    def chance(name, *columns):
        return turns.select(hash64(pl.lit(build), pl.lit(name), *columns) / 2.0**64).to_series()

    def pick(name, *columns):
        return bounds.search_sorted((chance(name, *columns) * total).floor(), "right").cast(pl.Int8) + 1

    favours = chance("favours", "unit", "turn") < 0.1**0.5
    label = pick("favourite", "unit").zip_with(favours, pick("other", "unit", "turn"))
    said = turns.with_columns(label=label)
    return said.group_by("label", "unit").agg(count=pl.len().cast(pl.UInt64))


def reading(counts, first=0, judge="a", users=200):
    """A build's verdicts, as they are read: turns are numbered from `first`, as their labels are drawn."""
    turns = apart(counts).select("label").with_row_index("turn", first).cast({"turn": pl.UInt64})
    names = {"judge": judge, "judge_model": "m", "rubric": "wildreward@2"}
    return turns.with_columns(
        unit=hash64("turn") % users, **{name: pl.lit(value).cast(pl.Categorical) for name, value in names.items()}
    )


@pytest.mark.parametrize(
    ("old", "new", "bounds"),
    [  # Newcombe 1998, Statistics in Medicine 17, 873-890, table II, method 10
        ((48, 80), (56, 70), (0.0524, 0.3339)),
        ((3, 10), (9, 10), (0.1705, 0.8090)),
        ((0, 20), (10, 10), (0.6791, 1.0)),
    ],
)
def test_differences_are_bounded_as_published(old, new, bounds):
    one, other = ((hits / rows, *bound_share(hits, rows)) for hits, rows in (old, new))
    assert bound_difference(one, other) == pytest.approx(bounds, abs=1e-4)


def test_a_build_beside_itself_has_not_drifted():
    drift = compare(USUAL, USUAL)
    assert not drift.alarming
    assert drift.p_value == 1
    assert all(shift.low < 0 < shift.high for shift in drift.shifts)


def test_a_judge_that_grew_kinder_is_found_by_its_labels():
    kinder = {**USUAL, 3: 6600, 4: 1600}
    assert shifted(USUAL, kinder) == [3, 4]
    assert shifted(USUAL, {**USUAL, 5: 0, 3: 7700}) == [5]  # a label that is given no more
    assert shifted({3: 8900, 4: 1000}, {3: 8900, 4: 1000, 6: 200}) == [6]  # one that was never given


def test_large_builds_do_not_alarm_on_nothing():
    large = {label: count * 50 for label, count in USUAL.items()}
    moved = {**large, 3: large[3] - 2000, 2: large[2] + 2000}  # 0.4 points of half a million turns
    drift = compare(large, moved)
    assert drift.p_value < 1e-4
    assert not drift.alarming


def test_small_builds_do_not_alarm_on_chance():
    assert shifted({3: 8, 4: 2}, {3: 6, 4: 4}) == []


@pytest.mark.parametrize(("answers_since", "compared"), [(1, True), (3, False)])
def test_a_changed_prompt_is_compared_and_named_where_its_labels_are_the_same(
    judged_warehouse, monkeypatch, answers_since, compared
):
    warehouse, rubric = judged_warehouse(10), find_rubric("wildreward")
    new = replace(rubric, version=3, system=f"Think. {rubric.system}", answers_since=answers_since)
    monkeypatch.setattr("flows.judging.drift.find_rubric", lambda _: new)
    before, now = warehouse.release(), warehouse.release(rubric=new)
    pointer = Latest(name=now.name, build=now.build, manifest_sha256="0", previous=before.build)
    warehouse.root.write_record(f"releases/{now.name}/latest.json", pointer)
    drift = compare_builds(warehouse.root, now)
    assert (drift.difference is not None) == compared
    said = conclude(drift)
    assert ("the prompt changed, from wildreward@2 to wildreward@3" in said) == compared
    assert ("do not compare" in said) != compared
    assert ("no label's share has shifted" in said) == compared


@settings(max_examples=40)
@given(COUNTS, COUNTS)
def test_every_label_of_either_build_is_compared_and_bounds_hold_the_difference(old, new):
    drift = compare(old, new)
    assert [shift.label for shift in drift.shifts] == sorted({*old, *new})
    back = {shift.label: shift for shift in compare(new, old).shifts}
    for shift in drift.shifts:
        assert shift.low <= shift.difference + 1e-12
        assert shift.difference <= shift.high + 1e-12
        assert shift.alarming == back[shift.label].alarming
        assert shift.low == pytest.approx(-back[shift.label].high)


@pytest.mark.parametrize("turns_of", [[50] * 40, [400, *[40] * 40]], ids=["even", "uneven"])
def test_builds_of_few_users_alarm_where_the_judge_changed_and_hardly_by_chance(turns_of):
    pairs = [[draw(USUAL, f"{pair} {build}", turns_of) for build in "xy"] for pair in range(40)]
    assert sum(compare_labels(*pair).alarming for pair in pairs) <= 2
    as_rows = [
        [apart(dict(one.group_by("label").agg(pl.col("count").sum()).iter_rows())) for one in pair] for pair in pairs
    ]
    assert sum(compare_labels(*pair).alarming for pair in as_rows) >= 15  # as rows of their own they do
    changed = [compare_labels(old, draw(CHANGED, f"{at} changed", turns_of)) for at, (old, _) in enumerate(pairs)]
    assert sum(drift.alarming for drift in changed) >= 38
    assert all(drift.new_size < drift.new_rows / 2 for drift in changed)


def test_what_one_user_says_is_no_drift():
    said = [draw(counts, "alone", [500]) for counts in (USUAL, CHANGED)]
    assert not compare_labels(*said).alarming


def test_a_judge_that_changes_under_an_incremental_build_shows_in_the_turns_that_are_new():
    before = reading(USUAL)
    both = pl.concat([before, reading(CHANGED, first=10_000)])
    drift = compare_readings("b1", before, both)
    assert drift.only_new
    assert drift.difference.new_rows == 1000
    assert sum(drift.now.labels.values()) == 11_000
    assert "drift: 1,000 turns that are new beside 10,000 of the build before" in conclude(drift)
    assert not compare_readings("b1", before, pl.concat([before, reading(USUAL, first=10_000)])).difference.alarming


@pytest.mark.parametrize(
    ("new", "judge", "rows"),
    [(MIN_NEW, "a", MIN_NEW), (MIN_NEW - 1, "a", 1000 + MIN_NEW - 1), (0, "a", 1000), (500, "b", 1500)],
    ids=["enough", "too few", "none", "another judge"],
)
def test_where_too_little_is_new_or_another_judge_was_asked_all_turns_are_compared(new, judge, rows):
    before = reading(CHANGED)
    now = reading({**CHANGED, 5: CHANGED[5] + new}, judge=judge)
    failed = now.with_columns(label=pl.lit(None, pl.Int8), turn=pl.col("turn") + 10_000)  # new, and not answered
    drift = compare_readings("b1", before, pl.concat([now, failed]))
    assert drift.difference.new_rows == rows
    assert drift.only_new == (rows == new)
    assert (f"{rows:,} turns that are new" if drift.only_new else f"{rows:,} turns in all") in conclude(drift)


def test_turns_are_told_apart_by_what_builds_stand_on(judged_warehouse):
    warehouse = judged_warehouse(60)
    half, root = warehouse.turns.height // 2, warehouse.root
    before = warehouse.release("before", labels=[3] * half)
    now = warehouse.release("now", labels=[3] * half + [2] * half)
    old = root.read_record(f"snapshots/before/{before.build}.json", Snapshot)
    root.write_record("snapshots/now/older.json", old)
    pointer = Latest(name="now", build=now.build, manifest_sha256="0", previous="older")
    root.write_record("releases/now/latest.json", pointer)
    drift = compare_builds(root, now)
    assert drift.only_new
    assert {shift.label: round(shift.difference, 9) for shift in drift.difference.shifts} == {2: 1, 3: -1}
    root.delete(record_key("verdicts", old.partitions["verdicts"]["in"][0]))
    assert compare_builds(root, now) is None
