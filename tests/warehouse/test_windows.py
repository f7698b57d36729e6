from collections import Counter
from itertools import combinations

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.identity import digest, hash64
from schemas.manifest import ReleaseManifest, Shard
from schemas.recipe import Windows
from schemas.signals import CONTINUATION
from warehouse._conflicts import classify, find_alike, sign_suffixes
from warehouse._window_checks import check_shard_windows, check_windows
from warehouse.root import Root
from warehouse.shuffle import ORDER_COLUMNS, order_rows, plan_cuts, take_cut
from warehouse.windows import Deal, _seat_apart, deal_windows, plan_deals

DEAL = Deal("train", (0,), 0, 1)
WORDS = [f"word{n}" for n in range(200)]


def phrase(text, edit):
    """Give one of many texts, of which every edit has .95 of its 5-grams in common, and no other text has any."""
    return " ".join([f"text{text}", *(f"{text}{word}" for word in WORDS[:150]), f"edit{edit}"])


def continuations(documents, texts=None, *, clusters=None, hosts=None, split="train"):
    """Make a row for each document named, block after block of each of 1,000 characters. texts: (text, edit)."""
    count = len(documents)
    texts = texts if texts is not None else [(n, 0) for n in range(count)]
    suffix = [phrase(*text) for text in texts]
    frame = pl.DataFrame({"doc_id": pl.Series([str(document) for document in documents], dtype=pl.String)})
    return frame.with_columns(
        cluster_id=pl.Series([f"c{one}" for one in clusters]) if clusters else pl.format("web/{}", "doc_id"),
        suffix=pl.Series(suffix, dtype=pl.String),
        host=pl.Series([f"{host}.example" for host in hosts]) if hosts else pl.lit("a.example"),
        group_id=pl.format("web/{}", "doc_id"),
        start=pl.int_range(pl.len()).over("doc_id") * 1000,
    ).with_columns(
        uid=digest("doc_id", "start"),
        suffix_key=hash64("suffix"),
        cut=pl.col("start") + 300,
        end=pl.col("start") + 1000,
        prefix=pl.lit("before"),
        split=pl.lit(split),
        hard=pl.lit(None, pl.String),
    )


def as_rows(frame, places=1, splits=("train",), together="uid"):
    placed = order_rows(frame, splits, places, 0, together=together)
    schema = pa.schema([*CONTINUATION, *ORDER_COLUMNS])
    fill = {pa.string(): "", pa.float32(): 1.0, pa.int32(): 0}
    missing = {f.name: pl.lit(None if f.nullable else fill[f.type]) for f in schema if f.name not in placed.columns}
    return placed.with_columns(**missing).select(schema.names).to_arrow().cast(schema)


def windows_of(kept, size, rest=DEAL.rest):
    frame = pl.DataFrame(kept).filter(pl.col("place") != rest)
    assert frame.height % size == 0
    return frame, [frame.slice(start, size).to_dicts() for start in range(0, frame.height, size)]


def shingles(text):
    words = text.split()
    return {tuple(words[at : at + 5]) for at in range(len(words) - 4)}


def faults(left, right):
    """What two rows of a window have in common that they must not: all rules, pair by pair, with exact Jaccard."""
    found = set()
    if left["group_id"] == right["group_id"]:
        first, second = sorted((left, right), key=lambda row: row["start"])
        shorter = min(row["end"] - row["start"] for row in (left, right))
        meant = left["hard"] == right["hard"] == "same_document"
        if not meant or second["start"] - first["end"] < shorter:
            found.add("document")
    elif left["cluster_id"] == right["cluster_id"]:
        found.add("cluster")
    if left["suffix_key"] == right["suffix_key"]:
        found.add("suffix")
    ours, theirs = shingles(left["suffix"]), shingles(right["suffix"])
    if len(ours & theirs) / len(ours | theirs) > 0.5:
        found.add("nearly")
    return found


def all_faults(window):
    return set().union(*(faults(left, right) for left, right in combinations(window, 2)))


crowds = st.integers(0, 90).flatmap(
    lambda count: st.tuples(
        st.lists(st.integers(0, 30), min_size=count, max_size=count),
        st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), min_size=count, max_size=count),
    )
)


def seed_rows(crowd):
    documents, texts = crowd
    return continuations(
        documents, texts, clusters=[one // 2 for one in documents], hosts=[one % 5 for one in documents]
    )


@given(
    crowd=crowds,
    size=st.integers(2, 6),
    hard=st.sampled_from([0.0, 0.5, 1.0]),
    by=st.sampled_from(["same_host", "same_document"]),
    shuffle=st.randoms(use_true_random=False),
)
@settings(max_examples=30)
def test_windows_hold_no_conflict_and_no_row_is_lost_whatever_the_order_of_arrival(crowd, size, hard, by, shuffle):
    rows = as_rows(seed_rows(crowd))
    windows = Windows(size=size, hard=hard, hard_by=by)
    outcome = deal_windows(rows, DEAL, windows)
    assert outcome.tally().rows_in == rows.num_rows
    assert Counter(outcome.kept["uid"].to_pylist() + outcome.dropped["ref"].to_pylist()) == Counter(
        rows["uid"].to_pylist()
    )
    frame, dealt = windows_of(outcome.kept, size)
    assert set().union(*map(all_faults, dealt)) == set()
    assert list(check_windows(frame.to_arrow(), size)) == []
    assert max([sum(row["hard"] is not None for row in window) for window in dealt], default=0) <= round(hard * size)
    order = list(range(rows.num_rows))
    shuffle.shuffle(order)
    again = deal_windows(rows.take(pa.array(order, pa.int64())), DEAL, windows)
    assert again.kept.equals(outcome.kept)


@given(sizes=st.lists(st.integers(1, 25), max_size=25), size=st.integers(2, 8))
@settings(max_examples=25)
def test_there_are_as_many_windows_as_there_can_be(sizes, size):
    documents = [one for one, count in enumerate(sizes) for _ in range(count)]
    outcome = deal_windows(as_rows(continuations(documents)), DEAL, Windows(size=size))
    frame, _ = windows_of(outcome.kept, size)
    possible = (n for n in range(len(documents) // size + 1) if sum(min(count, n) for count in sizes) >= n * size)
    assert frame.height == max(possible) * size


@given(crowd=crowds, size=st.integers(2, 5))
@settings(max_examples=40)
def test_the_check_finds_what_a_look_at_every_pair_finds(crowd, size):
    rows = seed_rows(crowd)
    rows = rows.head(rows.height // size * size).with_columns(
        hard=pl.when(pl.col("start") % 2000 == 0).then(pl.lit("same_document"))
    )
    words = {
        "document": "of document",
        "cluster": "of cluster",
        "suffix": "the suffix of key",
        "nearly": "nearly equal suffixes",
    }
    told = [line for line in check_windows(rows.to_arrow(), size) if "without the hard negatives" not in line]
    windows = [all_faults(rows.slice(start, size).to_dicts()) for start in range(0, rows.height, size)]
    for fault, word in words.items():
        marked = [f"two {'documents' if fault == 'cluster' else 'rows'}", word]
        line = [one for one in told if marked[0] in one and word in one and (fault == "nearly") == ("nearly" in one)]
        count = sum(fault in window for window in windows)
        assert [int(one.split()[0]) for one in line] == ([count] if count else [])


@pytest.fixture
def clean():
    """Six full windows of eight rows, each of a document of its own."""
    return continuations(range(48))


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        ({"group_id": "web/8"}, "1 windows hold two rows of document, such as window 1: web/8"),
        ({"cluster_id": "web/8"}, "1 windows hold two documents of cluster, such as window 1: web/8"),
        ({"suffix": phrase(8, 1)}, "1 windows hold two rows with nearly equal suffixes; one is of document"),
        ({"hard": "same_host"}, "1 windows hold a row without the hard negatives that it claims, of document"),
        ({"group_id": "web/8", "hard": "same_document"}, "two rows of document, such as window 1: web/8"),
    ],
)
def test_a_planted_conflict_is_found(clean, planted, told):
    at = pl.int_range(pl.len()) == 13
    rows = clean.with_columns(
        pl.when(at).then(pl.lit(value)).otherwise(name).alias(name) for name, value in planted.items()
    )
    assert list(check_windows(clean.to_arrow(), 8)) == []
    assert any(told in line for line in check_windows(rows.to_arrow(), 8))


def test_an_equal_suffix_is_found_by_its_key_though_it_has_no_word(clean):
    at = pl.int_range(pl.len())
    rows = clean.with_columns(suffix_key=pl.when(at == 13).then(pl.col("suffix_key").get(8)).otherwise("suffix_key"))
    [line] = check_windows(rows.with_columns(suffix=pl.lit("")).to_arrow(), 8)
    assert line.startswith("1 windows hold two rows with the suffix of key")


def test_blocks_of_one_document_may_meet_only_where_they_lie_apart_and_both_say_so():
    rows = continuations([0, 0, 0, 1]).with_columns(hard=pl.lit("same_document", pl.String))
    near, far = rows[[0, 1]], rows[[0, 2]]
    assert any("two rows of document" in line for line in check_windows(near.to_arrow(), 2))
    assert list(check_windows(far.to_arrow(), 2)) == []
    assert any(
        "two rows of document" in line
        for line in check_windows(far.with_columns(hard=None).cast({"hard": pl.String}).to_arrow(), 2)
    )


CROWD = [0] * 20 + list(range(1, 21))


@pytest.mark.parametrize(
    ("documents", "texts", "clusters"),
    [(CROWD, None, None), (range(40), [(text, 0) for text in CROWD], None), (range(40), None, CROWD)],
    ids=["document", "suffix", "cluster"],
)
def test_rows_beyond_the_number_of_windows_are_dropped_as_crowded(documents, texts, clusters):
    rows = as_rows(continuations(list(documents), texts, clusters=clusters))
    outcome = deal_windows(rows, DEAL, Windows(size=4))
    frame, dealt = windows_of(outcome.kept, 4)
    assert len(dealt) == 6  # 20 single rows and one of the crowd in each
    assert outcome.tally().dropped == {"crowded": 14}
    assert set(outcome.dropped["ref"].to_pylist()).isdisjoint(frame["uid"])
    assert "the 6 windows" in outcome.dropped["detail"][0].as_py()


def test_where_no_window_can_be_filled_all_rows_are_the_rest():
    for documents in ([0] * 100, range(3), []):
        outcome = deal_windows(as_rows(continuations(list(documents))), DEAL, Windows(size=4))
        assert outcome.kept.num_rows == len(documents)
        assert set(outcome.kept["place"].to_pylist()) <= {DEAL.rest}


def test_suffixes_that_the_bands_missed_are_kept_apart_all_the_same():
    mixed = np.random.default_rng(0).permutation(200)
    rows = as_rows(continuations(range(200), [(n // 2, n % 2) for n in mixed]))
    owner, echo = classify(rows, np.zeros((2, 0), np.int64))  # as if no band had found any
    signatures = sign_suffixes(rows["suffix"])
    assert find_alike(signatures, rows["suffix_key"]).shape == (2, 100)
    fits, number, seating = _seat_apart(rows, owner, echo, signatures, Windows(size=20))
    window = seating.window
    assert (fits.all(), number) == (True, 10)
    assert sorted(Counter(window.tolist()).values()) == [20] * 10
    pairs = pl.DataFrame({"window": window, "text": [text.split()[0] for text in rows["suffix"].to_pylist()]})
    assert pairs.group_by("window").agg(pl.col("text").n_unique())["text"].to_list() == [20] * 10


def test_hard_negatives_of_a_host_have_their_share_of_every_window():
    rng = np.random.default_rng(0)
    documents = rng.integers(0, 300, 640).tolist()
    rows = as_rows(continuations(documents, hosts=[document % 7 for document in documents]))
    _, dealt = windows_of(deal_windows(rows, DEAL, Windows(size=16, hard=0.25)).kept, 16)
    assert len(dealt) == 40
    for window in dealt:
        hosts = [row["host"] for row in window if row["hard"] == "same_host"]
        assert (len(hosts), len(set(hosts))) == (4, 1)
        assert all(row["hard"] in {"same_host", None} for row in window)


def test_hard_negatives_of_a_document_lie_apart_in_it():
    rows = as_rows(continuations([n // 8 for n in range(640)]))
    _, dealt = windows_of(deal_windows(rows, DEAL, Windows(size=16, hard=0.25, hard_by="same_document")).kept, 16)
    for window in dealt:
        hard = [row for row in window if row["hard"]]
        assert len(hard) == 4
        assert len({row["group_id"] for row in hard}) == 1
        assert all(abs(left["start"] - right["start"]) >= 2000 for left, right in combinations(hard, 2))
    assert len(dealt) == 40


def test_chance_decides_who_meets():
    frame = continuations(range(400))
    met = []
    for seed in (0, 1):
        placed = order_rows(frame, ["train"], 1, seed)
        rows = (
            as_rows(frame)
            .drop_columns(["order"])
            .append_column(ORDER_COLUMNS[0], placed["order"].to_arrow().cast(pa.uint64()))
        )
        _, dealt = windows_of(deal_windows(rows, DEAL, Windows(size=8)).kept, 8)
        met.append({pair for window in dealt for pair in combinations(sorted(row["uid"] for row in window), 2)})
        neighbours = [abs(int(a["doc_id"]) - int(b["doc_id"])) for w in dealt for a, b in combinations(w, 2)]
        assert 100 < np.mean(neighbours) < 167  # of 400 documents drawn at random: 133
    assert len(met[0] & met[1]) < 0.1 * len(met[0])


def cut_windows(frame, splits, places, size, rows=150, **options):
    """Deal and cut as a build does: by place, by deal, by shard."""
    selected = pl.DataFrame(as_rows(frame, places, splits))
    counts = dict(selected.group_by("place").len().iter_rows())
    deals = plan_deals(counts, splits, places, rows=rows)
    parts = [
        deal_windows(selected.filter(pl.col("place").is_in(deal.places)).to_arrow(), deal, Windows(size=size)).kept
        for deal in deals
    ]
    dealt = pa.concat_tables(parts[::-1])
    counts = dict(pl.DataFrame(dealt).group_by("place").len().iter_rows())
    cuts = plan_cuts(
        counts, splits, places + 1, **{"files": None, "min_rows": 40, "row_groups": 4} | options, window=size
    )
    shards = [
        take_cut(dealt.filter(pa.compute.is_in(dealt["place"], pa.array(cut.places, pa.uint32()))), cut) for cut in cuts
    ]
    return deals, cuts, shards


@given(
    train=st.integers(1, 600),
    test=st.integers(0, 60),
    places=st.sampled_from([1, 4, 16]),
    size=st.integers(2, 9),
    files=st.sampled_from([None, 1, 3]),
)
@settings(max_examples=12)
def test_shards_and_row_groups_are_whole_windows_and_the_rest_is_the_tail(train, test, places, size, files):
    frame = pl.concat(
        [
            continuations([n // 2 for n in range(train)]),
            continuations([10_000 + n for n in range(test)], split="test"),
        ]
    )
    deals, cuts, shards = cut_windows(frame, ["train", "test"], places, size, files=files)
    assert sorted(uid for shard in shards for uid in shard["uid"].to_pylist()) == sorted(frame["uid"])
    for cut, shard in zip(cuts, shards, strict=True):
        assert shard.num_rows == cut.rows
        assert set(shard["split"].to_pylist()) == {cut.split}
        if not cut.tail:
            assert cut.rows % (cut.row_groups * size) == 0
            assert list(check_windows(shard, size)) == []
    for split, documents in (("train", -(-train // 2)), ("test", test)):
        full = [cut.rows for cut in cuts if cut.split == split and not cut.tail]
        assert len(set(full)) <= 1
        assert full or documents < size or sum(deal.split == split for deal in deals) > 1


def test_little_is_left_over():
    _, cuts, _ = cut_windows(continuations(range(3000)), ["train"], 8, 4, files=8)
    assert [(cut.rows, cut.row_groups) for cut in cuts if not cut.tail] == [(372, 3)] * 8
    assert sum(cut.rows for cut in cuts if cut.tail) == 24


def test_deals_take_consecutive_places_of_one_split_and_all_of_them():
    counts = {0: 30, 1: 0, 2: 50, 3: 40, 4: 5, 5: 0, 6: 0, 7: 5}
    deals = plan_deals(counts, ["train", "test"], 4, rows=60)
    assert deals == [
        Deal("train", (0, 2), 0, 4),
        Deal("train", (3,), 3, 4),
        Deal("test", (4, 7), 5, 9),
    ]
    assert plan_deals({}, ["train"], 4) == []


def test_rows_of_one_document_share_a_place_where_it_is_asked():
    rows = as_rows(continuations([n // 8 for n in range(400)]), 16, together="group_id")
    owners = pl.DataFrame(rows).group_by("group_id").agg(pl.col("place").n_unique())
    assert owners["place"].to_list() == [1] * 50
    assert len(set(rows["place"].to_pylist())) > 8


def test_the_shards_of_a_release_are_checked_and_its_tail_is_not(tmp_path):
    rows = as_rows(continuations([n % 6 for n in range(24)])).drop_columns([field.name for field in ORDER_COLUMNS])
    path = tmp_path / "releases" / "web" / "b" / "train" / "part.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(rows, path)
    manifest = ReleaseManifest.model_construct(name="web", build="b", route="web")
    shard = Shard(path="train/part.parquet", split="train", config="", rows=24, row_groups=8, bytes=1, sha256="")

    def check(size, **changed):
        return list(check_shard_windows(Root(str(tmp_path)), manifest, shard.model_copy(update=changed), size))

    assert check(6, row_groups=4) == []
    assert check(6) == ["has row groups of 3 rows, which are no whole windows of 6"]
    assert any("two rows of document" in line for line in check(12, row_groups=2))
    assert check(7, row_groups=1)[-1].startswith("3 windows hold two rows of document, such as window 0")
    assert "has 24 rows, which are no whole windows of 7" in check(7, row_groups=1)
    assert check(12, tail=True) == []
