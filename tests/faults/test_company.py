"""Several builds, and a collection, on one warehouse at once."""

import subprocess
import sys

import pytest
import yaml

from flows.samples import DumpPlan, write_dump
from warehouse.publication import find_release
from warehouse.root import Root
from warehouse.verification import verify_warehouse


@pytest.fixture
def folder(tmp_path):
    write_dump(tmp_path / "garden.example.com", DumpPlan(threads=150))
    for name, view in (("one", "worldpm"), ("two", "every")):
        values = {
            "name": name,
            "view": view,
            "inputs": [{"source": "stackexchange", "path": "garden.example.com"}],
            "partitions": {"slice_mib": 0.05, "bucket_mib": 0.1},
            "limits": {"max_failure_rate": 0.1},
        }
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(values))
    return tmp_path


def start(folder, *arguments):
    command = [sys.executable, "-m", "flows.cli", *arguments, "--root", str(folder / "warehouse")]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_builds_do_not_harm_each_other(folder):
    names = ("one", "two", "one")
    builds = [start(folder, "build", str(folder / f"{name}.yaml"), "--workers", "1") for name in names]
    for process in builds:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    root = Root(str(folder / "warehouse"))
    assert not verify_warehouse(root).problems
    together = find_release(root, "one")
    assert root.keys("leases") == {}
    again = start(folder, "build", str(folder / "one.yaml"), "--workers", "1")
    again.communicate(timeout=120)
    assert find_release(root, "one") == together
    collection = start(folder, "gc")
    collection.communicate(timeout=60)
    assert collection.returncode == 0
    assert not verify_warehouse(root).problems
