"""The ledger: what was paid for stays, whoever dies."""

import errno
import os
import signal
import subprocess
import sys
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import InputError, RootError
from schemas.judging import ANSWER, State
from warehouse import _answer_logs as logs
from warehouse import ledger as module
from warehouse.ledger import choose, open_ledger, write_segment
from warehouse.root import Root, open_root

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)  # with line feeds, quotes and zeros
FLOATS = st.floats(0, 1, width=32)
ROW = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["k0", "k1", "k2", "k3"]),
        "judge": TEXT,
        "rubric": TEXT,
        "model": TEXT,
        "state": st.sampled_from([*State]),
        "answer": st.none() | TEXT,
        "probs": st.none() | st.lists(FLOATS, max_size=5),
        "prompt_tokens": st.none() | st.integers(0, 2**31 - 1),
        "completion_tokens": st.none() | st.integers(0, 9),
        "seconds": FLOATS,
        "tries": st.integers(1, 9),
        "detail": st.none() | TEXT,
        "answered_at": st.integers(0, 3).map(lambda minutes: BEGIN + timedelta(minutes=minutes)),
    }
)
ROWS = st.lists(ROW, max_size=12)
IN_PLACE = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Root:
    return open_root(str(tmp_path) if request.param == "local" else f"memory://{tmp_path}")


def answers(*rows: tuple[str, State, str | None, int]) -> pa.Table:
    """ANSWER rows of (key, state, answer, minutes after BEGIN)."""
    frame = [
        {
            "key": key,
            "judge": "j",
            "rubric": "wildreward/1",
            "model": "m",
            "state": state,
            "answer": answer,
            "probs": [0.25, 0.75] if answer else None,
            "prompt_tokens": 10,
            "completion_tokens": 1,
            "seconds": 0.5,
            "tries": 1,
            "detail": None,
            "answered_at": BEGIN + timedelta(minutes=minutes),
        }
        for key, state, answer, minutes in rows
    ]
    return pa.Table.from_pylist(frame, ANSWER)


def states(root: Path, *keys: str) -> dict[str, tuple[str, str | None]]:
    found = open_ledger(open_root(str(root))).find(pa.array(keys))
    return {row["key"]: (row["state"], row["answer"]) for row in found.to_pylist()}


def count_rows(root: Root) -> int:
    """Count all rows that segments and logs hold, repeated ones too."""
    return sum(table.height for table in open_ledger(root)._tables(["key"]))


def list_files(root: Root, kind: str) -> list[str]:
    return list(root.keys(f"ledger/{kind}"))


def test_the_first_ok_counts_and_else_the_latest_failure(tmp_path: Path) -> None:
    ledger = open_ledger(open_root(str(tmp_path)))
    with ledger.writer() as writer:
        writer.append(answers(("a", State.TIMEOUT, None, 0), ("b", State.TIMEOUT, None, 0)))
        assert states(tmp_path, "a", "b", "c") == {"a": ("timeout", None), "b": ("timeout", None)}
        writer.append(answers(("a", State.OK, "4", 1), ("b", State.ERROR, None, 1)))
    with ledger.writer() as writer:
        writer.append(answers(("a", State.OK, "5", 2), ("a", State.ERROR, None, 3)))
    assert states(tmp_path, "a", "b") == {"a": ("ok", "4"), "b": ("error", None)}


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    ledger = open_ledger(open_root(str(tmp_path)))
    told = answers(("a", State.OK, "4", 0), ("b", State.REFUSED, None, 1))
    with ledger.writer() as writer:
        writer.append(told)
        assert ledger.find(pa.array(["a", "b"])).equals(told)
    assert ledger.find(pa.array(["a", "b"])).equals(told)


def test_answers_are_synced_to_the_disk_now_and_then_and_as_a_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, fsync = [], os.fsync

    def sync(file: int) -> None:
        sizes.append(os.fstat(file).st_size)
        fsync(file)

    monkeypatch.setattr(os, "fsync", sync)
    ledger = open_ledger(open_root(str(tmp_path)))
    with ledger.writer() as writer:
        monkeypatch.setattr(logs, "_SYNC_SECONDS", 1e9)
        writer.append(answers(("a", State.OK, "4", 0)))
        assert sizes == []
        monkeypatch.setattr(logs, "_SYNC_SECONDS", 0)
        writer.append(answers(("b", State.OK, "4", 0)))
        [log] = (tmp_path / "ledger/logs").iterdir()
        assert sizes == [log.stat().st_size]
    [segment] = (tmp_path / "ledger/segments").iterdir()
    assert sizes[1:] == [segment.stat().st_size]


def test_a_line_cut_by_a_kill_is_no_answer(tmp_path: Path) -> None:
    ledger = open_ledger(open_root(str(tmp_path)))
    log = tmp_path / "ledger/logs/revealed-dead.jsonl"
    with ledger.writer() as writer:
        writer.append(answers(("a", State.OK, "4", 0), ("b", State.OK, "5", 0)))
        [own] = (tmp_path / "ledger/logs").iterdir()
        whole = own.read_bytes()
    for path in (tmp_path / "ledger/segments").iterdir():
        path.unlink()
    log.write_bytes(whole[:-7])
    assert states(tmp_path, "a", "b") == {"a": ("ok", "4")}
    ledger.compact()
    assert not log.exists()
    assert states(tmp_path, "a", "b") == {"a": ("ok", "4")}


def test_a_living_writers_log_is_left_alone(tmp_path: Path) -> None:
    ledger = open_ledger(open_root(str(tmp_path)))
    with ledger.writer() as first:
        first.append(answers(("a", State.OK, "4", 0)))
        with ledger.writer() as second:
            second.append(answers(("b", State.OK, "3", 0)))
            assert len(list((tmp_path / "ledger/logs").iterdir())) == 2
        first.append(answers(("c", State.OK, "2", 0)))
    assert set(states(tmp_path, "a", "b", "c")) == {"a", "b", "c"}
    assert not list((tmp_path / "ledger/logs").iterdir())


def test_many_segments_become_one_and_say_the_same(tmp_path: Path) -> None:
    ledger = open_ledger(open_root(str(tmp_path)))
    for number in range(36):
        with ledger.writer() as writer:
            writer.append(answers((f"k{number}", State.OK, "3", number), ("same", State.ERROR, None, number)))
    assert len(list((tmp_path / "ledger/segments").iterdir())) < 36
    keys = [f"k{number}" for number in range(36)]
    assert set(states(tmp_path, *keys)) == set(keys)
    summary = ledger.summarise()
    assert dict(summary.select("state", "answers").iter_rows()) == {"error": 36, "ok": 36}
    assert summary.filter(pl.col("state") == "ok")["prompt_tokens"].item() == 360


@IN_PLACE
@given(rows=ROWS)
def test_whatever_is_told_comes_back_from_log_and_segment(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    ledger = open_ledger(open_root(str(tmp_path / uuid.uuid4().hex)))
    told = pa.Table.from_pylist(rows, ANSWER)
    expected = choose(pl.DataFrame(told)).to_arrow().cast(ANSWER)
    keys = pa.array(["k3", "k2", "k1", "k0", "k0", "unknown"])
    with ledger.writer() as writer:
        writer.append(told)
        assert ledger.find(keys).equals(expected)
    assert ledger.find(keys).equals(expected)


@IN_PLACE
@given(rows=st.lists(ROW, min_size=1, max_size=12), cut=st.data())
def test_a_log_cut_anywhere_keeps_its_whole_lines(tmp_path: Path, rows: list[dict[str, object]], cut) -> None:
    root = open_root(str(tmp_path / uuid.uuid4().hex))
    with open_ledger(root).writer() as writer:
        for row in rows:
            writer.append(pa.Table.from_pylist([row], ANSWER))
        [log] = Path(root.path("ledger/logs")).iterdir()
        whole = log.read_bytes()
    root.delete(list_files(root, "segments")[0])
    end = cut.draw(st.integers(0, len(whole)))
    log.write_bytes(whole[:end])
    left = rows[: whole[:end].count(b"\n")]
    keys = pa.array(["k0", "k1", "k2", "k3"])
    expected = choose(pl.DataFrame(pa.Table.from_pylist(left, ANSWER))).to_arrow().cast(ANSWER)
    assert open_ledger(root).find(keys).equals(expected)
    open_ledger(root).compact()
    assert open_ledger(root).find(keys).equals(expected)
    assert not log.exists()


@given(rows=ROWS, data=st.data())
def test_what_counts_does_not_depend_on_the_order(rows: list[dict[str, object]], data) -> None:
    shuffled = data.draw(st.permutations([*rows, *rows[:2]]))
    chosen = choose(pl.DataFrame(pa.Table.from_pylist(rows, ANSWER)))
    again = choose(pl.DataFrame(pa.Table.from_pylist(shuffled, ANSWER)))
    kept = ["key", "state", "answer", "probs", "detail", "judge", "answered_at"]
    assert again.select(kept).equals(chosen.select(kept))
    for key, state, at in chosen.select("key", "state", "answered_at").iter_rows():
        own = [row for row in rows if row["key"] == key]
        oks = [row["answered_at"] for row in own if row["state"] == State.OK]
        assert (state == State.OK) == bool(oks)
        assert at == (min(oks) if oks else max(row["answered_at"] for row in own))


def test_a_line_longer_than_a_block_of_the_parser_is_read(tmp_path: Path) -> None:
    ledger = open_ledger(open_root(str(tmp_path)))
    told = answers(("a", State.ERROR, None, 0), ("b", State.OK, "1", 0)).to_pylist()
    told[0]["detail"] = "word " * 500_000
    with ledger.writer() as writer:
        writer.append(pa.Table.from_pylist(told, ANSWER))
        assert ledger.find(pa.array(["a", "b"])).to_pylist() == told


def test_a_store_and_a_folder_say_the_same(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STORE_ROWS", 10)
    ledger = open_ledger(root)
    with ledger.writer() as writer:
        for number in range(33):
            writer.append(answers((f"k{number}", State.OK, "3", number)))
        assert len(list_files(root, "segments")) == (0 if root.is_local else 3)
        assert ledger.find(pa.array([f"k{number}" for number in range(40)])).num_rows == 33
    assert ledger.find(pa.array([f"k{number}" for number in range(40)])).num_rows == 33


def test_what_a_killed_writer_left_beside_a_store_is_uploaded(tmp_path: Path) -> None:
    root = open_root(f"memory://{tmp_path}")
    ledger = open_ledger(root)
    writer = module.Writer(ledger)
    writer.append(answers(("a", State.OK, "4", 0)))
    log = writer._log
    os.close(log.file)  # as the kernel does with a killed process's
    assert states_of(ledger, "a") == {"a": "ok"}
    assert not list_files(root, "segments")
    ledger.compact()
    assert not log.path.exists()
    assert len(list_files(root, "segments")) == 1
    assert states_of(ledger, "a") == {"a": "ok"}


def states_of(ledger: module.Ledger, *keys: str) -> dict[str, str]:
    found = ledger.find(pa.array(keys, pa.string()))
    return dict(zip(found["key"].to_pylist(), found["state"].to_pylist(), strict=True))


def test_a_store_is_not_flooded_with_little_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STORE_ROWS", 1)
    monkeypatch.setattr(module, "_MOST_SEGMENTS", 4)
    root = open_root(f"memory://{tmp_path}")
    with open_ledger(root).writer() as writer:
        for number in range(60):
            writer.append(answers((f"k{number}", State.OK, "3", number)))
            assert len(list_files(root, "segments")) <= 12
    assert count_rows(root) == 60


def test_a_disk_that_takes_half_a_line_leaves_the_log_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = open_ledger(open_root(str(tmp_path)))
    write, calls = os.write, []

    def write_half(file: int, data: memoryview) -> int:
        calls.append(len(data))
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[: len(data) // 2])

    with ledger.writer() as writer:
        writer.append(answers(("a", State.OK, "4", 0)))
        with monkeypatch.context() as patch, pytest.raises(RootError, match="No space left on device"):
            patch.setattr("warehouse._answer_logs.os.write", write_half)
            writer.append(answers(("b", State.OK, "4", 0)))
        writer.append(answers(("c", State.OK, "4", 0)))
        assert states_of(ledger, "a", "b", "c") == {"a": "ok", "c": "ok"}
    assert states_of(ledger, "a", "b", "c") == {"a": "ok", "c": "ok"}


def test_where_no_segment_can_be_written_the_log_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = open_ledger(open_root(str(tmp_path)))

    def refuse(*_: object) -> str:
        raise RootError("full")

    with monkeypatch.context() as patch, pytest.raises(RootError, match="full"), ledger.writer() as writer:
        writer.append(answers(("a", State.OK, "4", 0)))
        patch.setattr(module, "write_segment", refuse)
    assert states_of(ledger, "a") == {"a": "ok"}
    ledger.compact()
    assert not list_files(ledger.root, "logs")
    assert states_of(ledger, "a") == {"a": "ok"}


def test_a_new_log_that_is_taken_for_a_dead_ones_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a log's birth and its lock another process may find it unlocked, and clear it away."""
    import fcntl

    ledger = open_ledger(open_root(str(tmp_path)))
    lock, seen = fcntl.flock, []

    def clear_away_first(file: int, how: int) -> None:
        if not seen:
            [path] = (tmp_path / "ledger/logs").iterdir()
            seen.append(path)
            path.unlink()
        lock(file, how)

    with ledger.writer() as writer:
        monkeypatch.setattr("warehouse._answer_logs.fcntl.flock", clear_away_first)
        writer.append(answers(("a", State.OK, "4", 0)))
        assert states_of(ledger, "a") == {"a": "ok"}
    assert states_of(ledger, "a") == {"a": "ok"}


def test_broken_files_are_named_and_not_passed_over(tmp_path: Path) -> None:
    root = open_root(str(tmp_path))
    key = write_segment(root, pl.DataFrame(answers(("a", State.OK, "4", 0))))
    Path(root.path(key)).write_bytes(b"PAR1 and nothing more")
    with pytest.raises(InputError, match=rf"{key}: cannot be read .* its answers are asked again"):
        open_ledger(root).find(pa.array(["a"]))
    root.delete(key)
    root.write("ledger/logs/revealed-dead.jsonl", b'{"key": 1}\n')
    with pytest.raises(InputError, match="a line is no answer"):
        open_ledger(root).find(pa.array(["a"]))


def test_an_answer_that_stands_twice_is_counted_once(tmp_path: Path) -> None:
    root = open_root(str(tmp_path))
    first = pl.DataFrame(answers(("a", State.TIMEOUT, None, 0), ("b", State.OK, "4", 0)))
    second = pl.DataFrame(answers(("a", State.TIMEOUT, None, 0), ("a", State.OK, "2", 5), ("c", State.ERROR, None, 1)))
    write_segment(root, first)
    write_segment(root, second)
    found = open_ledger(root).summarise().select("state", "answers", "questions", "tries", "prompt_tokens", "last")
    assert found.rows() == [
        ("error", 1, 1, 1, 10, BEGIN + timedelta(minutes=1)),
        ("ok", 2, 2, 2, 20, BEGIN + timedelta(minutes=5)),
        ("timeout", 1, 0, 1, 10, BEGIN),
    ]


def test_failures_that_differ_in_numbers_are_one_kind(tmp_path: Path) -> None:
    rows = answers(*((f"k{number}", State.ERROR, None, number) for number in range(4))).to_pylist()
    for number, row in enumerate(rows):
        row["detail"] = f"request {number} broke" if number else None
    ledger = open_ledger(open_root(str(tmp_path)))
    with ledger.writer() as writer:
        writer.append(pa.Table.from_pylist(rows, ANSWER))
        writer.append(answers(("fine", State.OK, "1", 0)))
        assert ledger.list_failures().select("detail", "answers").rows() == [("request 1 broke", 3), (None, 1)]


def test_an_empty_ledger_answers_all_questions(root: Root) -> None:
    ledger = open_ledger(root)
    with ledger.writer() as writer:
        writer.append(ANSWER.empty_table())
    assert ledger.find(pa.array(["a"])).equals(ANSWER.empty_table())
    assert ledger.find(pa.array([], pa.string())).equals(ANSWER.empty_table())
    assert ledger.summarise().is_empty()
    assert ledger.list_failures().is_empty()
    assert not root.keys("ledger")


WRITER = """
import sys, pyarrow as pa
from datetime import UTC, datetime
from schemas.judging import ANSWER
from warehouse import ledger as module
from warehouse.root import open_root
root, name, rows, per_log = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
module._LOG_ROWS, module._MOST_SEGMENTS = per_log, 3
row = dict(judge="j", rubric="r/1", model="m", state="ok", answer="4", probs=[0.5], seconds=0.1, tries=1,
           answered_at=datetime.now(UTC))
with module.open_ledger(open_root(root)).writer() as writer:
    for number in range(rows):
        writer.append(pa.Table.from_pylist([row | {"key": f"{name}-{number}"}], ANSWER))
        print(number, flush=True)
"""


def start_writer(root: Path, name: str, rows: int, per_log: int = 50_000) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(root), name, str(rows), str(per_log)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_writer_that_is_killed_loses_nothing_that_it_was_told_of(tmp_path: Path) -> None:
    process = start_writer(tmp_path, "k", 1_000_000, per_log=40)  # it dies while it appends, or makes a segment
    for _ in range(250):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    told = 250 + process.communicate()[0].count("\n")
    ledger = open_ledger(open_root(str(tmp_path)))
    keys = pa.array([f"k-{number}" for number in range(told + 1)])
    assert ledger.find(keys).num_rows >= told
    with ledger.writer():
        assert not list_files(ledger.root, "logs")
    assert ledger.find(keys).num_rows >= told


def test_processes_that_write_and_compact_lose_nothing_of_each_other(tmp_path: Path) -> None:
    processes = {name: start_writer(tmp_path, name, 150, per_log=12) for name in "abc"}
    ledger = open_ledger(open_root(str(tmp_path)))
    keys = pa.array([f"{name}-{number}" for name in "abc" for number in range(150)])
    told = dict.fromkeys(processes, 0)

    def listen(name: str) -> None:
        for line in processes[name].stdout:
            told[name] = int(line) + 1

    threads = [threading.Thread(target=listen, args=(name,)) for name in processes]
    for thread in threads:
        thread.start()
    while any(process.poll() is None for process in processes.values()):  # a reader, meanwhile
        least = sum(told.values())
        assert ledger.find(keys).num_rows >= least
    for thread in threads:
        thread.join()
    for process in processes.values():
        assert process.wait() == 0
        process.stdout.close()
    assert states_of(ledger, *keys.to_pylist()) == dict.fromkeys(keys.to_pylist(), "ok")
    assert ledger.summarise()["answers"].item() == 450
