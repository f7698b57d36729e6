"""Benchmark files: what the presets read, and how a wrong file is refused."""

import gzip
import json

import polars as pl
import pyarrow as pa
import pytest

from schemas.errors import InputError, RecipeError
from schemas.recipe import Benchmark
from warehouse.decontamination.benchmarks import PRESETS, read_benchmark
from warehouse.decontamination.index import ITEMS, build_index
from warehouse.decontamination.matching import find_overlaps


def read(folder, preset, path, columns=()):
    return read_benchmark(Benchmark(preset=preset, path=path, columns=columns), folder)


def brief(table):
    return [(row["item"], row["part"], row["text"], row["question"]) for row in table.to_pylist()]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "\n".join(json.dumps(row) for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1))
    elif path.suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(path)
    elif path.suffix == ".csv":
        pl.DataFrame(rows).write_csv(path)
    else:
        path.write_text(lines)


QUESTIONS = [{"question": "Who, then?", "answer": "Me.", "idx": 0}, {"question": "Why?\n", "answer": "", "idx": 1}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.jsonl.gz", "a.parquet", "a.csv", "deep/folder/a.ndjson"])
def test_every_format_gives_the_same_items(tmp_path, name):
    write(tmp_path / name, QUESTIONS)
    table = read(tmp_path, "gsm8k", name)
    assert table.schema == ITEMS
    file = name.rsplit("/", 1)[-1]
    assert brief(table) == [
        (f"{file}:0", "question", "Who, then?", True),
        (f"{file}:1", "question", "Why?\n", True),
        (f"{file}:0", "answer", "Me.", False),
    ]


def test_a_folder_gives_all_its_files_and_leaves_others(tmp_path):
    write(tmp_path / "set" / "one" / "multi.json", [{"input": "A", "output_1": "B", "output_2": "C"}])
    write(tmp_path / "set" / "two" / "multi.json", [{"input": "D", "output_1": "E", "output_2": "F"}])
    (tmp_path / "set" / "LICENSE").write_text("MIT")
    table = read(tmp_path, "llmbar", "set")
    assert [row[0] for row in brief(table)] == ["one/multi.json:0"] * 3 + ["two/multi.json:0"] * 3


def test_nested_columns_lists_and_messages_are_read(tmp_path):
    turns = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Yes?"}]
    pairs = [{"conversation_input": turns, "chosen": {"answer": "Good."}, "reject": {"answer": "Bad."}}]
    losers = [{"answer": "x"}, {"answer": "y"}]
    lists = [{"conversation_input": turns, "bon_best": {"answer": "Top."}, "loser_list": losers}]
    write(tmp_path / "rmb" / "pairs.json", pairs)
    write(tmp_path / "rmb" / "best.json", lists)
    texts = [(part, text) for _, part, text, _ in brief(read(tmp_path, "rmb", "rmb"))]
    assert texts == [
        ("conversation_input", "Hi.\n\nYes?"),
        ("bon_best.answer", "Top."),
        ("loser_list.answer", "x"),
        ("loser_list.answer", "y"),
        ("conversation_input", "Hi.\n\nYes?"),
        ("chosen.answer", "Good."),
        ("reject.answer", "Bad."),
    ]
    write(tmp_path / "rm.jsonl", [{"id": 1, "prompt": "P", "chosen": ["a", "b"], "rejected": ["c"]}])
    assert [row[1:3] for row in brief(read(tmp_path, "rm-bench", "rm.jsonl"))] == [
        ("prompt", "P"),
        ("chosen", "a"),
        ("chosen", "b"),
        ("rejected", "c"),
    ]


def test_columns_that_go_by_two_names_are_found_by_either(tmp_path):
    write(tmp_path / "hub.jsonl", [{"problem": "P", "solution": "S", "answer": "A", "level": 1}])
    write(tmp_path / "ours.jsonl", [{"question": "P", "answer": "S"}])
    assert [row[1:3] for row in brief(read(tmp_path, "math-500", "hub.jsonl"))] == [("problem", "P"), ("solution", "S")]
    assert [row[1:3] for row in brief(read(tmp_path, "math-500", "ours.jsonl"))] == [("question", "P"), ("answer", "S")]


def test_custom_reads_the_columns_named(tmp_path):
    write(tmp_path / "mine.jsonl", [{"a": {"b": "deep"}, "c": "d"}])
    table = read(tmp_path, "custom", "mine.jsonl", ("a.b",))
    assert brief(table) == [("mine.jsonl:0", "a.b", "deep", True)]
    assert table["benchmark"].to_pylist() == ["mine.jsonl"]


@pytest.mark.parametrize(
    ("preset", "columns", "said"),
    [
        ("gsmk8", (), "did you mean `gsm8k`"),
        ("custom", (), "needs `columns`"),
        ("gsm8k", ("question",), "goes with `preset: custom`"),
    ],
)
def test_a_wrong_preset_is_refused(tmp_path, preset, columns, said):
    write(tmp_path / "a.jsonl", QUESTIONS)
    with pytest.raises(RecipeError, match=said):
        read(tmp_path, preset, "a.jsonl", columns)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.jsonl", None, "no file of the benchmark `gsm8k` is there"),
        ("notes.txt", "question", "of no kind that is read"),
        ("other.jsonl", '{"prompt": "P", "answer": "A"}', "has no column `question`, but prompt, answer"),
        ("empty.jsonl", "", "empty.jsonl"),
        ("blank.jsonl", '{"question": "  ", "answer": ""}', "holds no text"),
        ("broken.jsonl", '{"question": "P", "ans', "cannot be read as jsonl"),
        ("broken.json", '[{"question": "P"', "cannot be read as json"),
        ("broken.parquet", "PAR1", "cannot be read as parquet"),
        ("broken.jsonl.gz", "not zipped", "cannot be read as jsonl"),
    ],
)
def test_a_missing_broken_or_strange_file_is_refused(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=said):
        read(tmp_path, "gsm8k", name)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"question": [{"role": "user", "text": "Who?"}], "answer": "Me."}], r"holds List\(Struct"),
        ([{"question": {"content": "Who?"}, "answer": "Me."}], r"holds Struct"),
        ([{"question": [{"content": [{"text": "Who?"}]}], "answer": "Me."}], r"holds List\(Struct"),
    ],
)
def test_a_column_that_holds_no_texts_is_refused(tmp_path, rows, said):
    write(tmp_path / "a.jsonl", rows)
    with pytest.raises(InputError, match=rf"a\.jsonl: {said}.* in `question`; expected texts"):
        read(tmp_path, "gsm8k", "a.jsonl")


REAL = {
    "judgebench": ("judgebench", 350 * 3),
    "gsm8k": ("gsm8k/gsm8k_test.jsonl", 1319 * 2),
    "math-500": ("math500/test.jsonl", 500 * 2),
    "llmbar": ("llmbar", 419 * 3),
    "xstest": ("xstest/xstest_prompts.csv", 450),
}


@pytest.fixture(scope="module")
def benchmarks(real_data):
    return pa.concat_tables([read(real_data / "benchmarks", preset, path) for preset, (path, _) in REAL.items()])


def test_the_presets_called_verified_read_the_real_files(benchmarks):
    assert {name for name, preset in PRESETS.items() if preset.verified} == set(REAL)
    counts = pl.DataFrame(benchmarks).group_by("benchmark").len().rows()
    assert dict(counts) == {preset: texts for preset, (_, texts) in REAL.items()}


def test_every_real_question_that_can_be_checked_is_found_as_it_stands(benchmarks):
    index = build_index(benchmarks, ngram=13)
    texts = pl.DataFrame(index.texts).filter(pl.col("question") & (pl.col("size") > 0))
    asked = pl.DataFrame(benchmarks).join(texts, on=["benchmark", "item", "part"], how="semi").gather_every(5)
    rows = asked.select(ref=pl.int_range(pl.len()), text=pl.format("So: {} And so on.", "text")).to_arrow()
    found = pl.DataFrame(find_overlaps(rows, index))
    own = found.join(asked.with_columns(ref=pl.int_range(pl.len())), on=["ref", "benchmark", "item", "part"])
    missed = asked.height - own["ref"].n_unique()
    assert missed == 0
