"""Summaries: what a release is, in tables; after a build, and whenever `revealed stats` is asked."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console, Group
from rich.table import Table

from flows.decontamination import lay_out_coverage
from flows.drawing import DRAW
from flows.engine import Engine, add_up
from flows.judging.drift import compare_builds, lay_out_drift
from flows.pages import fill_table, make_table, open_console, show
from miners.forums.mining.views import View
from schemas.drops import describe
from schemas.manifest import FunnelRow, ReleaseManifest, SplitSummary
from schemas.outcome import Tally
from schemas.statistics import Community, Distribution, Statistics
from warehouse.layouts import layout_of
from warehouse.publication import release_folder
from warehouse.root import Root

_MOST_COMMUNITIES = 20
_RULE_NUMBERS = ("judged", "passed", "failed")
_MOST_REASONS = 4  # a line of the funnel; `revealed stats --json` has all of them


def print_summary(
    manifests: Sequence[ReleaseManifest], root: Root, engine: Engine | None, console: Console | None = None
) -> None:
    """Print what a build released, where the rows went, and how to load it. engine: which did it, if it was here."""
    console = console or open_console()
    for manifest in manifests:
        _print_release(manifest, root, console)
    if engine is not None:
        computed, reused = sum(engine.computed.values()), sum(engine.reused.values())
        console.print(show(f"partitions: {computed} computed, {reused} already made"))


def _print_release(manifest: ReleaseManifest, root: Root, console: Console) -> None:
    rows = sum(split.rows + split.tail_rows for split in manifest.splits.values())
    shards = sum(split.shards for split in manifest.splits.values())
    console.print(show(f"{manifest.name}, build {manifest.build}", "bold"))
    unit = layout_of(manifest.route).rows
    console.print(show(f"{rows:,} {unit} in {shards} shards; communities: {len(manifest.communities)}"))
    console.print(lay_out_funnel(manifest.funnel), lay_out_splits(manifest.splits))
    for warning in find_unfilled(manifest):
        console.print(show(warning, "yellow"), soft_wrap=True)
    if (coverage := lay_out_coverage(manifest, root)) is not None:
        console.print(coverage)
    if (drift := compare_builds(root, manifest)) is not None:
        console.print(lay_out_drift(drift))
    console.print("load it:")
    console.print(show(write_loading(manifest, root)), soft_wrap=True)


def find_unfilled(manifest: ReleaseManifest) -> list[str]:
    """Say of each split whose rows fill no window, so that no trainer reads one of them, what would help."""
    return [
        f"split {name}: its {split.tail_rows:,} rows fill no window, and all lie in tail/. A window takes rows of as "
        "many different documents as `windows.size` says: add some, give the split a larger share, or a smaller size"
        for name, split in manifest.splits.items()
        if layout_of(manifest.route).windows and split.tail_rows and not split.shards
    ]


def write_loading(manifest: ReleaseManifest, root: Root) -> str:
    """Write the Python that loads a release with `datasets`: the columns that a trainer reads as they are."""
    folder = root.locate(release_folder(manifest))
    layout = layout_of(manifest.route)
    if root.is_local:
        call = f'load_dataset("{folder}")'
    else:
        paths = {name: f"{layout.folder(layout.default)}{name}" for name in manifest.splits}
        files = ", ".join(f'"{split}": "{folder}/{path}/*.parquet"' for split, path in paths.items())
        call = f'load_dataset("parquet", data_files={{{files}}})'
    return f"    from datasets import load_dataset\n    dataset = {call}"


def lay_out_statistics(statistics: Statistics) -> Group:
    """Lay out all that is known of a release of pairs."""
    pairs = show(f"{statistics.release}, build {statistics.build}: {statistics.rows:,} pairs", "bold")
    return Group(
        pairs,
        lay_out_funnel(statistics.funnel),
        lay_out_splits(statistics.splits),
        _lay_out_communities(statistics),
        lay_out_distributions(
            {
                "margin": statistics.margin,
                "chosen score": statistics.chosen_score,
                "rejected score": statistics.rejected_score,
                "prompt characters": statistics.lengths.prompt_chars,
                "chosen characters": statistics.lengths.chosen_chars,
                "rejected characters": statistics.lengths.rejected_chars,
                "pairs a prompt": statistics.pairs_per_prompt,
            }
        ),
        _lay_out_shares(statistics),
    )


def lay_out_funnel(funnel: Iterable[FunnelRow]) -> Table:
    """Sum the funnel up over its sources: a line a stage, with what it dropped and why."""
    stages: dict[str, list[Tally]] = {}
    for row in funnel:
        stages.setdefault(row.stage, []).append(Tally(row.rows_in, row.rows_out, row.dropped, row.produced))
    totals = {stage: add_up(tallies) for stage, tallies in stages.items()}
    table = make_table(
        "stage", "in", "on", "made", "dropped", numbers=("in", "on", "made"), title="where the rows went"
    )
    return fill_table(
        table,
        (
            (stage, f"{total.rows_in:,}", f"{total.rows_out:,}", _count(total.produced), _list_reasons(total.dropped))
            for stage, total in totals.items()
        ),
    )


def lay_out_splits(splits: Mapping[str, SplitSummary]) -> Table:
    """List the splits, the largest first: equal shards, and what is left over in the tail."""
    numbers = ("shards", "rows a shard", "rows", "in tail/")
    table = make_table("split", *numbers, numbers=numbers, title="splits")
    return fill_table(
        table,
        (
            (name, split.shards, f"{split.rows_per_shard:,}", f"{split.rows:,}", f"{split.tail_rows:,}")
            for name, split in sorted(splits.items(), key=lambda item: -item[1].rows)
        ),
    )


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _list_reasons(dropped: Mapping[str, int]) -> str:
    ordered = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{count:,} {reason}" for reason, count in ordered[:_MOST_REASONS])
    rest = len(ordered) - _MOST_REASONS
    return f"{shown}, and {rest} more" if rest > 0 else shown


def lay_out_rules(funnel: Iterable[FunnelRow], view: View) -> Table:
    """List the rules by which pairs were drawn, in the order in which they are asked: how many pass, how many fail."""
    rows = [row for row in funnel if row.stage == DRAW.name]
    dropped = Counter[str]()
    for row in rows:
        dropped.update(row.dropped)
    left = sum(row.rows_in for row in rows)
    table = make_table("rule", *_RULE_NUMBERS, numbers=_RULE_NUMBERS, title=f"rules of the view {view.name}")
    for reason in view.reasons():
        failed = dropped[reason]
        fill_table(table, [(f"not: {describe(reason)}", f"{left:,}", f"{left - failed:,}", f"{failed:,}")])
        left -= failed
    return table


def _lay_out_communities(statistics: Statistics) -> Table:
    """List the largest communities."""
    ordered = sorted(statistics.communities.items(), key=lambda item: (-item[1].rows, item[0]))
    rest = len(ordered) - _MOST_COMMUNITIES
    title = "communities: chosen is longer, decided by one vote, 95% sure by the votes"
    title += f" ({rest} smaller ones are not shown)" if rest > 0 else ""
    numbers = ("pairs", "longer", "one vote", "sure", "masked")
    table = make_table("community", *numbers, "languages", numbers=numbers, title=title)
    return fill_table(
        table,
        (
            (
                name,
                f"{found.rows:,}",
                _percent(found.chosen_longer),
                _percent(found.one_vote),
                _percent(found.confident),
                f"{found.masked:,}",
                _list_languages(found),
            )
            for name, found in ordered[:_MOST_COMMUNITIES]
        ),
    )


def _list_languages(found: Community) -> str:
    """Name the most frequent languages of the prompts."""
    return ", ".join(f"{name} {count / found.rows:.0%}" for name, count in list(found.languages.items())[:3])


def lay_out_distributions(measures: Mapping[str, Distribution]) -> Table:
    """List how some measures are distributed."""
    points = ("min", "p5", "p25", "median", "p75", "p95", "max")
    table = make_table("measure", *points, "mean", numbers=(*points, "mean"), title="distributions")
    return fill_table(
        table,
        (
            (name, *(f"{getattr(found, point):,}" for point in points), f"{found.mean:,.1f}")
            for name, found in measures.items()
        ),
    )


def _lay_out_shares(statistics: Statistics) -> Table:
    ages, lengths = statistics.ages, statistics.lengths
    hours = "unknown" if ages.median_hours is None else f"{ages.median_hours:,.1f} hours"
    rows = [
        ("decided by one vote", _percent(statistics.margin_one)),
        ("chosen is longer", _percent(lengths.chosen_longer)),
        ("right by taking the longer reply", _percent(lengths.length_baseline)),
        ("chosen is the accepted reply", _percent(statistics.accepted.chosen)),
        ("rejected is the accepted reply", _percent(statistics.accepted.rejected)),
        ("chosen is older", _percent(ages.chosen_older)),
        ("time between the replies (median)", hours),
        *((f"fit into {most} tokens", _percent(share)) for most, share in statistics.survival.items()),
        *((f"meet the rules of {name}", f"{rows:,} pairs") for name, rows in statistics.views.items()),
        *((f"licence {name}", f"{rows:,} pairs") for name, rows in statistics.licenses.items()),
    ]
    return fill_table(make_table("of all pairs", "share", numbers=("share",), title="shares"), rows)


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"
