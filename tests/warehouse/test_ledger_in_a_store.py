"""The ledger on a real S3 API (moto's server, on loopback), shared by processes."""

import subprocess
import sys
from collections.abc import Iterator

import fsspec
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer

from warehouse import ledger as module
from warehouse._answer_logs import list_logs
from warehouse.ledger import Ledger, open_ledger
from warehouse.root import open_root

WRITER = """
import os, sys, pyarrow as pa
from datetime import UTC, datetime
from schemas.judging import ANSWER
from warehouse import ledger as module
from warehouse.root import open_root
root, name, rows, how = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
module._STORE_ROWS, module._MOST_SEGMENTS = 5, 3
row = dict(judge="j", rubric="r/1", model="m", state="ok", answer="4", probs=[0.5], seconds=0.1, tries=1,
           answered_at=datetime.now(UTC))
with module.open_ledger(open_root(root)).writer() as writer:
    for number in range(rows):
        writer.append(pa.Table.from_pylist([row | {"key": f"{name}-{number}"}], ANSWER))
    if how == "dies":
        os._exit(9)
"""


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("machine")))
        patch.setattr("tempfile.tempdir", None)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3").clear_instance_cache()
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir("answers")
        yield open_ledger(open_root("s3://answers/warehouse"))
    fsspec.filesystem("s3").clear_instance_cache()
    server.stop()


def write(ledger: Ledger, name: str, rows: int, how: str = "ends") -> None:
    command = [sys.executable, "-c", WRITER, ledger.root.url, name, str(rows), how]
    assert subprocess.run(command, check=False).returncode == (9 if how == "dies" else 0)


def count(ledger: Ledger, name: str, rows: int) -> int:
    return ledger.find(pa.array([f"{name}-{number}" for number in range(rows)])).num_rows


def test_what_others_write_and_merge_is_seen_by_one_who_looked_before(ledger: Ledger) -> None:
    write(ledger, "first", 12)
    assert count(ledger, "first", 12) == 12
    write(ledger, "second", 60)  # merges what is there meanwhile
    assert count(ledger, "first", 12) == 12
    assert count(ledger, "second", 60) == 60
    assert len(ledger.root.keys("ledger/segments")) <= 8


def test_a_reader_whose_segments_are_merged_under_it_misses_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ledger, "under", 23)
    monkeypatch.setattr(module, "_MOST_SEGMENTS", 1)
    seen: set[str] = set()
    for number, table in enumerate(ledger._tables(["key"])):
        seen |= set(table["key"])
        if number == 0:
            ledger.merge()
    assert {f"under-{number}" for number in range(23)} <= seen


def test_what_a_dead_process_kept_on_this_machine_is_read_and_uploaded(ledger: Ledger) -> None:
    write(ledger, "dead", 8, how="dies")
    assert len(list_logs(ledger.root)) == 1
    assert count(ledger, "dead", 8) == 8
    ledger.compact()
    assert not list_logs(ledger.root)
    assert count(ledger, "dead", 8) == 8
