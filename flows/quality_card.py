"""The card of a quality classifier: what it was made of, how well it does, and what it cannot say."""

from collections.abc import Iterable, Sequence

from schemas.quality import InputReport, Point, QualityManifest


def write_card(manifest: QualityManifest) -> str:
    """Write the README.md that stands beside a model."""
    metrics, recipe = manifest.metrics, manifest.recipe
    half = metrics.at_half
    return f"""# {manifest.name}

A fastText classifier ({manifest.model_bytes:,} bytes, fasttext-community {manifest.fasttext}). It scores a text from 0
to 1 by how much its words are those of the positive examples below rather than those of the negative ones; it reads the
first {manifest.max_chars:,} characters. It knows nothing of whether a text is true or well written, and texts unlike
all examples get a score all the same: try it on yours before you trust a threshold.

In a recipe: `model: {manifest.name}` and `min_model_score`.

## What it was trained on

{_lay_out(_INPUT_COLUMNS, (_list_input(name, item) for name, item in manifest.inputs.items()))}

Texts are held out by a hash of their words, {recipe["held_out"]:.0%} of each input that does not say otherwise. Not
used: texts that are too short, copies, texts among both kinds, and what one kind has more of than the other.

## How well it does

On {metrics.positives:,} positive and {metrics.negatives:,} negative texts that it has not seen: AUC {metrics.auc:.4f};
at a score of 0.5 precision {_show(half.precision)}, recall {_show(half.recall)}, F1 {_show(half.f1)}. Precision
depends on how common positives are; `rejected` is the share of negatives below the threshold, which does not.

{_lay_out(_CURVE_COLUMNS, (_list_point(point) for point in metrics.curve))}

`manifest.json` holds the recipe, the files' hashes and the model's (sha256 {manifest.model_sha256[:16]}...).
"""


_INPUT_COLUMNS = ("input", "kind", "texts", "not used", "train", "held out", "of these at least 0.5", "mean score")
_CURVE_COLUMNS = ("threshold", "precision", "recall", "F1", "rejected")


def _list_input(name: str, item: InputReport) -> Sequence[object]:
    kind = "positive" if item.positive else "negative"
    unused = ", ".join(f"{reason} {count:,}" for reason, count in item.dropped.items())
    counts = (f"{item.texts:,}", unused or "-", f"{item.train:,}", f"{item.held_out:,}")
    return (name.replace("|", r"\|"), kind, *counts, _show(item.accepted), _show(item.mean_score))


def _list_point(point: Point) -> Sequence[object]:
    figures = (point.precision, point.recall, point.f1, point.rejected)
    return (f"{point.threshold:.2f}", *(_show(figure) for figure in figures))


def _show(share: float | None) -> str:
    return "-" if share is None else f"{share:.4f}"


def _lay_out(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(str(value) for value in line)} |" for line in lines)
