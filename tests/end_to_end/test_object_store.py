"""A whole build on a real S3 API (moto's server, on loopback), in this process and in others."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from schemas.errors import RootError, TransientError
from warehouse.garbage import collect_garbage
from warehouse.root import Root
from warehouse.verification import verify_warehouse

SITE = "garden.example.com"


@pytest.fixture(scope="module")
def bucket():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fs = fsspec.filesystem("s3", skip_instance_cache=True)
        fs.mkdir("corpora")
        yield "s3://corpora/warehouse"
    server.stop()


def test_the_same_bytes_as_on_a_disk(bench, bucket, hashes):
    local, _ = bench.build(SITE, root="beside-s3")
    remote, engine = bench.build(SITE, root=bucket)
    assert hashes(remote) == hashes(local)
    _, again = bench.build(SITE, root=bucket)
    assert sum(again.computed.values()) == 0
    assert engine.computed["ingest"] == 1


def test_processes_share_the_store(bench, bucket, hashes):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        shared, engine = bench.build(SITE, root=f"{bucket}-2", executor=pool)
    assert engine.computed["threads"] == 1
    assert hashes(shared) == hashes(bench.build(SITE, root="beside-s3")[0])


def test_a_bucket_that_is_not_there_is_the_users_mistake(bucket):
    with pytest.raises(RootError, match=r"s3://elsewhere/w: there is no such bucket"):
        Root("s3://elsewhere/w").write("a", b"1")


def test_a_server_that_does_not_answer_is_transient(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.filesystem("s3").clear_instance_cache()
    with pytest.raises(TransientError, match="s3://corpora/w"):
        Root("s3://corpora/w").write("a", b"1")
    fsspec.filesystem("s3").clear_instance_cache()


def test_it_verifies_and_collects(bench, bucket):
    bench.build(SITE, root=bucket)
    root = Root(bucket)
    assert not verify_warehouse(root, None).problems
    root.write("stages/pairs/zz/zz.arrow", b"left behind")
    assert collect_garbage(root).files == 1
    assert not verify_warehouse(root, None).problems
