"""A forum's threads beside a crawl of the same forum's pages: of each thread one copy is released, on one route."""

import re
from collections import Counter
from html import escape
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from flows.build import Build
from flows.engine import Engine, run_in_turn
from flows.executors import SerialExecutor
from flows.samples import DumpPlan, write_dump
from miners.lessons import write_lesson
from schemas.recipe import Recipe
from warehouse.partitions import read_partition
from warehouse.publication import release_folder
from warehouse.root import Root
from warehouse.verification import verify_warehouse

SITE = "garden.example.com"
STRANGERS = 12

HEAD = """<!DOCTYPE html><html><head><title>{title} - Garden</title></head><body>
<nav><a href="/">Home</a> <a href="/questions">Questions</a> <a href="/tags">Tags</a> <a href="/users">Users</a></nav>
<p>The Garden is a question and answer site for people who grow things. It only takes a minute to sign up.</p>
<h1>{title}</h1><p>Asked by someone, viewed 112 times</p>"""
FOOT = "<footer><p>Not the answer you're looking for? Browse other questions tagged garden.</p></footer></body></html>"


def write_pages(posts, folder):
    """Write questions of a dump with all of their answers as pages that a crawler would find; one of four it misses."""
    rows = [row.attrib for row in ET.parse(posts).getroot()]
    found = (row for row in rows if row["PostTypeId"] == "1" and int(row["Id"]) % 4)
    for question in found:
        answers = [row["Body"] for row in rows if row.get("ParentId") == question["Id"]]
        body = "".join(f"<h2>Answer</h2>{answer}<p>Share Improve this answer</p>" for answer in answers)
        page = HEAD.format(title=escape(question["Title"])) + question["Body"] + body + FOOT
        (folder / f"{question['Id']}.html").write_text(page)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder with a dump, a crawl of its pages, and among them pages that have nothing to do with it."""
    folder = tmp_path_factory.mktemp("corpus")
    write_dump(folder / SITE, DumpPlan(threads=90, site=SITE, dirty=False, near_duplicates=0))
    (folder / "crawl").mkdir()
    write_pages(folder / SITE / "Posts.xml", folder / "crawl")
    for number in range(STRANGERS):
        page = HEAD.format(title=f"Sheet {number}") + f"<p>{escape(write_lesson(number))}</p>" + FOOT
        (folder / "crawl" / f"sheet-{number}.html").write_text(page)
    return folder


def build(corpus, root, **changes):
    """Build; answers (manifests by route, engine)."""
    values = {
        "name": "garden",
        "inputs": [
            {"source": "stackexchange", "path": SITE},
            {"source": "pages", "path": "crawl", "options": {"license": "CC-BY-SA-4.0"}},
        ],
        "blocks": {"prefix": 32, "suffix": 64},
        "windows": {"size": 4},
        "release": {"min_rows": 8},
    }
    engine = Engine(SerialExecutor(), run_in_turn)
    manifests = Build(Recipe.model_validate(values | changes), Root(str(root)), engine, corpus).run()
    return {manifest.route: manifest for manifest in manifests}, engine


@pytest.fixture(scope="module", params=[("forums", "web"), ("web", "forums")], ids="-before-".join)
def built(request, corpus, tmp_path_factory):
    """(manifests, engine, root, the preferred route first)."""
    root = tmp_path_factory.mktemp("root")
    manifests, engine = build(corpus, root, dedupe={"prefer": request.param})
    return manifests, engine, Root(str(root)), request.param


def decisions_of(engine, root):
    """What dedupe decided on every group, with its route and the number in its name: a thread's, or a page's."""
    made = engine.made["dedupe"].items()
    tables = [pl.DataFrame(read_partition(root, part)).with_columns(entry=pl.lit(e)) for e, ps in made for part in ps]
    number = pl.col("group_id").str.extract(r"/(\d+)(\.html)?$").cast(pl.Int64)
    route = pl.when(pl.col("entry") == SITE).then(pl.lit("forums")).otherwise(pl.lit("web"))
    return pl.concat(tables).with_columns(number=number, route=route)


def twins_of(decisions):
    """Threads and the pages that repeat them, one row each: what is of the thread, and `_right` of its page."""
    threads = decisions.filter(route="forums")
    return threads.join(decisions.filter(route="web"), on="number")


def released_of(root, manifest, config):
    shards = [shard for shard in manifest.shards if shard.config == config]
    folder = release_folder(manifest)
    return set(pl.concat([pl.read_parquet(root.path(f"{folder}/{s.path}")) for s in shards])["group_id"])


def of_dedupe(manifest):
    return [row for row in manifest.funnel if row.stage == "dedupe"]


def test_every_page_falls_into_the_cluster_of_its_thread_and_the_preferred_survives(built):
    _, engine, root, (first, second) = built
    decisions = decisions_of(engine, root)
    twins = twins_of(decisions)
    assert twins.height > 30
    assert (twins["cluster_id"] == twins["cluster_id_right"]).all()
    assert twins["cluster_id"].is_unique().all()
    assert (twins["cluster_size"] == 2).all()
    kept = {"forums": twins["kept"], "web": twins["kept_right"]}
    assert kept[first].all()
    assert not kept[second].any()
    repeated = pl.concat([twins["ref"], twins["ref_right"]]).implode()
    alone = decisions.filter(~pl.col("ref").is_in(repeated))
    assert alone.height >= STRANGERS
    assert alone["kept"].all()


def test_only_the_survivors_are_released(built):
    manifests, engine, root, (first, _) = built
    twins = twins_of(decisions_of(engine, root))
    pairs = released_of(root, manifests["forums"], "pairs")
    blocks = released_of(root, manifests["web"], "continuations")
    threads, pages = set(twins["group_id"]), set(twins["group_id_right"])
    assert (pairs & threads == set()) == (first == "web")
    assert (blocks & pages == set()) == (first == "forums")
    assert any("sheet" in page for page in blocks)


def test_the_funnel_balances_and_counts_what_was_contained(built):
    manifests, engine, root, _ = built
    twins = twins_of(decisions_of(engine, root)).height
    for manifest in manifests.values():
        for row in manifest.funnel:
            assert row.rows_in == row.rows_out + sum(row.dropped.values()), row
        assert sum(row.produced for row in manifest.funnel if row.stage == "contained") == twins
        card = root.read(f"{release_folder(manifest)}/README.md").decode()
        assert "where 80% of the shingles of one stand in the other" in card
        assert re.search(rf"\| contained \| corpus \|[^\n]* \| {twins} \|", card)
    dropped = Counter()
    for row in (row for manifest in manifests.values() for row in of_dedupe(manifest)):
        dropped.update(row.dropped)
    assert sum(dropped.values()) == twins
    assert verify_warehouse(root).problems == ()


def test_neither_partition_sizes_nor_the_buckets_of_dedupe_change_a_byte(built, corpus, tmp_path, monkeypatch):
    manifests, _, _, prefer = built
    monkeypatch.setattr("flows.duplicates._GROUPS_A_BUCKET", 50)
    small = {"slice_mib": 0.15, "bucket_mib": 0.15}
    again, engine = build(corpus, tmp_path, dedupe={"prefer": prefer}, partitions=small)
    assert engine.computed["shingles"] > 3
    assert engine.computed["contained"] > 3
    for route, manifest in manifests.items():
        assert {s.path: s.sha256 for s in again[route].shards} == {s.path: s.sha256 for s in manifest.shards}
        assert of_dedupe(again[route]) == of_dedupe(manifest)


def test_without_containment_the_pages_stay(corpus, tmp_path):
    _, engine = build(corpus, tmp_path, dedupe={"containment": None})
    assert "contained" not in engine.made
    assert decisions_of(engine, Root(str(tmp_path)))["kept"].all()


def test_a_build_of_one_route_has_no_step_for_it_and_nothing_of_it_in_a_fingerprint(corpus, tmp_path):
    inputs = [{"source": "stackexchange", "path": SITE}]
    _, engine = build(corpus, tmp_path, inputs=inputs)
    assert not {"shingles", "overlaps", "measured", "contained"} & set(engine.made)
    _, again = build(corpus, tmp_path, inputs=inputs, dedupe={"containment": None, "prefer": ["web"]})
    assert sum(again.computed.values()) == 0
