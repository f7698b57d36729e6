"""Wherever and however the work is cut, the release is the same to the byte; and no worker outlives its build."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows.engine import Engine
from flows.executors import Resources, SerialExecutor, open_executor
from flows.jobs import Job, run_job
from flows.plan import Plan
from flows.samples import DumpPlan, write_dump
from flows.work import Stage
from schemas.errors import FatalError
from schemas.recipe import Recipe
from warehouse.root import Root

RECIPE = """
name: garden
inputs:
- {{source: stackexchange, path: garden}}
- {{source: stackexchange, path: pond}}
limits: {{max_failure_rate: 0.2}}
release: {{min_rows: 20}}
partitions: {{slice_mib: {slice_mib}, bucket_mib: {bucket_mib}}}
"""

WORKER_SCRIPT = """
import os, sys, time
from flows.executors import Resources, open_executor

if __name__ == "__main__":
    with open_executor(Resources(workers=2, dask={dask!r}), shared_root=True) as executor:
        pids = {{future.result() for future in [executor.submit(os.getpid) for _ in range(8)]}}
        executor.submit(time.sleep, 600)
        print(*pids, flush=True)
        time.sleep(600)
"""

INTERRUPTED = """
import os
import time
from flows.engine import run_directly
from flows.executors import Resources, open_executor

# polars has a handler of its own for interrupts, so it must be at work
WHO = "(__import__('polars').LazyFrame({'a': [1]}).collect(), __import__('os').getpid())[1]"

if __name__ == "__main__":
    with open_executor(Resources(workers=2), shared_root=True) as executor:
        def step():
            futures = [executor.submit(time.sleep, 1) for _ in range(60)]
            os.write(1, b"at work\\n")
            return tuple(future.result() for future in futures)

        ready = set()
        while len(ready) < 2:
            ready |= {future.result() for future in [executor.submit(eval, WHO) for _ in range(4)]}
        run_directly([("a", step), ("b", step)])
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    write_dump(folder / "garden", DumpPlan(60))
    write_dump(folder / "pond", DumpPlan(40, seed=8, site="pond.example.com"))
    return folder


@pytest.fixture
def build(inputs, tmp_path):
    def run(slice_mib=64, bucket_mib=64, **resources):
        recipe = inputs / f"{slice_mib}-{bucket_mib}.yaml"
        recipe.write_text(RECIPE.format(slice_mib=slice_mib, bucket_mib=bucket_mib))
        [manifest], engine = run_job(Job(recipe=recipe, **{"root": str(tmp_path / "root")} | resources))
        return manifest, engine

    return run


@pytest.fixture(scope="module")
def expected(inputs, tmp_path_factory):
    """What one process makes of it."""
    recipe = inputs / "expected.yaml"
    recipe.write_text(RECIPE.format(slice_mib=64, bucket_mib=64))
    root = tmp_path_factory.mktemp("expected")
    [manifest], _ = run_job(Job(recipe=recipe, root=str(root), workers=1))
    assert sum(split.rows for split in manifest.splits.values()) > 30
    assert len(manifest.shards) > 4
    return manifest


def shard_hashes(manifest, root):
    """Hash what really lies there."""
    folder = root / "releases" / manifest.name / manifest.build
    return {shard.path: hashlib.sha256((folder / shard.path).read_bytes()).hexdigest() for shard in manifest.shards}


@pytest.mark.parametrize(
    "resources",
    [{"workers": 2}, {"workers": 1, "dask": "local"}, {"workers": 3, "dask": "local"}],
    ids=["2 processes", "Dask with 1 worker", "Dask with 3 workers"],
)
def test_executors_make_the_same_release(build, expected, tmp_path, resources):
    manifest, engine = build(slice_mib=0.02, bucket_mib=0.1, **resources)
    assert engine.computed["ingest"] > 4
    assert shard_hashes(manifest, tmp_path / "root") == {shard.path: shard.sha256 for shard in expected.shards}
    assert manifest.build == expected.build


@pytest.mark.parametrize(("slice_mib", "bucket_mib"), [(0.01, 64), (64, 0.03), (0.05, 0.1)])
def test_cuts_do_not_change_the_release(build, expected, tmp_path, slice_mib, bucket_mib):
    manifest, _ = build(slice_mib, bucket_mib, workers=1)
    assert shard_hashes(manifest, tmp_path / "root") == {shard.path: shard.sha256 for shard in expected.shards}
    assert manifest.build == expected.build
    assert manifest.splits == expected.splits
    assert funnel(manifest) == funnel(expected)


def funnel(manifest):
    """Give what no cut may change: what was dropped, and why."""
    return {(row.stage, row.source): row.dropped for row in manifest.funnel}


def test_a_root_in_memory_is_built_serially(build, expected):
    manifest, _ = build(root="memory://test-executors", workers=4)
    assert manifest.shards == expected.shards


def test_a_root_in_memory_is_refused_with_dask():
    with (
        pytest.raises(FatalError, match="in memory"),
        open_executor(Resources(workers=1, dask="local"), shared_root=False),
    ):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://here"])
def test_an_unknown_dask_address_is_refused(address, monkeypatch):
    monkeypatch.setattr("flows.executors._ANSWER_SECONDS", 0.5)
    with (
        pytest.raises(FatalError, match="no Dask scheduler answers"),
        open_executor(Resources(dask=address), shared_root=True),
    ):
        pass


def test_errors_of_the_build_pass_through_the_executor_unchanged():
    """An OSError of the build's own must not read as a scheduler that does not answer."""
    script = """
from distributed import LocalCluster
from flows.executors import Resources, open_executor
if __name__ == "__main__":
    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        try:
            with open_executor(Resources(dask=cluster.scheduler_address), shared_root=True):
                raise IsADirectoryError("of the build")
        except IsADirectoryError:
            print("as it was")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "as it was\n", done.stderr


def test_serial_calls_take_turns():
    at_work, most = 0, 0
    gate = threading.Lock()

    def call():
        nonlocal at_work, most
        with gate:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.01)
        with gate:
            at_work -= 1

    executor = SerialExecutor()
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(executor.submit, call) for _ in range(8)]:
            done.result()
    assert most == 1


def test_a_worker_that_dies_is_explained(tmp_path, monkeypatch):
    (tmp_path / "dying.py").write_text("import os\n\n\ndef die(inputs, given):\n    os._exit(9)\n")
    monkeypatch.syspath_prepend(tmp_path)
    recipe = Recipe.model_validate({"name": "n", "inputs": [{"source": "s", "path": "p"}]})
    with open_executor(Resources(workers=2), shared_root=True) as executor:
        plan = Plan(recipe, Root(str(tmp_path)), Engine(executor))
        with pytest.raises(FatalError, match="worker process died"):
            plan.corpus([plan.work(Stage("dies", "dying:die"), {}, {})])


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc to see which processes live")
@pytest.mark.parametrize("dask", [None, "local"], ids=["processes", "Dask"])
def test_workers_die_with_a_killed_build(tmp_path, dask):
    script = tmp_path / "script.py"
    script.write_text(WORKER_SCRIPT.format(dask=dask))
    command = [sys.executable, script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as build:
        pids = [int(pid) for pid in build.stdout.readline().split()]
        assert pids
        assert build.pid not in pids
        assert all(is_alive(pid) for pid in pids)
        build.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while left := [pid for pid in pids if is_alive(pid)]:
        if time.monotonic() > end:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            pytest.fail(f"{len(left)} of {len(pids)} workers outlived the build by 10 s")
        time.sleep(0.1)


def test_an_interrupt_ends_the_build_before_its_work_is_done(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    command = [sys.executable, script]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as build:
        assert [build.stdout.readline() for _ in "ab"] == ["at work\n"] * 2
        os.killpg(build.pid, signal.SIGINT)  # as a terminal does on Ctrl-C: to all processes
        try:
            _, log = build.communicate(timeout=20)  # a minute of work is left
        finally:
            if build.poll() is None:
                os.killpg(build.pid, signal.SIGKILL)
    assert "KeyboardInterrupt" in log
