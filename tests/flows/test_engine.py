"""The engine with small real stages, in this module so that worker processes can import them."""

import threading

import pyarrow as pa
import pytest

from flows.engine import Engine, run_directly
from flows.executors import SerialExecutor
from flows.work import Stage, Work
from schemas.errors import CeilingError, CorruptError, PartitionError, TransientError
from schemas.outcome import NOTHING_DROPPED, Outcome
from warehouse.partitions import find_partition, read_partition
from warehouse.root import Root

HERE = "tests.flows.test_engine"
CALLS: list[str] = []


def count_up(inputs, given):
    CALLS.append(given["name"])
    yield Outcome(pa.table({"n": range(given["rows"])}), NOTHING_DROPPED, given["rows"])


def fail(inputs, given):
    CALLS.append(given["name"])
    if given["name"] != "good":
        raise PartitionError(f"{given['name']} cannot be made")
    yield from count_up(inputs, given)


def fail_twice(inputs, given):
    CALLS.append(given["name"])
    if len(CALLS) < 3:
        raise TransientError("the store is tired")
    yield Outcome(pa.table({"n": [1]}), NOTHING_DROPPED, 1)


def quarantine(inputs, given):
    broken = pa.table({"reason": ["invalid_utf8"] * given["broken"], "ref": pa.nulls(given["broken"], pa.string())})
    yield Outcome(pa.table({"n": range(100 - given["broken"])}), broken, 100)


def read_input(inputs, given):
    table = inputs.table("input")
    yield Outcome(table, NOTHING_DROPPED, table.num_rows)


@pytest.fixture
def make(tmp_path):
    CALLS.clear()

    def work(function, stage="counting", inputs=None, **given):
        name = f"{HERE}:{function.__name__}"
        return Work(str(tmp_path), Stage(stage, name), given, inputs or {})

    return work


@pytest.fixture
def engine():
    return Engine(SerialExecutor(), run_directly)


def test_what_is_there_is_not_made_again(make, engine):
    works = {"a": [make(count_up, name="a", rows=2)], "b": [make(count_up, name="b", rows=3)]}
    engine.stage(works)
    again = engine.stage(works)
    assert sorted(CALLS) == ["a", "b"]
    assert (engine.computed, engine.reused) == ({"counting": 2}, {"counting": 2})
    assert [part.rows for parts in again.values() for part in parts] == [2, 3]


def test_a_changed_option_version_or_input_makes_another_partition(make, tmp_path):
    one = make(count_up, name="a", rows=2)
    prints = {
        one.fingerprint,
        make(count_up, name="a", rows=3).fingerprint,
        Work(one.root, Stage("counting", one.stage.function, version=2), one.given).fingerprint,
    }
    assert len(prints) == 3
    assert Work(one.root, one.stage, one.given, hints={"path": "elsewhere"}).fingerprint == one.fingerprint


def test_inputs_count_by_content_so_that_equal_bytes_stop_a_change(make, engine, tmp_path):
    first, second = make(count_up, name="a", rows=2), make(count_up, name="b", rows=2)
    parts = engine.stage({"s": [first, second]})["s"]
    assert parts[0].fingerprint != parts[1].fingerprint
    downstream = [make(read_input, "reading", {"input": (part,)}).fingerprint for part in parts]
    assert downstream[0] == downstream[1]


def test_partitions_that_fail_do_not_stop_the_others(make, engine, tmp_path):
    works = [make(fail, name=name, rows=1) for name in ("bad", "good", "worse")]
    with pytest.raises(CeilingError, match=r"2 of 3 partitions could not be made:\n.*cannot be made"):
        engine.stage({"s": works})
    assert find_partition(Root(str(tmp_path)), "counting", works[1].fingerprint) is not None


def test_transient_errors_are_tried_again(make, engine, monkeypatch):
    monkeypatch.setattr("flows.engine._PAUSE_SECONDS", 0.0)
    [part] = engine.stage({"s": [make(fail_twice, name="x")]})["s"]
    assert (part.rows, len(CALLS)) == (1, 3)


def test_the_ceiling_holds_for_a_source_as_a_whole(make):
    engine = Engine(SerialExecutor(), max_failure_rate=0.02)
    engine.stage({"s": [make(quarantine, broken=3), make(quarantine, broken=1)]})
    with pytest.raises(CeilingError, match=r"s: 5 of 200 rows \(2.50%\) could not be read: 5 invalid_utf8") as caught:
        engine.stage({"s": [make(quarantine, broken=4), make(quarantine, broken=1)]})
    assert caught.value.exit_code == 3


def test_a_corrupt_input_is_named(make, engine, tmp_path):
    [part] = engine.stage({"s": [make(count_up, name="a", rows=50)]})["s"]
    root = Root(str(tmp_path))
    root.write(part.file, b"x" * part.bytes)
    with pytest.raises(CorruptError) as caught:
        engine.stage({"s": [make(read_input, "reading", {"input": (part,)})]})
    assert caught.value.fingerprint == part.fingerprint


def test_two_engines_at_once_make_the_same_partitions(make, tmp_path):
    works = [make(count_up, name=f"w{n}", rows=200) for n in range(30)]
    results = []

    def build():
        results.append(Engine(SerialExecutor(), run_directly).stage({"s": works})["s"])

    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] == results[1] == results[2]
    for part in results[0]:
        assert read_partition(Root(str(tmp_path)), part).num_rows == 200
