import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from schemas.errors import CorruptError, FatalError, RootError
from schemas.manifest import Latest
from warehouse.root import Root

POINTER = Latest(name="n", build="b", manifest_sha256="0")


@pytest.fixture(params=["local", "memory"])
def root(request, tmp_path):
    return Root(str(tmp_path) if request.param == "local" else f"memory://{tmp_path}")


def test_a_file_is_there_whole_or_not_at_all(root):
    with pytest.raises(RuntimeError, match="midway"), root.staged("a/b.bin") as path:
        path.write_bytes(b"half")
        raise RuntimeError("midway")
    assert not root.exists("a/b.bin")
    root.write("a/b.bin", b"whole")
    assert root.read("a/b.bin") == b"whole"
    assert root.keys("") == {"a/b.bin": 5}


def test_a_record_comes_back_as_it_went(root):
    root.write_record("p.json", POINTER)
    assert root.read_record("p.json", Latest) == POINTER
    assert root.read_record("absent.json", Latest) is None


def test_a_broken_record_is_corrupt_not_absent(root):
    root.write("p.json", b'{"name": "n", "bui')
    with pytest.raises(CorruptError, match=r"p\.json: not a Latest"):
        root.read_record("p.json", Latest)


def test_adopting_leaves_both_files(root):
    root.write("x/a", b"1234")
    root.adopt("x/a", "y/z/b")
    root.delete("x/a")
    assert root.read("y/z/b") == b"1234"
    assert root.size("x/a") is None


def test_two_builds_that_adopt_one_file_leave_nothing_else(root):
    root.write("x/a", b"1234")
    for _ in range(2):  # rename does nothing where both names are links to one file
        root.adopt("x/a", "y/b")
    assert root.keys("") == {"x/a": 4, "y/b": 4}


def test_arrow_reads_a_file(root):
    table = pa.table({"n": [1, 2, 3]})
    with root.staged("t.arrow") as path, pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    with root.open_arrow("t.arrow") as file:
        assert pa.ipc.open_file(file).read_all() == table


def test_deleting_what_is_not_there_is_fine(root):
    root.delete("nothing/here")
    assert root.keys("nothing") == {}


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a place that even root may not write: Linux's /sys")
def test_a_read_only_root_says_so():
    with pytest.raises(RootError, match=r"warehouse root .*expected a folder or URL that can be written"):
        Root("/sys/revealed").write("a", b"1")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_says_so(tmp_path):
    root = Root(str(tmp_path))
    with pytest.raises(RootError, match="is full"), root.staged("a") as path:
        path.symlink_to("/dev/full")
        with path.open("wb", buffering=0) as file:
            file.write(b"1")


def test_a_root_that_is_a_file_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RootError, match="is not a folder"):
        Root(str(tmp_path / "file")).write("a", b"1")


def test_a_root_travels_between_processes(tmp_path):
    import pickle

    root = Root(str(tmp_path))
    root.write("a", b"1")
    assert pickle.loads(pickle.dumps(root)).read("a") == b"1"


def test_collection_and_build_keep_apart(tmp_path):
    from warehouse.leases import hold_lease

    root = Root(str(tmp_path))
    collect = hold_lease(root, "gc", "collection")
    with (
        hold_lease(root, "one", "build"),
        hold_lease(root, "two", "build"),
        pytest.raises(FatalError, match=r"a build is at work here \((one|two)"),
        collect,
    ):
        pass
    with hold_lease(root, "gc", "collection"):
        pass
    assert root.keys("leases") == {}


def test_the_lease_of_a_killed_process_does_not_block(tmp_path):
    from warehouse.leases import hold_lease, live_leases

    code = (
        "import time; from warehouse.root import Root; from warehouse.leases import hold_lease\n"
        f"with hold_lease(Root({str(tmp_path)!r}), 'b', 'build'):\n print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    root = Root(str(tmp_path))
    assert [lease.holder for lease in live_leases(root)] == ["b"]
    process.kill()
    process.wait()
    process.stdout.close()
    time.sleep(0.1)
    with hold_lease(root, "gc", "collection"):
        assert [lease.holder for lease in live_leases(root)] == ["gc"]
