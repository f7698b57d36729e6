"""All real dumps through one recipe, against an oracle that knows only ElementTree and itertools."""

import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from itertools import combinations

import polars as pl
import pytest

from flows.build import Build
from flows.engine import Engine, run_in_turn
from flows.executors import SerialExecutor
from schemas.recipe import Recipe
from warehouse.partitions import find_partition, read_partition
from warehouse.root import Root


@pytest.fixture(scope="module")
def dumps(real_data):
    folder = real_data / "stackexchange"
    return {path.parent.name: path for path in sorted(folder.glob("*/Posts.xml"))}


@pytest.fixture(scope="module")
def built(dumps, tmp_path_factory):
    root = Root(str(tmp_path_factory.mktemp("real")))
    folder = next(iter(dumps.values())).parent.parent
    recipe = Recipe.model_validate(
        {
            "name": "real",
            "inputs": [{"source": "stackexchange", "path": str(folder)}],
            "pairs": {"max_per_thread": 100_000},
            "release": {"min_rows": 100},
        }
    )
    engine = Engine(SerialExecutor(), run_in_turn)
    [manifest] = Build(recipe, root, engine, folder).run()
    return manifest, engine, root


def read_threads(path):
    """{question id: {answer id: (score with acceptance, votes)}} of all threads with a question; and what else."""
    questions, answers, other = {}, defaultdict(dict), 0
    for _, row in ET.iterparse(path):
        if row.tag != "row":
            continue
        kind = row.get("PostTypeId")
        if kind == "1":
            questions[row.get("Id")] = row.get("AcceptedAnswerId")
        elif kind == "2":
            answers[row.get("ParentId")][row.get("Id")] = int(row.get("Score"))
        else:
            other += 1
        row.clear()
    threads = {
        question: {ident: (score + (ident == accepted), score) for ident, score in answers.get(question, {}).items()}
        for question, accepted in questions.items()
    }
    orphans = sum(len(own) for question, own in answers.items() if question not in questions)
    return threads, other, orphans


def naive_pairs(threads):
    """Those that differ in votes or acceptance: the chosen one is ahead in score; of equal scores, in votes."""
    return {
        (a, b) if own[a] > own[b] else (b, a)
        for own in threads.values()
        for a, b in combinations(own, 2)
        if own[a] != own[b]
    }


def stored(built, stage, source):
    _, engine, root = built
    parts = engine.made[stage][source]
    assert all(find_partition(root, stage, part.fingerprint) == part for part in parts)
    return pl.concat([pl.DataFrame(read_partition(root, part)) for part in parts])


def test_the_pair_store_equals_the_oracle(built, dumps):
    for source, path in dumps.items():
        threads, _, _ = read_threads(path)
        pairs = stored(built, "pairs", source)
        assert set(zip(pairs["chosen_id"], pairs["rejected_id"], strict=True)) == naive_pairs(threads), source
        assert pairs.height == len(naive_pairs(threads))


def test_the_funnel_equals_the_oracle(built, dumps):
    funnel = {(row.stage, row.source): row for row in built[0].funnel}
    for source, path in dumps.items():
        threads, other, orphans = read_threads(path)
        few = {question for question, own in threads.items() if len(own) < 2}
        tied = {question for question, own in threads.items() if len(own) > 1 and len(set(own.values())) == 1}
        expected = Counter(too_few_replies=0, all_tied=0)
        for question in few | tied:
            expected["too_few_replies" if question in few else "all_tied"] += 1 + len(threads[question])
        posts_only = stored_kinds(built, source)
        assert funnel["ingest", source].dropped.get("not_a_post", 0) == other
        assert funnel["threads", source].dropped.get("orphan_reply", 0) == orphans
        assert posts_only == sum(1 + len(own) for question, own in threads.items() if question not in few | tied)
        assert funnel["pairs", source].produced == len(naive_pairs(threads))


def stored_kinds(built, source):
    """Questions and answers that went on."""
    return stored(built, "threads", source).filter(pl.col("kind") != "comment").height


def ordered_pairs(own):
    """Pairs of one thread that WorldPM orders: (chosen, rejected) by score with acceptance."""
    return {(a, b) for a in own for b in own if own[a][0] > own[b][0]}


def test_worldpm_takes_one_pair_of_every_thread_that_dedupe_kept(built, dumps):
    """Save threads that have none left: all tie, or the site's other snapshot has them the other way round."""
    manifest, _, _ = built
    threads = {source: read_threads(path)[0] for source, path in dumps.items()}
    expected = {}
    for source, own in threads.items():
        site = source.rpartition("-20")[0]
        others = [other for name, other in threads.items() if name != source and name.startswith(site)]
        kept = stored(built, "dedupe", source).filter("kept")["group_id"].str.split("/").list.last()
        left = 0
        for question in kept:
            opposed = {(b, a) for other in others for a, b in ordered_pairs(other.get(question, {}))}
            left += bool(ordered_pairs(own[question]) - opposed)
        expected[source] = left
    found = {row.source: row.rows_out for row in manifest.funnel if row.stage == "draw"}
    assert found == expected
    assert sum(split.rows + split.tail_rows for split in manifest.splits.values()) == sum(expected.values())


def test_the_later_snapshot_of_a_site_wins(built, dumps):
    old, new = "beer.stackexchange.com-2016-12", "beer.stackexchange.com-2017-03"
    before, after = stored(built, "dedupe", old), stored(built, "dedupe", new)
    both = before.join(after, on="group_id", suffix="_new")
    assert both.height > 300
    assert not both["kept"].any()
    assert both["kept_new"].all()
    assert (both["cluster_id"] == both["cluster_id_new"]).all()
    assert set(both["reason"]) == {"same_thread"}


def test_votes_apart_add_up_to_the_score(built, dumps):
    """Posts.Score is a running total and Votes.xml a log: they may differ a little, not much."""
    source = "beer.stackexchange.com-2016-12"
    posts = stored(built, "threads", source).filter(pl.col("kind") != "comment")
    gap = (posts["upvotes"] - posts["downvotes"] - posts["score"]).abs()
    assert (gap == 0).mean() > 0.95


def test_authors_are_named_where_the_dump_names_them(built, dumps):
    posts = stored(built, "threads", "quantumcomputing.stackexchange.com-2018-09")
    named = posts.filter(pl.col("author").is_not_null())
    assert named["author_name"].is_not_null().mean() > 0.99
    assert named["author"].str.contains(r"^[0-9a-f]{32}$").all()
