"""Builds of the web route on generated corpora: from pages to windows of continuations, alone and beside a forum."""

import io
import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from rich.console import Console

from flows.build import Build
from flows.engine import Engine, run_in_turn
from flows.executors import SerialExecutor
from flows.samples import DumpPlan, write_dump
from flows.summary import print_summary
from miners.lessons import write_lesson
from miners.registry import find_source
from schemas.errors import FatalError, InputError, RevealedError
from schemas.recipe import Recipe
from schemas.signals import CONTINUATION
from warehouse._release_checks import check_content
from warehouse._window_checks import check_windows
from warehouse.continuation_statistics import continuation_statistics
from warehouse.garbage import collect_garbage
from warehouse.root import Root
from warehouse.verification import verify_warehouse

SITE = "garden.example.com"
PAGES = 40
WINDOW = 8


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder with FineMath Parquet (an exact copy, and an older crawl of one page planted), pages and a forum."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "finemath").mkdir()
    find_source("finemath").sample(folder / "finemath", PAGES)
    (folder / "pages").mkdir()
    for number in range(9):
        (folder / "pages" / f"sheet-{number}.md").write_text(write_lesson(1000 + number))
    [file] = (folder / "finemath").glob("*.parquet")
    rows = pl.read_parquet(file)
    copy = rows[:1].with_columns(
        url=pl.lit("https://mirror.example/copy.html"), fetch_time=pl.col("fetch_time") - 10**15
    )
    older = rows[1:2].with_columns(text=pl.lit("an older crawl of this page"), fetch_time=pl.col("fetch_time") - 10**15)
    pl.concat([rows, copy, older]).write_parquet(file, row_group_size=16)
    write_dump(folder / SITE, DumpPlan(threads=60, site=SITE))
    return folder


def build(corpus, root, executor=None, *, sources=("finemath", "pages"), folder=None, **changes):
    """Build; answers (manifests by route, engine)."""
    places = {"stackexchange": SITE}
    values = {
        "name": "math",
        "inputs": [{"source": name, "path": places.get(name, name)} for name in sources],
        "blocks": {"prefix": 64, "suffix": 128},
        "windows": {"size": WINDOW},
        "release": {"min_rows": 16},
        "limits": {"max_failure_rate": 0.1},
    }
    recipe = Recipe.model_validate(values | changes)
    engine = Engine(executor or SerialExecutor(), run_in_turn, max_failure_rate=recipe.limits.max_failure_rate)
    manifests = Build(recipe, Root(str(root)), engine, folder or corpus).run()
    return {manifest.route: manifest for manifest in manifests}, engine


@pytest.fixture(scope="module")
def built(corpus, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    manifests, _ = build(corpus, root)
    return manifests["web"], Root(str(root))


def path_of(root, manifest, shard):
    return root.path(f"releases/{manifest.name}/{manifest.build}/{shard.path}")


def rows_of(root, manifest, config="continuations"):
    shards = [shard for shard in manifest.shards if shard.config == config]
    return pl.concat([pl.read_parquet(path_of(root, manifest, shard)) for shard in shards])


def hashes_of(manifest):
    return {shard.path: shard.sha256 for shard in manifest.shards}


def dropped_of(manifest, stage):
    return {
        reason: sum(row.dropped.get(reason, 0) for row in manifest.funnel if row.stage == stage)
        for reason in {reason for row in manifest.funnel if row.stage == stage for reason in row.dropped}
    }


def test_every_stage_balances_and_what_was_planted_is_found(built):
    manifest, _ = built
    for row in manifest.funnel:
        assert row.rows_in == row.rows_out + sum(row.dropped.values()), row
    assert dropped_of(manifest, "documents")["duplicate_id"] == 1
    [copies] = [row for row in manifest.funnel if (row.stage, row.source) == ("dedupe", "finemath")]
    assert copies.dropped == {"exact_duplicate": 1}
    assert dropped_of(manifest, "blocks")["thread_dropped"] >= 1
    released = sum(split.rows + split.tail_rows for split in manifest.splits.values())
    placed = sum(row.rows_out for row in manifest.funnel if row.stage == "windows")
    assert released == placed
    assert sum(row.produced for row in manifest.funnel if row.stage == "blocks") == placed + sum(
        dropped_of(manifest, "windows").values()
    )


def test_no_row_loses_a_character_of_its_document(built, corpus):
    manifest, root = built
    raw = {}
    for row in pl.read_parquet(corpus / "finemath").sort("fetch_time").iter_rows(named=True):
        raw[row["url"]] = row["text"]
    rows = rows_of(root, manifest)
    assert rows.to_arrow().schema.names == CONTINUATION.names
    raw |= {file.name: file.read_text() for file in (corpus / "pages").iterdir()}
    seen = set()
    for row in rows.iter_rows(named=True):
        seen.add(name := row["url"] if row["source"] == "finemath" else row["doc_id"].rpartition("/")[2])
        assert row["prefix"] == raw[name][row["start"] : row["cut"]]
        assert row["suffix"] == raw[name][row["cut"] : row["end"]]
    assert len(seen) > PAGES


def test_no_document_and_no_cluster_stands_in_two_splits(built):
    manifest, root = built
    rows = rows_of(root, manifest)
    for column in ("cluster_id", "group_id"):
        assert rows.group_by(column).agg(pl.col("split").n_unique())["split"].max() == 1
    assert rows["uid"].is_unique().all()


def test_every_shard_holds_whole_windows_without_a_conflict(built):
    manifest, root = built
    shards = [shard for shard in manifest.shards if shard.config == "continuations" and not shard.tail]
    assert len(shards) > 8
    for shard in shards:
        assert shard.rows % WINDOW == 0
        assert shard.rows // shard.row_groups % WINDOW == 0
        assert list(check_windows(pl.read_parquet(path_of(root, manifest, shard)).to_arrow(), WINDOW)) == []


def test_verification_is_clean_and_finds_a_window_with_two_rows_of_a_document(built, tmp_path):
    manifest, root = built
    assert verify_warehouse(root).problems == ()
    shard = next(shard for shard in manifest.shards if shard.config == "continuations" and not shard.tail)
    copy = Root(str(shutil.copytree(root.path(""), tmp_path / "copy")))
    path = Path(path_of(copy, manifest, shard))
    rows = pl.read_parquet(path)
    other = rows.with_columns(pl.col("group_id").first())
    path.unlink()
    pq.write_table(pl.concat([rows[:1], other[1:2], rows[2:]]).to_arrow().cast(CONTINUATION), path)
    [(where, fault)] = check_content(copy, manifest, [shard])
    assert where.endswith(shard.path)
    assert fault.startswith("1 windows hold two rows of document, such as window 0")


def test_both_configs_load_and_stand_side_by_side(built, tmp_path):
    manifest, root = built
    folder = root.path(f"releases/{manifest.name}/{manifest.build}")
    cache = str(tmp_path)
    batches = load_dataset(folder, cache_dir=cache)
    assert {name: split.num_rows for name, split in batches.items()} == {
        name: split.rows for name, split in manifest.splits.items() if split.shards
    }
    train = batches["train"]
    per_shard = manifest.splits["train"].rows_per_shard
    assert train["position"][:per_shard] == [at % WINDOW for at in range(per_shard)]
    every = load_dataset(folder, "continuations", split="train", cache_dir=cache)
    assert every["prefix"][:50] == train["prefix"][:50]


def test_statistics_agree_with_the_rows(built):
    manifest, root = built
    rows = rows_of(root, manifest)
    found = continuation_statistics(root, manifest)
    assert (found.rows, found.documents) == (rows.height, rows["group_id"].n_unique())
    blocks = rows["group_id"].value_counts()["count"]
    assert (found.blocks_per_document.max, found.blocks_per_document.mean) == (
        blocks.max(),
        pytest.approx(blocks.mean()),
    )
    assert found.hosts == rows["host"].n_unique() - rows["host"].has_nulls()
    for name, count in found.largest_hosts.items():
        assert count == (rows["host"] == name).sum()
    assert found.suffix_chars.max == rows["suffix"].str.len_chars().max()
    assert found.prefix_tokens.mean == rows["prefix_tokens"].mean()
    assert sum(part.rows for part in found.communities.values()) == rows.height


def test_another_process_and_another_cutting_of_the_work_change_no_byte(built, corpus, tmp_path):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        manifests, engine = build(corpus, tmp_path, pool, partitions={"slice_mib": 0.02, "bucket_mib": 0.05})
    assert engine.computed["ingest"] > 3
    assert engine.computed["documents"] > 3
    assert hashes_of(manifests["web"]) == hashes_of(built[0])
    assert manifests["web"].funnel == built[0].funnel


def test_a_repeated_build_computes_nothing_and_garbage_keeps_it(built, corpus):
    manifest, root = built
    collect_garbage(root)
    again, engine = build(corpus, root.path(""))
    assert sum(engine.computed.values()) == 0
    assert again["web"] == manifest


def test_a_late_option_recomputes_only_what_is_late(built, corpus, tmp_path):
    _, root = built
    _, engine = build(corpus, root.path(""), name="other", windows={"size": 4})
    assert set(engine.computed) == {"windows", "shards", "project"}


def test_documents_that_are_alike_are_each_other_s_hard_negatives_where_that_is_asked(corpus, tmp_path):
    windows = {"size": WINDOW, "hard": 0.5, "hard_by": "same_document"}
    manifests, _ = build(corpus, tmp_path, sources=("finemath",), windows=windows)
    root = Root(str(tmp_path))
    rows = rows_of(root, manifests["web"])
    assert rows.filter(pl.col("hard") == "same_document").height > WINDOW
    assert verify_warehouse(root).problems == ()


def test_a_forum_and_a_corpus_give_a_release_each_and_a_text_in_both_is_released_once(corpus, tmp_path):
    forum, _ = build(corpus, tmp_path / "forum", sources=("stackexchange",))
    question = rows_of(Root(str(tmp_path / "forum")), forum["forums"], "pairs").sort("uid").row(0, named=True)
    (tmp_path / "crawl").mkdir()
    text = question["prompt"][0]["content"]
    page = {"text": text, "url": question["url"], "id": "copied"}
    other = {
        "text": "Not a word of any garden stands here, but of sums. " * 40,
        "url": "https://a.example/",
        "id": "own",
    }
    (tmp_path / "crawl" / "crawl.jsonl").write_text("\n".join(map(json.dumps, [page, other])))
    inputs = [
        {"source": "pages", "path": str(tmp_path / "crawl"), "name": "crawl"},
        {"source": "finemath", "path": str(corpus / "finemath")},
        {"source": "stackexchange", "path": str(corpus / SITE)},
    ]
    manifests, _ = build(corpus, tmp_path / "both", inputs=inputs)
    assert {manifest.name for manifest in manifests.values()} == {"math-forums", "math-web"}
    root = Root(str(tmp_path / "both"))
    pairs, blocks = rows_of(root, manifests["forums"], "pairs"), rows_of(root, manifests["web"])
    assert question["group_id"] in set(pairs["group_id"])
    [gone] = [row for row in manifests["web"].funnel if (row.stage, row.source) == ("dedupe", "crawl")]
    assert gone.dropped == {"exact_duplicate": 1}
    assert not blocks["group_id"].str.ends_with("copied").any()
    assert {row.source for row in manifests["forums"].funnel} == {SITE, "corpus", "forums"}
    assert {row.source for row in manifests["web"].funnel} == {"finemath", "crawl", "corpus", "web"}
    both = pl.concat([frame.select("cluster_id", "split") for frame in (pairs, blocks)]).unique()
    assert both["cluster_id"].is_unique().all()
    assert verify_warehouse(root).problems == ()
    collect_garbage(root)
    _, engine = build(corpus, tmp_path / "both", inputs=inputs)
    assert sum(engine.computed.values()) == 0
    other, _ = build(corpus, tmp_path / "both", inputs=inputs, dedupe={"prefer": ["web"]})
    assert question["group_id"] not in set(rows_of(root, other["forums"], "pairs")["group_id"])
    assert [row.dropped for row in other["web"].funnel if (row.stage, row.source) == ("dedupe", "crawl")] == [{}]


@pytest.fixture
def benchmark(built, tmp_path):
    """A benchmark file that holds a passage of a released row."""
    manifest, root = built
    row = rows_of(root, manifest).filter(pl.col("source") == "finemath").sort("uid").row(0, named=True)
    (tmp_path / "gsm8k.jsonl").write_text(
        json.dumps({"question": row["prefix"][-80:] + row["suffix"][:160], "answer": "none"})
    )
    return row["uid"]


def summary_of(manifests, root):
    """Print a build's summary; answers its lines up to where it says how to load the release."""
    console = Console(width=200, file=io.StringIO())
    print_summary([manifests["web"]], root, None, console)
    text = console.file.getvalue()
    return text[: text.index("load it:")].strip().splitlines()


def decontaminate(action):
    return {"benchmarks": [{"preset": "gsm8k", "path": "gsm8k.jsonl"}], "action": action}


def test_a_row_that_a_benchmark_holds_is_dropped_or_flagged(built, benchmark, corpus, tmp_path):
    _, root = built
    inputs = [{"source": name, "path": str(corpus / name)} for name in ("finemath", "pages")]
    place = {"folder": tmp_path, "inputs": inputs}
    dropped, _ = build(corpus, root.path(""), **place, name="clean", decontaminate=decontaminate("drop"))
    assert benchmark not in set(rows_of(root, dropped["web"])["uid"])
    gone = dropped_of(dropped["web"], "decontaminate")["contaminated"]
    assert gone >= 1
    assert summary_of(dropped, root)[-1].split() == ["gsm8k", "2", "1", "0", "1", str(gone)]
    flagged, _ = build(corpus, root.path(""), **place, name="flagged", decontaminate=decontaminate("flag"))
    rows = rows_of(root, flagged["web"]).filter(pl.col("contaminated").list.len() > 0)
    assert benchmark in set(rows["uid"])
    assert "gsm8k" in rows["contaminated"][0][0]
    assert summary_of(flagged, root)[-1].split() == ["gsm8k", "2", "1", "0", "1", str(rows.height)]
    (tmp_path / "gsm8k.jsonl").write_text(
        json.dumps({"question": "How many sheep are left in the field?", "answer": "3"})
    )
    other, engine = build(corpus, root.path(""), **place, name="clean", decontaminate=decontaminate("drop"))
    assert summary_of(other, root)[-1].split() == ["gsm8k", "2", "0", "1", "1", "0"]
    assert engine.computed["benchmarks"] == 1
    assert benchmark in set(rows_of(root, other["web"])["uid"])


def test_a_benchmark_that_is_missing_stops_the_build_before_anything_is_read(built, corpus, tmp_path):
    with pytest.raises(InputError, match=r"gsm8k\.jsonl.*no file of the benchmark"):
        build(corpus, tmp_path / "root", decontaminate=decontaminate("drop"))
    assert not (tmp_path / "root" / "stages").exists()


def test_a_forum_s_texts_are_held_against_benchmarks_as_well(corpus, tmp_path):
    place = {
        "sources": ("stackexchange",),
        "folder": tmp_path,
        "inputs": [{"source": "stackexchange", "path": str(corpus / SITE)}],
    }
    plain, _ = build(corpus, tmp_path / "root", **place)
    root = Root(str(tmp_path / "root"))
    row = rows_of(root, plain["forums"], "pairs").sort("uid").row(0, named=True)
    (tmp_path / "gsm8k.jsonl").write_text(json.dumps({"question": row["chosen"][0]["content"], "answer": "none"}))
    clean, _ = build(corpus, tmp_path / "root", **place, name="clean", decontaminate=decontaminate("drop"))
    assert row["chosen_id"] not in set(rows_of(root, clean["forums"], "pairs")["chosen_id"])
    assert verify_warehouse(root).problems == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": {"tokenizer": "absent.json"}}, r"absent\.json"),
        ({"blocks": {"mode": "random"}}, r"`blocks\.prefix_range`"),
        ({"documents": {"model": "absent"}}, r"absent"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_read(corpus, tmp_path, changes, message):
    with pytest.raises(RevealedError, match=message):
        build(corpus, tmp_path / "root", **changes)
    assert not (tmp_path / "root" / "stages").exists()


def test_too_few_rows_for_a_window_are_told(corpus, tmp_path):
    with pytest.raises(FatalError, match=r"rows that are left \(\d+ of train.*\) fill no window .* add documents"):
        build(corpus, tmp_path, sources=("pages",), windows={"size": 1000})


def test_a_split_without_a_window_is_told_in_the_summary(built, corpus):
    _, root = built
    splits = {"train": 0.94, "validation": 0.03, "test": 0.03}
    manifests, _ = build(corpus, root.path(""), name="few", splits=splits)
    left = {name: split.tail_rows for name, split in manifests["web"].splits.items() if not split.shards}
    assert 0 < len(left) < 3
    warnings = [line for line in summary_of(manifests, root) if "fill no window" in line]
    assert [line.partition(",")[0] for line in warnings] == [
        f"split {name}: its {rows} rows fill no window" for name, rows in left.items()
    ]


def test_a_corpus_that_gives_no_block_says_why(corpus, tmp_path):
    with pytest.raises(FatalError, match=r"math: no row is left to release; dropped: .*9 no_block"):
        build(corpus, tmp_path, sources=("pages",), blocks={"prefix": 100_000})
