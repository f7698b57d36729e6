"""Pages: what commands show, built of rich's parts. Whatever comes from data is shown as it is, and does nothing.

Texts of strangers may hold escape sequences that move a terminal's cursor, and brackets that rich would take for its
own markup. So every value passes through `show`: control characters go, and what is left is never parsed.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flows.entries import ResolvedEntry
from miners.chats.mining.views import View as ChatView
from miners.forums.mining.views import View
from miners.source import Source
from schemas.inputs import Route
from warehouse.decontamination.benchmarks import Preset
from warehouse.inspection import Dropped, Row
from warehouse.verification import Report

_ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and line feed, and those that reorder the text around them."""

_MOST_DROPS = 20


def show(value: object, style: str = "") -> Text:
    """Make a value a text that is shown letter by letter; None is a dash."""
    if isinstance(value, datetime):
        value = f"{value:%Y-%m-%d %H:%M} UTC"
    letters = "-" if value is None else str(value).encode("utf-8", "replace").decode()  # JSON may hold half characters
    return Text(_ACTIVE.sub("", letters), style=style)


def open_console() -> Console:
    """Open standard output; numbers and paths in it are not coloured."""
    return Console(highlight=False)


def make_table(*columns: str, numbers: Sequence[str] = (), title: str | None = None) -> Table:
    """Make an empty table; the columns in `numbers` are set to the right."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table


def fill_table(table: Table, rows: Iterable[Iterable[object]]) -> Table:
    """Add rows of values; answers the table."""
    for row in rows:
        table.add_row(*(show(value) for value in row))
    return table


def lay_out_row(row: Row) -> Group:
    """Lay a pair out as a person reads it: the question, the two replies, and where they come from."""
    values = row.values
    asked = f"{values['community']}, {show(values['created_at'])}"
    facts = [(name, values[name]) for name in ("uid", "group_id", "cluster_id", "split", "license", "url")]
    credit = [("attribution", values["attribution"]), ("shard", row.shard), ("row", row.number)]
    return Group(
        frame_text("prompt", (asked, ""), _read_messages(values["prompt"]), "blue"),
        frame_text("chosen", _describe_reply(values, "chosen"), _read_messages(values["chosen"]), "green"),
        frame_text("rejected", _describe_reply(values, "rejected"), _read_messages(values["rejected"]), "red"),
        list_facts([*_describe_preference(values), *facts, *credit]),
    )


def lay_out_drops(drops: Sequence[Dropped]) -> Group:
    """Lay dropped rows out, each with the stage that dropped it and why; the first twenty."""
    parts: list[RenderableType] = [_lay_out_drop(drop) for drop in drops[:_MOST_DROPS]]
    if len(drops) > _MOST_DROPS:
        parts.append(show(f"and {len(drops) - _MOST_DROPS} more"))
    return Group(*parts)


def lay_out_report(report: Report) -> Group:
    """Lay out what a verification checked and found."""
    checked = (
        f"checked: snapshots {report.snapshots}, their partitions {report.partitions:,}; "
        f"builds {report.builds}, their shards {report.shards:,}"
    )
    parts: list[RenderableType] = [show(checked)]
    if report.unfinished:
        parts.append(show(f"publications that never came to their end, which no reader sees: {report.unfinished}"))
    for problem in report.problems:
        parts.append(Text.assemble(show(problem.path, "bold"), " ", show(problem.problem, "red")))
        parts.append(Text.assemble("    ", show(problem.remedy)))
    count = len(report.problems)
    parts.append(show(f"problems: {count}", "bold red") if count else show("no problems", "bold green"))
    return Group(*parts)


def lay_out_entries(entries: Iterable[tuple[ResolvedEntry, int, int]]) -> Table:
    """List a recipe's inputs. entries: (entry, its buckets, its slices that are read already)."""
    numbers = ("MiB", "slices", "read", "buckets")
    rows = (
        (_name_entry(entry), entry.source.name, f"{entry.bytes / 2**20:,.1f}", len(entry.slices), read, buckets)
        for entry, buckets, read in entries
    )
    return fill_table(make_table("input", "source", *numbers, numbers=numbers), rows)


def lay_out_sources(sources: Iterable[Source]) -> Table:
    """List the sources with their options."""
    rows = (
        (source.name, source.route.value, source.summary, "\n".join(source.options.model_fields)) for source in sources
    )
    return fill_table(make_table("source", "route", "reads", "options"), rows)


def lay_out_views(views: Mapping[Route, Iterable[View | ChatView]]) -> Table:
    """List the views of each route with where each is published."""
    rows = ((view.name, route.value, view.summary, view.source) for route, own in views.items() for view in own)
    return fill_table(make_table("view", "route", "takes", "after"), rows)


def lay_out_presets(presets: Mapping[str, Preset]) -> Table:
    """List the benchmarks that can be named, with the columns that are read of each, and where its files are."""
    rows = (
        (
            name,
            preset.title,
            ", ".join(" or ".join(names) for names in preset.questions + preset.answers),
            preset.origin,
        )
        for name, preset in presets.items()
    )
    return fill_table(make_table("preset", "benchmark", "columns", "published at"), rows)


def _name_entry(entry: ResolvedEntry) -> str:
    return entry.name if entry.name == entry.community else f"{entry.name}, filed as {entry.community}"


def frame_text(name: str, about: tuple[str, str], text: object, style: str) -> Panel:
    """Frame a text; what it is stands above it, the rest about it below."""
    above, below = about
    return Panel(
        show(text),
        title=Text.assemble(show(name, "bold"), "  ", show(above)),
        title_align="left",
        subtitle=show(below, "dim") if below else None,
        subtitle_align="left",
        border_style=style,
    )


def _read_messages(messages: object) -> str:
    """Join the turns of a conversation; a single one needs no name."""
    turns = messages if isinstance(messages, list) else []
    if len(turns) == 1:
        return str(turns[0]["content"])
    return "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in turns)


def _describe_reply(values: dict[str, object], role: str) -> tuple[str, str]:
    score, votes, rank, chars = (values[f"{role}_{name}"] for name in ("score", "votes", "rank", "chars"))
    accepted = ", accepted" if values[f"{role}_accepted"] else ""
    return (
        f"score {score} (votes {votes}{accepted}), rank {rank} of {values['replies']}",
        f"{chars} characters, {show(values[f'{role}_created_at'])}",
    )


def _describe_preference(values: dict[str, object]) -> Iterator[tuple[str, object]]:
    """Say how sure the preference is, and what may lie behind it."""
    yield "margin", f"{values['margin']} (in what the view orders by)"
    yield "confidence", f"{values['confidence']:.3f} that the chosen reply is the better one, by the votes"
    if values["seconds_later"] is not None:
        hours = float(str(values["seconds_later"])) / 3600
        order = (f"{values[f'{role}_order']}" for role in ("chosen", "rejected"))
        yield (
            "chosen came",
            f"{abs(hours):,.1f} hours {'later' if hours >= 0 else 'earlier'} (order {' and '.join(order)})",
        )
    languages = [values[name] for name in ("language", "chosen_language", "rejected_language")]
    if any(languages):
        yield "languages", ", ".join(str(name) for name in languages)
    views = values["views"]
    yield "meets", ", ".join(map(str, views)) if isinstance(views, list) else ""
    yield "terms", values["terms"]
    if values["chosen_reward"] is not None:
        yield "rewards", f"{values['chosen_reward']:.3f} and {values['rejected_reward']:.3f}"


def list_facts(facts: Iterable[tuple[str, object]]) -> Table:
    """List names and values."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    return fill_table(table, facts)


def _lay_out_drop(drop: Dropped) -> Group:
    facts = [
        ("dropped by", f"{drop.stage}, {drop.source}"),
        ("because", f"{drop.words} ({drop.reason})"),
        ("ref", drop.ref),
        *([("read at", f"{drop.file}, byte {drop.offset}")] if drop.file else []),
        *([("detail", drop.detail)] if drop.detail else []),
    ]
    return Group(list_facts(facts), *([Panel(show(_indent(drop.row)), border_style="dim")] if drop.row else []))


def _indent(row: str) -> str:
    """Break JSON into lines; a row that could not be decoded stays as it was."""
    try:
        return json.dumps(json.loads(row), indent=1, ensure_ascii=False)
    except ValueError:
        return row
