"""Pages of releases of continuations: one row as it reads in its document, and what is in the release."""

from collections.abc import Mapping

from rich.console import Group
from rich.table import Table

from flows.pages import fill_table, frame_text, list_facts, make_table, show
from flows.summary import lay_out_distributions, lay_out_funnel, lay_out_splits
from schemas.manifest import ReleaseManifest
from schemas.statistics import ContinuationStatistics, Corpus
from warehouse.inspection import Row

_FACTS = ("uid", "group_id", "cluster_id", "split", "language", "license", "url", "attribution", "hard")


def lay_out_continuation(row: Row) -> Group:
    """Lay a continuation out as it reads in its document: the prefix, how it went on, and where both are from."""
    values = row.values
    place = {name: f"{values[name]:,}" for name in ("start", "cut", "end", "prefix_tokens", "suffix_tokens")}
    origin = f"{values['community']}, {show(values['created_at'])}"
    facts = [
        ("cut", f"{values['mode']}, at character {place['cut']} of {place['start']} to {place['end']}"),
        *((name, values[name]) for name in _FACTS),
        ("shard", row.shard),
        ("row", row.number),
    ]
    return Group(
        frame_text("prefix", (origin, f"{place['prefix_tokens']} tokens"), values["prefix"], "blue"),
        frame_text("suffix", ("", f"{place['suffix_tokens']} tokens"), values["suffix"], "green"),
        list_facts(facts),
    )


def lay_out_continuation_statistics(statistics: ContinuationStatistics, _manifest: ReleaseManifest) -> Group:
    """Lay out all that is known of a release of continuations."""
    head = f"{statistics.release}, build {statistics.build}: {statistics.rows:,} continuations"
    return Group(
        show(f"{head} of {statistics.documents:,} documents from {statistics.hosts:,} hosts", "bold"),
        lay_out_funnel(statistics.funnel),
        lay_out_splits(statistics.splits),
        _lay_out_corpora(statistics.communities),
        lay_out_distributions(
            {
                "prefix tokens": statistics.prefix_tokens,
                "suffix tokens": statistics.suffix_tokens,
                "prefix characters": statistics.prefix_chars,
                "suffix characters": statistics.suffix_chars,
                "blocks a document": statistics.blocks_per_document,
            }
        ),
        _lay_out_counts(statistics),
    )


def _lay_out_corpora(corpora: Mapping[str, Corpus]) -> Table:
    numbers = ("continuations", "prefix tokens", "suffix tokens")
    table = make_table("corpus", *numbers, "languages", numbers=numbers, title="corpora")
    return fill_table(
        table,
        (
            (
                name,
                f"{found.rows:,}",
                f"{found.prefix_tokens:,}",
                f"{found.suffix_tokens:,}",
                ", ".join(f"{code} {count / found.rows:.0%}" for code, count in list(found.languages.items())[:3]),
            )
            for name, found in corpora.items()
        ),
    )


def _lay_out_counts(statistics: ContinuationStatistics) -> Table:
    rows = [
        (f"in windows of {statistics.window}", f"{statistics.windows * statistics.window:,}"),
        *((f"cut by mode {name}", f"{rows:,}") for name, rows in statistics.modes.items()),
        *((f"with hard negatives of the {name.replace('_', ' ')}", f"{rows:,}") for name, rows in _hard(statistics)),
        *((f"licence {name}", f"{rows:,}") for name, rows in statistics.licenses.items()),
        *((f"host {name}", f"{rows:,}") for name, rows in statistics.largest_hosts.items()),
    ]
    return fill_table(make_table("of all continuations", "rows", numbers=("rows",), title="counts"), rows)


def _hard(statistics: ContinuationStatistics) -> list[tuple[str, int]]:
    return list(statistics.hard.items())
