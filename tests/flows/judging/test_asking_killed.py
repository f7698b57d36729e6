"""Processes that ask are killed, again and again, or ask side by side; the calls are counted at the server."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from benchmarks.scripted_server import Script, scripted
from schemas.judging import State
from warehouse.ledger import open_ledger
from warehouse.root import open_root

ASKER = Path(__file__).with_name("asker.py")
TOP = Path(__file__).parents[3]
IN_FLIGHT = 32  # of the asker


def start_asker(url: str, root: Path, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(ASKER), url, str(root), str(count)]
    environment = os.environ | {"PYTHONPATH": str(TOP), "POLARS_MAX_THREADS": "1"}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=TOP)


def kill_often(root: Path, *, kills: int, count: int, seed: int) -> Counter[str]:
    """Kill the asking of `count` questions again and again, then let it end -> the server's calls by question.

    Each kill comes at random while the process has calls under way, and leaves something for the next ones.
    """
    chance = random.Random(seed)
    with scripted(Script(latency=0.05)) as server:
        for number in range(kills):
            process = start_asker(server.url, root, count)
            room = max(1, (count * (number + 1) // (kills + 1)) - len(server.calls))
            goal = server.calls.total() + chance.randint(1, room)
            while server.calls.total() < goal and process.poll() is None:
                time.sleep(0.001)
            assert process.poll() is None, process.stderr.read()
            process.send_signal(signal.SIGKILL)
            process.communicate()
        process = start_asker(server.url, root, count)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        return server.calls


def check_after_kills(root: Path, calls: Counter[str], *, kills: int, count: int) -> None:
    assert len(calls) == count
    assert 0 < calls.total() - count <= kills * IN_FLIGHT
    rows = pl.concat(list(open_ledger(open_root(str(root)))._tables(["key", "state", "answered_at"])))
    assert rows.filter(pl.col("state") == State.OK).group_by("key").len()["len"].to_list() == [1] * count
    assert rows.height == count


def test_a_process_that_is_killed_five_times_pays_for_no_more_than_was_under_way(tmp_path: Path) -> None:
    calls = kill_often(tmp_path, kills=5, count=1200, seed=1)
    check_after_kills(tmp_path, calls, kills=5, count=1200)


@pytest.mark.slow
def test_a_process_that_is_killed_fifty_times_pays_for_no_more_than_was_under_way(tmp_path: Path) -> None:
    calls = kill_often(tmp_path, kills=50, count=2000, seed=2)
    check_after_kills(tmp_path, calls, kills=50, count=2000)


def test_two_processes_on_one_ledger_lose_nothing(tmp_path: Path) -> None:
    with scripted(Script(latency=0.005)) as server:
        processes = [start_asker(server.url, tmp_path, 600) for _ in range(2)]
        errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    ledger = open_ledger(open_root(str(tmp_path)))
    summary = ledger.summarise()
    assert summary["state"].to_list() == ["ok"]
    assert summary["questions"].item() == 600
    assert summary["answers"].item() == server.calls.total()
