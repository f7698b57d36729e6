"""Blocks of Markdown: paragraphs, lists, quotes, code and tables, written one after another with their prefixes."""

from dataclasses import dataclass, field
from html import unescape

from miners.text.inline import VERBATIM_NEWLINE, Run, code_span, fence

_MOST_CONTAINERS = 24
"""Quotes and lists nested deeper are written at this depth: prefixes would otherwise grow with the square."""


@dataclass(slots=True)
class Writer:
    """Receives text and tags, and writes blocks.

    containers: [prefix of the first line, of the others, is a list item], outermost first. excess: how many more are
    open but not shown. lists: the next number of each open list, None for bullets. active: for each kind of inline
    mark, how often it is open and where in the run it began. verbatim: code being collected, `nested` elements
    deep; fenced: it is a block.
    common, common_lists: fewest open containers and lists since the last block.
    """

    out: list[str] = field(default_factory=list)
    run: Run = field(default_factory=Run)
    containers: list[list[str]] = field(default_factory=list)
    excess: int = 0
    lists: list[int | None] = field(default_factory=list)
    active: dict[str, list[int]] = field(default_factory=dict)
    url: str | None = None
    verbatim: list[str] | None = None
    nested: int = 0
    fenced: bool = False
    language: str = ""
    tables: int = 0
    rows: list[list[str]] = field(default_factory=list)
    in_paragraph: bool = False
    was_tight: bool = False
    common: int = 0
    common_lists: int = 0

    def read(self, text: str) -> None:
        """Take text as it stands in the HTML."""
        if self.verbatim is not None:
            self.verbatim.append(unescape(text))
        elif self.run.length or not text.isspace():
            self.run.add(unescape(text) if "&" in text else text)

    def finish(self) -> str:
        """Return all that was written."""
        self.flush()
        return "".join(self.out).replace(VERBATIM_NEWLINE, "\n")

    def take_run(self, *, single_line: bool = False) -> str:
        """Write the run and begin a new one, in which the marks that are open go on."""
        run = self.run
        if not run.length:
            return ""
        for kind in reversed(self.active):
            self.end_mark(kind)
            self.active[kind][1] = 0
        self.run = Run()
        return run.write(single_line=single_line)

    def flush(self, before: str = "") -> None:
        """Write the run as a block."""
        if not self.run.length:
            return
        if self.tables:
            self.run.add(" ")
        elif text := self.take_run(single_line=bool(before)):
            tight = bool(self.containers) and self.containers[-1][2] == "item" and not self.in_paragraph
            self.emit(before + text, tight=tight)

    def emit(self, block: str, *, tight: bool = False) -> None:
        """Write a block with the prefixes of its containers."""
        if self.out:
            apart = "".join(rest for _, rest, _ in self.containers[: self.common]).rstrip()
            self.out.append("\n" if tight and self.was_tight and self.common_lists else f"\n{apart}\n")
        self.was_tight, self.common, self.common_lists = tight, len(self.containers), len(self.lists)
        if not self.containers:
            self.out.append(block)
            return
        first = "".join(container[0] for container in self.containers)
        rest = "".join(container[1] for container in self.containers)
        for container in self.containers:
            container[0] = container[1]
        lines = block.split("\n")
        rest_lines = [f"\n{rest}{line}" if line else f"\n{rest.rstrip()}" for line in lines[1:]]
        self.out += [first + lines[0] if lines[0] else first.rstrip(), *rest_lines]

    def end_mark(self, kind: str) -> None:
        """Write the delimiters of a mark that ends here."""
        start = self.active[kind][1]
        if kind == "a":
            if self.url:
                self.run.link(start, self.url)
        elif kind in "^_":
            self.run.script(start, kind)
        else:
            self.run.wrap(start, kind, kind)

    def push(self, first: str, kind: str) -> None:
        """Open a container."""
        self.flush()
        if len(self.containers) < _MOST_CONTAINERS and not self.excess and not self.tables:
            self.containers.append([first, "> " if kind == "quote" else " " * len(first), kind])
        else:
            self.excess += 1

    def pop(self) -> None:
        """Close a container."""
        self.flush()
        if self.excess or not self.containers:
            self.excess = max(0, self.excess - 1)
            return
        if self.containers[-1][0] != self.containers[-1][1]:
            self.emit("", tight=True)  # an empty item still shows
        self.containers.pop()
        self.common = min(self.common, len(self.containers))

    def open_mark(self, kind: str) -> None:
        """Begin emphasis, a link or a script; one inside another of its kind says nothing new."""
        self.active.setdefault(kind, [0, self.run.length])[0] += 1

    def close_mark(self, kind: str) -> None:
        """End a mark."""
        if kind in self.active:
            self.active[kind][0] -= 1
            if not self.active[kind][0]:
                self.end_mark(kind)
                del self.active[kind]

    def open_code(self, *, block: bool, language: str) -> None:
        """Begin to collect code."""
        self.verbatim = self.verbatim if self.verbatim is not None else []
        self.nested += 1
        self.fenced = self.fenced or block
        self.language = self.language or language

    def close_code(self) -> None:
        """Write the code when its outermost element ends."""
        self.nested -= 1
        if self.nested or self.verbatim is None:
            return
        code, fenced, language = "".join(self.verbatim), self.fenced, self.language
        self.verbatim, self.fenced, self.language = None, False, ""
        if not fenced or self.tables:
            self.run.add_object(code_span(code))
        elif code.strip():
            self.flush()
            ticks = fence(code, 3)
            self.emit(f"{ticks}{language}\n{code.removesuffix(chr(10))}\n{ticks}")

    def open_table(self) -> None:
        """Begin a table; one inside another becomes text of its cell."""
        self.flush()
        self.tables += 1

    def open_row(self) -> None:
        """Begin a row."""
        if self.tables == 1:
            self.rows.append([])

    def close_cell(self) -> None:
        """End a cell."""
        if self.tables == 1 and self.rows:
            self.rows[-1].append(self.take_run(single_line=True))
        else:
            self.flush()

    def close_table(self) -> None:
        """Write the table when the outermost ends."""
        self.tables = max(0, self.tables - 1)
        if self.tables:
            return
        self.flush()
        rows, self.rows = [row for row in self.rows if any(row)], []
        if rows:
            self.emit(write_table(rows))


def write_table(rows: list[list[str]]) -> str:
    """Write rows of cells as a table of GitHub's, its first row the head; as a list where a cell could not stand in it.

    >>> print(write_table([["a", "b"], ["1"]]))
    | a | b |
    | --- | --- |
    | 1 |  |
    """
    if any("|" in cell or VERBATIM_NEWLINE in cell for row in rows for cell in row):
        return "\n".join("- " + "; ".join(filter(None, row)) for row in rows)
    width = max(map(len, rows))
    lines = ["| " + " | ".join([*row, *[""] * (width - len(row))]) + " |" for row in rows]
    return "\n".join([lines[0], "| " + " | ".join(["---"] * width) + " |", *lines[1:]])
