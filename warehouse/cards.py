"""Cards: what a release says about itself to people and to the Hub."""

import json
import re
from collections.abc import Mapping
from textwrap import fill
from typing import Any

import yaml

from schemas.drops import describe
from schemas.inputs import Route
from schemas.manifest import ReleaseManifest
from warehouse._card_words import WORDS
from warehouse.layouts import layout_of

_HUB_LICENSES = {"odc-by-1.0": "odc-by", "odbl-1.0": "odbl", "pddl-1.0": "pddl", "noassertion": "unknown"} | {
    f"gfdl-1.{minor}-{later}": "gfdl" for minor in (1, 2, 3) for later in ("only", "or-later")
}
"""Where the Hub's identifier is not the SPDX id in small letters."""

_LISTED = r"(?!licenseref-)[a-z0-9.+-]+"  # what may be an identifier of the Hub

VALIDATED = ("wildreward",)
"""Views that correct labels by whether a refusal was right; of others nobody is asked."""

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


def write_card(manifest: ReleaseManifest) -> str:
    """Write the dataset card: Hub YAML, then what the release is, how it came about and how to load it.

    The default config is what `datasets.load_dataset(folder)` gives: the projection whose columns a trainer takes as
    they are. The canonical config has every column.
    """
    sections = (
        _introduce,
        _tell_splits,
        *([_tell_windows] if manifest.route == Route.WEB else []),
        *([_tell_labels] if manifest.route == Route.CHATS else []),
        _tell_funnel,
        _tell_columns,
        _tell_duplicates,
        *([_tell_benchmarks] if _benchmarks(manifest) else []),
        _tell_license,
        _tell_recipe,
    )
    return f"---\n{_front_matter(manifest)}---\n\n" + "\n".join(section(manifest) for section in sections)


def write_attribution(manifest: ReleaseManifest) -> str:
    """Say whose work the rows are, and where each row names its authors."""
    communities = "\n".join(f"- {name}: {rows:,} rows" for name, rows in manifest.communities.items())
    licenses = "\n".join(f"- {name}: {rows:,} rows" for name, rows in manifest.licenses.items())
    words = WORDS[manifest.route]
    return f"""# Attribution

{words.sources}

{communities}

under these licences (SPDX):

{licenses}

{words.credit.format(masking=_say_masking(manifest))}
"""


def _say_masking(manifest: ReleaseManifest) -> str:
    masked = _section(manifest, "turns" if manifest.route == Route.CHATS else "filters").get("pii") == "mask"
    return ", and personal data in them became placeholders such as [EMAIL]" if masked else ""


def _section(manifest: ReleaseManifest, name: str) -> dict[str, Any]:
    """Give a part of the recipe, as JSON; nothing where the recipe lacks it."""
    section = manifest.recipe.get(name)
    return section if isinstance(section, dict) else {}


def _benchmarks(manifest: ReleaseManifest) -> list[str]:
    """Name the benchmarks that the rows were held against."""
    asked = _section(manifest, "decontaminate").get("benchmarks", ())
    return [str(benchmark["preset"]) for benchmark in asked]


def _introduce(manifest: ReleaseManifest) -> str:
    words = WORDS[manifest.route]
    return f"""# {manifest.name}

{words.what} Build `{manifest.build}`, made by revealed
{manifest.code_version}; the same inputs and recipe give the same bytes. The recipe stands at the end.

```python
from datasets import load_dataset

{words.loading}
```
"""


def _tell_splits(manifest: ReleaseManifest) -> str:
    splits = "\n".join(
        f"| {name} | {split.rows:,} | {split.shards} | {split.rows_per_shard:,} | {split.tail_rows:,} |"
        for name, split in manifest.splits.items()
    )
    layout = layout_of(manifest.route)
    by = "".join(f"{column}, where none is known of their " for column in layout.whole)
    units = "".join(f"no {unit}, " for unit in layout.whole) + f"no {layout.group}"
    return f"""## Splits

Rows are assigned by hash of their {by}duplicate cluster: {units} and no
near-copy stands in two splits. All shards of a split have the same number of rows, in equal row groups; rows that do
not divide lie in `tail/`.

| split | rows | shards | rows a shard | rows in tail/ |
| --- | ---: | ---: | ---: | ---: |
{splits}
"""


def _tell_windows(manifest: ReleaseManifest) -> str:
    windows = _section(manifest, "windows")
    hard = f"""
Up to {windows["hard"]:.0%} of a window are hard negatives for each other ({windows["hard_by"]}): see the column `hard`.
"""
    return f"""## Windows

Every {windows["size"]} rows, counted from the start of a shard, are one window: the batch in which they are each
other's negatives. But for the hard negatives that a recipe asks for, no window holds two rows of one document or one
duplicate cluster, or two suffixes that are equal or nearly so. Row groups are whole windows, and a window never lies
in two shards. Rows in `tail/` are in no window.

```python
windows = load_dataset("PATH/TO/THIS/FOLDER", split="train", streaming=True).batch({windows["size"]})
```

makes a window one example. After that nothing can break it: shuffle as you like, with any number of ranks
(`split_dataset_by_node`) and of workers (`DataLoader(..., batch_size=None)`). Without it, batches of {windows["size"]}
rows are windows only where the ranks divide the shards and read them in order: no shuffled rows, no sampler that deals
rows to ranks.
{hard if windows["hard"] else ""}"""


def _tell_labels(manifest: ReleaseManifest) -> str:
    view, who = _section(manifest, "feedback")["view"], _name_judge(_section(manifest, "judge"))
    words = (
        f"The labels are those of the view {view}; {who} read them out of the users' next messages. "
        f"{_tell_hindsight(_section(manifest, 'hindsight'))} {_tell_refusals(manifest)} "
        "A turn whose asking failed has no label, and is not here."
    )
    return f"## Labels\n\n{fill(words, 120)}\n"


def _name_judge(judge: Mapping[str, Any]) -> str:
    if judge["kind"] == "embedded":
        return "a small embedded model"
    asked = f"`{judge['model']}` ({_count(judge['votes'], 'vote')} a turn)"
    cascade = judge.get("cascade")
    if not cascade:
        return asked
    return f"the student `{cascade['student']}` where it is sure (from {cascade['min_confidence']}), and else {asked},"


def _tell_hindsight(hindsight: Mapping[str, Any]) -> str:
    taken = [word for name, word in (("positive", "praise"), ("negative", "blame")) if hindsight[name]]
    if not (taken and hindsight["turns"]):
        return "No label is taken from later turns."
    return (
        f"Neutral turns take the label of a turn on the same topic (likeness from {hindsight['min_likeness']}) that "
        f"follows within {_count(hindsight['turns'], 'turn')}, if it is {' or '.join(taken)}."
    )


def _tell_refusals(manifest: ReleaseManifest) -> str:
    reasons = {
        "the embedded judge cannot tell": _section(manifest, "judge")["kind"] == "embedded",
        "the recipe asks nobody": _section(manifest, "refusals")["validate_with"] == "off",
        "the view asks nobody": _section(manifest, "feedback")["view"] not in VALIDATED,
    }
    why = next((reason for reason, holds in reasons.items() if holds), None)
    if why:
        return f"Whether a refusal that was marked down was right is not looked at: {why}."
    return "Where a reply refused and was marked down, the judge was asked whether it was right to."


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _tell_funnel(manifest: ReleaseManifest) -> str:
    used = sorted({reason for row in manifest.funnel for reason in row.dropped})
    reasons = "\n".join(f"- `{reason}`: {describe(reason)}" for reason in used)
    return f"""## Where the rows went

Every stage balances: rows in = rows on + rows dropped. "made" counts the new unit where a stage changes it.

| stage | source | in | on | made | dropped |
| --- | --- | ---: | ---: | ---: | --- |
{_funnel(manifest)}

{reasons}
"""


def _tell_columns(manifest: ReleaseManifest) -> str:
    return f"## Columns worth knowing\n\n{WORDS[manifest.route].columns}"


def _tell_duplicates(manifest: ReleaseManifest) -> str:
    dedupe = _section(manifest, "dedupe")
    curve = "\n".join(f"| {j:.2f} | {candidate:.3f} | {caught:.3f} |" for j, candidate, caught in manifest.catch_curve)
    return f"""## Near-duplicates

MinHash-LSH with {dedupe["bands"]} bands of {dedupe["rows"]} rows over {dedupe["shingle"]}-word shingles; a candidate
counts as a duplicate from an estimated Jaccard of {dedupe["threshold"]}. What that catches:

| Jaccard of two texts | chance to be compared | chance to be found |
| ---: | ---: | ---: |
{curve}
{_tell_contained(manifest)}"""


def _tell_contained(manifest: ReleaseManifest) -> str:
    """Tell of the duplicates that stand inside other texts; these are only looked for between routes."""
    if all(row.stage != "contained" for row in manifest.funnel):
        return ""
    share = _section(manifest, "dedupe")["containment"]
    return f"""
Texts of different routes also count as one where {share:.0%} of the shingles of one stand in the other, by those with
low hashes (FracMinHash, doi 10.1101/2022.01.11.475838): a thread's question in a crawled page.
"""


def _tell_benchmarks(manifest: ReleaseManifest) -> str:
    asked = _section(manifest, "decontaminate")
    names = "\n".join(f"- {name}" for name in _benchmarks(manifest))
    done = "were dropped" if asked["action"] == "drop" else "name the benchmarks in the column `contaminated`"
    return f"""## Decontamination

Rows that share {asked["ngram"]} words in a row with an item of these benchmarks {done}:

{names}
"""


def _tell_license(manifest: ReleaseManifest) -> str:
    return f"## Licence\n\n{WORDS[manifest.route].license}\n"


def _tell_recipe(manifest: ReleaseManifest) -> str:
    recipe = json.dumps(manifest.recipe, indent=1, sort_keys=True, ensure_ascii=False)
    return f"## Recipe\n\n```json\n{recipe}\n```\n"


def _front_matter(manifest: ReleaseManifest) -> str:
    total = sum(split.rows for split in manifest.splits.values())
    words, layout = WORDS[manifest.route], layout_of(manifest.route)
    front = {
        "pretty_name": manifest.name,
        "license": _hub_license(manifest),
        "size_categories": [next((name for most, name in _SIZES if total < most), "n>10M")],
        "task_categories": list(words.tasks),
        "tags": list(words.tags),
        "configs": [
            {
                "config_name": config,
                **({"default": True} if config == layout.default else {}),
                "data_files": [
                    {"split": name, "path": f"{layout.folder(config)}{name}/*.parquet"}
                    for name, split in manifest.splits.items()
                    if split.shards
                ],
            }
            for config in (*layout.projections, layout.canonical)
        ],
    }
    return yaml.safe_dump(front, sort_keys=False, allow_unicode=True)


def _hub_license(manifest: ReleaseManifest) -> str:
    """Say the Hub's identifier: its list knows one licence, so several are `other`, as is one of its holder's own."""
    known = sorted(manifest.licenses)
    alone = known[0].lower() if len(known) == 1 else ""
    return _HUB_LICENSES.get(alone, alone) if re.fullmatch(_LISTED, alone) else "other"


def _funnel(manifest: ReleaseManifest) -> str:
    return "\n".join(
        f"| {row.stage} | {row.source} | {row.rows_in:,} | {row.rows_out:,} | "
        f"{'' if row.produced is None else f'{row.produced:,}'} | "
        f"{', '.join(f'{count:,} {reason}' for reason, count in row.dropped.items())} |"
        for row in manifest.funnel
    )
