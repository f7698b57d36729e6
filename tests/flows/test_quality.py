"""Training a classifier: what it is trained on, that it works, that its bytes are the same, and what is refused."""

import hashlib
import json
import os
from itertools import product
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
import yaml
from click.testing import CliRunner

from flows.quality import train_quality
from flows.quality_commands import quality
from flows.quality_texts import read_corpus
from miners.text.quality import read_manifest, score_quality
from miners.web.mining.documents import filter_documents
from schemas.errors import InputError, RecipeError
from schemas.inputs import DOCUMENT
from schemas.quality import QualityRecipe
from schemas.recipe import Documents
from schemas.sections import read_section

WHAT = ("group", "ring", "space", "module", "sheaf", "scheme", "field")
WHOSE = ("kernel", "image", "closure", "quotient", "product", "limit", "dual")
HOW = ("$x^2 = y$", "$f \\colon A \\to B$", "$\\sum_i a_i = 0$")
DRINK = ("tea", "coffee", "beer", "juice", "water", "cider", "milk")
WHO = ("my friend", "a waiter", "the barman", "some guy", "my boss", "her aunt", "nobody")
WHEN = ("yesterday", "after lunch", "last summer")

MATHS = [
    f"Let X be a {a}. By hypothesis {c}, thus the {b} of X is trivial. This proves lemma."
    for a, b, c in product(WHAT, WHOSE, HOW)
]
TALK = [
    f"Honestly I had {a} with {b} {c} and it was great, you should try some of it too!"
    for a, b, c in product(DRINK, WHO, WHEN)
]
SMALL = {"dim": 8, "buckets": 1000, "epochs": 5}


def write_recipe(folder: Path, **changes: object) -> Path:
    """Write texts of each format, and the recipe that reads them."""
    (folder / "maths.tex").write_text("\n\n".join(MATHS))
    (folder / "talk.jsonl").write_text(
        "\n".join(json.dumps({"turns": [{"say": text}, {"say": None}]}) for text in TALK)
    )
    values = {
        "name": "maths",
        "positives": [{"path": "maths.tex"}],
        "negatives": [{"path": "talk.jsonl", "column": "turns.say", "name": "talk"}],
        "min_chars": 20,
        "classifier": SMALL,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values | changes))
    return path


def corpus_of(folder: Path, **changes: object) -> pl.DataFrame:
    return read_corpus(read_section(QualityRecipe, write_recipe(folder, **changes)), folder).texts


def count(texts: pl.DataFrame, **where: object) -> int:
    return texts.filter(**where).height


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_quality(write_recipe(tmp_path_factory.mktemp("quality")))[0]


def test_it_tells_unseen_texts_apart(trained: Path):
    texts = ["Let Y be a ring, then the dual of Y is trivial, $y = 0$.", None, " ", "I had a beer with my aunt, great!"]
    scores = score_quality(pl.Series("text", texts), str(trained))
    assert scores.dtype == pl.Float32
    assert scores[0] > 0.9
    assert scores[3] < 0.2
    assert scores[1:3].to_list() == [None, None]
    assert score_quality(pl.Series([], dtype=pl.String), trained).len() == 0


def test_the_manifest_says_what_was_made_of_what(trained: Path):
    manifest = read_manifest(trained)
    assert hashlib.sha256((trained / manifest.model).read_bytes()).hexdigest() == manifest.model_sha256
    maths, talk = manifest.inputs["maths.tex"], manifest.inputs["talk"]
    assert maths.files == {"maths.tex": hashlib.sha256((trained.parent / "maths.tex").read_bytes()).hexdigest()}
    for item in (maths, talk):
        assert item.texts == 147 == item.train + item.held_out + sum(item.dropped.values())
        assert item.train == min(maths.train + maths.dropped.get("not_drawn", 0), talk.train)
    assert (maths.held_out, talk.held_out) == (manifest.metrics.positives, manifest.metrics.negatives)
    assert manifest.metrics.auc > 0.99
    assert maths.accepted > 0.9
    assert talk.accepted < 0.1


def test_the_card_shows_the_figures(trained: Path):
    card, metrics = (trained / "README.md").read_text(), read_manifest(trained).metrics
    assert f"AUC {metrics.auc:.4f}" in card
    assert "| maths.tex | positive | 147 |" in card
    assert card.count("\n| 0.") == len(metrics.curve)


def test_the_same_recipe_gives_the_same_bytes_and_another_seed_does_not(trained: Path, tmp_path: Path):
    again, _ = train_quality(write_recipe(tmp_path))
    other, _ = train_quality(write_recipe(tmp_path, name="other", seed=1))
    names = sorted(path.name for path in trained.iterdir())
    assert names == ["README.md", "manifest.json", "model.bin"]
    for name in names:
        assert (again / name).read_bytes() == (trained / name).read_bytes()
    assert (other / "model.bin").read_bytes() != (trained / "model.bin").read_bytes()


def test_documents_are_filtered_by_it(trained: Path):
    rows = [{"source": "s", "doc_id": str(at), "text": text} for at, text in enumerate([MATHS[0], TALK[0]])]
    documents = pa.Table.from_pylist(rows, DOCUMENT)
    outcome = filter_documents(documents, Documents(model="maths", min_model_score=0.5), model=str(trained))
    assert outcome.kept["doc_id"].to_pylist() == ["0"]
    assert outcome.tally().dropped == {"low_quality": 1}


def test_a_model_that_is_not_the_trained_one_is_refused(trained: Path, tmp_path: Path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in trained.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "model.bin").write_bytes((trained / "model.bin").read_bytes()[:-1])
    with pytest.raises(InputError, match="differs from its manifest"):
        score_quality(pl.Series(["x"]), folder)


def test_each_text_has_one_part_and_copies_stand_on_one_side(tmp_path: Path):
    (tmp_path / "more.txt").write_text("\n".join([*MATHS[:30], TALK[0], "short", "", MATHS[0].upper()]))
    positives = [{"path": "maths.tex"}, {"path": "more.txt", "unit": "lines"}]
    texts = corpus_of(tmp_path, positives=positives)
    assert texts["part"].null_count() == 0
    assert count(texts, input="more.txt") == 34
    assert count(texts, input="more.txt", part="copy") == 31
    assert count(texts, part="too_short") == 2
    assert count(texts, part="in_both") == 2
    assert count(texts, part="train", positive=True) == count(texts, part="train", positive=False)
    used = texts.filter(pl.col("part").is_in(["train", "held_out", "not_drawn"]))
    assert used["words"].is_unique().all()


def test_a_text_that_is_too_short_makes_no_other_a_copy(tmp_path: Path):
    (tmp_path / "a.txt").write_text("tiny words\n" + "tiny    words" + " " * 30)
    (tmp_path / "b.txt").write_text("only tea\nonly    tea" + " " * 30)
    positives = [{"path": "a.txt", "unit": "lines"}, {"path": "b.txt", "unit": "lines"}]
    (tmp_path / "c.txt").write_text("only tea")
    texts = corpus_of(tmp_path, positives=positives, negatives=[{"path": "c.txt"}])
    assert count(texts, part="too_short") == 3
    assert count(texts, part="copy") == count(texts, part="in_both") == 0


def test_only_the_pattern_is_a_glob_not_the_folder(tmp_path: Path):
    folder = tmp_path / "my [data]"
    folder.mkdir()
    texts = corpus_of(folder, positives=[{"path": "*.tex"}])
    assert count(texts, input="*.tex") == 147


def test_adding_texts_moves_none_between_the_parts(tmp_path: Path):
    before = corpus_of(tmp_path).filter(pl.col("part") == "held_out")["words"]
    (tmp_path / "more.md").write_text("\n\n".join(text.replace("X", "Y") for text in MATHS))
    after = corpus_of(tmp_path, positives=[{"path": "maths.tex"}, {"path": "more.md"}])
    assert set(before) <= set(after.filter(pl.col("part") == "held_out")["words"])


def test_inputs_may_only_train_or_only_evaluate(tmp_path: Path):
    (tmp_path / "more.md").write_text("\n\n".join(text.replace("X", "Y") for text in MATHS))
    positives = [{"path": "maths.tex", "use": "train"}, {"path": "more.md", "use": "evaluate"}]
    texts = corpus_of(tmp_path, positives=positives)
    assert count(texts, input="maths.tex", part="held_out") == 0
    assert count(texts, input="more.md", part="held_out") == 147


def test_tables_of_each_format_give_the_same_texts(tmp_path: Path):
    frame = pl.DataFrame({"text": MATHS, "other": range(len(MATHS))})
    frame.write_parquet(tmp_path / "a.parquet")
    frame.write_ipc(tmp_path / "b.arrow")
    frame.write_ndjson(tmp_path / "c.ndjson")
    (tmp_path / "d.txt").write_text("\r\n".join(MATHS), newline="")
    plain = corpus_of(tmp_path).filter("positive")["words"]
    for name in ("a.parquet", "b.arrow", "c.ndjson", "d.txt"):
        texts = corpus_of(tmp_path, positives=[{"path": name, "unit": "lines"}])
        assert texts.filter("positive")["words"].equals(plain)


def test_a_glob_and_a_whole_file(tmp_path: Path):
    for at, text in enumerate(MATHS):
        (tmp_path / f"{at}.md").write_text(f"# One\n\n{text}")
    texts = corpus_of(tmp_path, positives=[{"path": "*.md", "unit": "file"}])
    assert count(texts, positive=True) == 147


REFUSED = {
    "no file": ({"path": "absent.txt"}, "is not there; expected a file, or a glob"),
    "kind": ({"path": "x.pdf"}, r"unknown kind; expected one of .txt, .md"),
    "column": ({"path": "talk.jsonl", "column": "turn"}, "has no column `turn`.*did you mean `turns`"),
    "field": ({"path": "talk.jsonl", "column": "turns.says"}, r"has no `turns.says`"),
    "not texts": ({"path": "talk.jsonl", "column": "turns"}, r"holds Struct.* in `turns`; expected texts"),
    "not UTF-8": ({"path": "bad.txt"}, "cannot be read .*utf-8"),
    "not Parquet": ({"path": "bad.parquet"}, r"cannot be read .*expected a .parquet file"),
}


@pytest.mark.parametrize(("texts", "message"), REFUSED.values(), ids=REFUSED)
def test_an_input_that_cannot_be_read_is_refused(tmp_path: Path, texts, message):
    for name in ("x.pdf", "bad.txt", "bad.parquet"):
        (tmp_path / name).write_bytes(b"PAR1\xff\xfe" * 10)
    with pytest.raises(InputError, match=message):
        train_quality(write_recipe(tmp_path, negatives=[texts]))
    assert not (tmp_path / "maths").exists()


def test_too_few_texts_are_refused(tmp_path: Path):
    (tmp_path / "few.txt").write_text("\n".join(MATHS[:50]))
    recipe = write_recipe(tmp_path, positives=[{"path": "few.txt", "unit": "lines"}])
    with pytest.raises(InputError, match=r"`positives` give 35 texts to train on and 15 to evaluate on, of 50 read"):
        train_quality(recipe)


def test_a_folder_that_is_no_model_is_left_alone(tmp_path: Path):
    (tmp_path / "maths").mkdir()
    (tmp_path / "maths" / "thesis.tex").write_text("years of work")
    with pytest.raises(RecipeError, match="is there and no model"):
        train_quality(write_recipe(tmp_path))


def test_a_failure_leaves_the_old_model_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, manifest = train_quality(write_recipe(tmp_path))

    def fail(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("flows.quality.write_card", fail)
    with pytest.raises(OSError, match="No space"):
        train_quality(write_recipe(tmp_path, seed=1))
    assert read_manifest(folder) == manifest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maths", "maths.tex", "recipe.yaml", "talk.jsonl"]


def test_a_new_model_that_cannot_take_its_place_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, manifest = train_quality(write_recipe(tmp_path))
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if target == folder and not self.name.endswith("-old"):
            raise OSError(28, os.strerror(28))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="No space"):
        train_quality(write_recipe(tmp_path, seed=1))
    assert read_manifest(folder) == manifest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maths", "maths.tex", "recipe.yaml", "talk.jsonl"]


def test_the_command_trains_and_shows_the_card(tmp_path: Path):
    result = CliRunner(env={"COLUMNS": "160"}).invoke(quality, ["train", str(write_recipe(tmp_path))])
    assert result.exit_code == 0, result.output
    assert "AUC" in result.output
    assert f"the model lies in {tmp_path / 'maths'}" in result.output


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not YAML"), ("name: x", "`positives`: Field required"), ("names: x", "did you mean `name`")],
)
def test_a_recipe_that_says_what_cannot_be_is_refused(tmp_path: Path, text, message):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        train_quality(tmp_path / "recipe.yaml")
    with pytest.raises(RecipeError, match="cannot be read"):
        train_quality(tmp_path / "absent.yaml")
