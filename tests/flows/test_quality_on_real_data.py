"""A classifier of mathematical prose, on real texts of which it has seen neither the book's chapter nor the forum."""

from pathlib import Path

import pytest
import yaml

from flows.quality import train_quality


@pytest.fixture
def recipe(real_data: Path, tmp_path: Path) -> Path:
    texts = {
        "chapters": {"path": f"{real_data}/math/[cds]*.tex", "use": "train"},
        "another chapter": {"path": f"{real_data}/math/topology.tex", "use": "evaluate"},
        "chats": {"path": f"{real_data}/sharegpt/conversations.jsonl", "column": "conversations.value", "use": "train"},
        "forum": {"path": f"{real_data}/reddit/nested_threads.jsonl", "column": "answers.body", "use": "evaluate"},
    }
    named = [{"name": name, **values} for name, values in texts.items()]
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "maths", "positives": named[:2], "negatives": named[2:]}))
    return path


def test_it_tells_mathematical_prose_from_chat_and_forum_text(recipe: Path):
    _, manifest = train_quality(recipe)
    inputs = manifest.inputs
    assert inputs["another chapter"].held_out > 400
    assert inputs["forum"].held_out > 5000
    assert inputs["another chapter"].accepted > 0.95
    assert inputs["forum"].accepted < 0.01
    assert manifest.metrics.auc > 0.99
