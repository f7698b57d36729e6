"""Small releases of continuations, made of documents whose words tell which document they are of."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from schemas.fingerprints import fingerprint
from schemas.identity import digest, hash64
from schemas.inputs import Route
from schemas.manifest import FunnelRow
from schemas.outcome import NOTHING_DROPPED, Outcome
from schemas.recipe import Recipe
from schemas.signals import CONTINUATION
from warehouse.partitions import Shape, write_partition
from warehouse.publication import Draft, publish
from warehouse.root import Root
from warehouse.shuffle import Cut

BATCH = 8
SHARDS, PER_SHARD = 2, 32  # two shards of two row groups of two windows each
ROWS = SHARDS * PER_SHARD
TOPICS = [f"{start}{end}" for start in ("bar", "cel", "dov", "fim", "gur", "hod", "jal", "kep") for end in
          ("ata", "eno", "imi", "oru", "usa", "aki", "eli", "ipo")]  # fmt: skip
PLAIN_WORDS = ["the", "a", "of", "and", "to", "is", "in", "we", "let", "then", "for", "with", "so", "that", "this"]


def write_texts(count=ROWS, seed=0):
    """Write texts of documents, each with some words of its own among common ones -> (prefix, suffix) columns."""
    rng = np.random.default_rng(seed)
    texts = []
    for at in range(count):
        own = [TOPICS[at % len(TOPICS)] + ending for ending in ("", "s", "ing", "ed")]
        words = np.where(rng.random(120) < 0.25, rng.choice(own, 120), rng.choice(PLAIN_WORDS, 120))
        texts.append((" ".join(words[:40]), " " + " ".join(words[40:])))
    return pl.DataFrame(texts, schema=["prefix", "suffix"], orient="row")


def make_rows(texts):
    """Make CONTINUATION rows of texts."""
    at = pl.int_range(pl.len())
    lengths = {name: pl.col(name).str.len_chars() for name in ("prefix", "suffix")}
    rows = texts.with_columns(doc_id=pl.format("d{}", at), created_at=pl.lit(None)).with_columns(
        uid=digest("doc_id", "prefix", "suffix"),
        route=pl.lit("web"),
        source=pl.lit("finemath"),
        community=pl.lit("finemath"),
        group_id=pl.format("finemath/{}", "doc_id"),
        cluster_id=pl.format("finemath/{}", "doc_id"),
        license=pl.lit("ODC-By-1.0"),
        split=pl.lit("train"),
        weight=pl.lit(1.0),
        start=pl.lit(0),
        cut=lengths["prefix"],
        end=lengths["prefix"] + lengths["suffix"],
        mode=pl.when(at % 4 == 0).then(pl.lit("sentence")).otherwise(pl.lit("fixed")),
        host=pl.when(at % 2 == 0).then(pl.lit("even.example")).otherwise(pl.lit("odd.example")),
        prefix_tokens=lengths["prefix"] // 4,
        suffix_tokens=lengths["suffix"] // 4,
        suffix_key=hash64(pl.col("suffix").str.strip_chars().str.to_lowercase()),
    )
    missing = [pl.lit(None).alias(name) for name in CONTINUATION.names if name not in rows.columns]
    return rows.with_columns(*missing).select(CONTINUATION.names).to_arrow().cast(CONTINUATION)


def publish_rows(folder, rows: pa.Table, name="math"):
    """Publish rows as equal shards of one split -> (root, manifest)."""
    root = Root(str(folder))
    pieces = [rows.slice(start, PER_SHARD) for start in range(0, rows.num_rows, PER_SHARD)]
    parts = tuple(
        write_partition(
            root,
            "shards",
            fingerprint("shards", number),
            [Outcome(piece, NOTHING_DROPPED, piece.num_rows)],
            Shape(row_groups=2),
            kept_drops=50,
        )
        for number, piece in enumerate(pieces)
    )
    recipe = Recipe.model_validate(
        {"name": name, "inputs": [{"source": "finemath", "path": "finemath"}], "windows": {"size": BATCH}}
    )
    draft = Draft(
        name=name,
        route=Route.WEB,
        recipe=recipe.model_dump(mode="json"),
        code_version="0.1.0",
        cuts=tuple(Cut("train", number, len(pieces), (0,), 0, PER_SHARD, 2) for number in range(len(pieces))),
        parts={"continuations": parts},
        funnel=(FunnelRow(stage="windows", source="web", rows_in=rows.num_rows, rows_out=rows.num_rows, dropped={}),),
        catch_curve=((0.7, 0.5, 0.5),),
        made={"shards": {"web": tuple(part.fingerprint for part in parts)}},
    )
    return root, publish(root, draft)


@contextmanager
def serve(answer):
    """Serve HTTP in a thread. answer: (path, body or None) -> (status, JSON value or text). Gives the base URL."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, body):
            status, value = answer(self.path, body)
            data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            self._answer(None)

        def do_POST(self):
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server():
    """`serve`, for tests that need an HTTP server of their own."""
    return serve


@pytest.fixture
def texts():
    """The texts of the coherent release, `prefix, suffix`."""
    return write_texts()


@pytest.fixture
def release(tmp_path):
    """How a test makes a release of texts of its own -> (root, manifest)."""
    return lambda texts: publish_rows(tmp_path, make_rows(texts))


@pytest.fixture(scope="session")
def coherent(tmp_path_factory):
    """64 rows whose suffixes are of their prefixes' documents."""
    return publish_rows(tmp_path_factory.mktemp("coherent"), make_rows(write_texts()))


@pytest.fixture(scope="session")
def shuffled(tmp_path_factory):
    """The same rows with the suffix of another document each."""
    texts = write_texts()
    moved = texts.with_columns(pl.col("suffix").gather((pl.int_range(pl.len()) * 27 + 5) % pl.len()))
    return publish_rows(tmp_path_factory.mktemp("shuffled"), make_rows(moved))
