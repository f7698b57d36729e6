"""What each HTML tag does to the Markdown being written."""

import re
from collections.abc import Callable
from html import unescape

from miners.text.blocks import Writer
from miners.text.inline import clean_url, image

_MARKS = {
    "em": "*",
    "i": "*",
    "strong": "**",
    "b": "**",
    "s": "~~",
    "del": "~~",
    "strike": "~~",
    "sup": "^",
    "sub": "_",
}
_PLAIN_BLOCKS = frozenset(
    "div section article header footer main aside nav figure figcaption address center form fieldset details hgroup"  # noqa: SIM905
    " dl caption legend menu body".split()
)
_BOLD_BLOCKS = ("dt", "summary")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")

_PHRASING = frozenset(["a", "em", "strong", "code", "br", "img", "sub", "sup", "s", "del", "strike", "kbd", "b", "i"])
_FLOW = _PHRASING | frozenset(["p", "pre", "ul", "ol", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr"])
CHILDREN = dict.fromkeys([*_PHRASING, "p", "h1", "h2", "h3", "h4", "h5", "h6"], _PHRASING) | {
    "": _FLOW,
    "blockquote": _FLOW,
    "li": _FLOW,
    "ul": frozenset(["li"]),
    "ol": frozenset(["li"]),
    "pre": frozenset(["code"]),
    "code": frozenset[str](),
}
"""What may stand directly in what, so that an HTML5 parser would change nothing. `br`, `hr` and `img` hold nothing."""

_ATTRIBUTE = re.compile(r'\s([^\s=>]+)="([^"]*)"')
_LANGUAGE = re.compile(r"(?:^|\s)lang(?:uage)?-(?!(?:none|auto|default|nohighlight)\b)([\w+#.-]{1,30})")

_ORNAMENT = re.compile(r"\b(?:emoji|avatar)\b")  # Discourse's

_Act = Callable[[Writer, str, str], None]
"""(writer, name of the tag, its attributes as they stand in the HTML)."""


def write(tokens: list[str]) -> str:
    """Write well-formed HTML, cut at its tags (text, slash, name, attributes, text and so on), as Markdown."""
    writer = Writer()
    writer.read(tokens[0])
    for slash, name, attributes, text in zip(tokens[1::4], tokens[2::4], tokens[3::4], tokens[4::4], strict=True):
        act = (_CLOSE if slash else _OPEN).get(name)
        if act and (writer.verbatim is None or name in _IN_CODE):
            act(writer, name, attributes)
        if text:
            writer.read(text)
    return writer.finish()


def _attributes(source: str) -> dict[str, str]:
    return {name: unescape(value) for name, value in _ATTRIBUTE.findall(source)}


def _break_block(writer: Writer, _name: str, _source: str) -> None:
    writer.flush()


def _open_paragraph(writer: Writer, _name: str, _source: str) -> None:
    writer.flush()
    writer.in_paragraph = True


def _close_paragraph(writer: Writer, _name: str, _source: str) -> None:
    writer.flush()
    writer.in_paragraph = False


def _close_heading(writer: Writer, name: str, _source: str) -> None:
    writer.flush("#" * int(name[1]) + " ")


def _open_quote(writer: Writer, _name: str, _source: str) -> None:
    writer.push("> ", "quote")


def _open_list(writer: Writer, name: str, source: str) -> None:
    writer.flush()
    start = _attributes(source).get("start", "1") if name == "ol" else ""
    writer.lists.append((int(start) if re.fullmatch("[0-9]{1,8}", start) else 1) if name == "ol" else None)


def _close_list(writer: Writer, _name: str, _source: str) -> None:
    writer.flush()
    if writer.lists:
        writer.lists.pop()
    writer.common_lists = min(writer.common_lists, len(writer.lists))


def _open_item(writer: Writer, name: str, _source: str) -> None:
    number = writer.lists[-1] if writer.lists and name == "li" else None
    if number is not None:
        writer.lists[-1] = number + 1
    writer.push("- " if number is None else f"{number}. ", "item")


def _close_container(writer: Writer, _name: str, _source: str) -> None:
    writer.pop()


def _open_mark(writer: Writer, name: str, _source: str) -> None:
    writer.open_mark(_MARKS[name])


def _close_mark(writer: Writer, name: str, _source: str) -> None:
    writer.close_mark(_MARKS[name])


def _open_bold(writer: Writer, _name: str, _source: str) -> None:
    writer.flush()
    writer.open_mark("**")


def _close_bold(writer: Writer, _name: str, _source: str) -> None:
    writer.close_mark("**")
    writer.flush()


def _open_link(writer: Writer, _name: str, source: str) -> None:
    if "a" not in writer.active:
        writer.url = clean_url(_attributes(source).get("href", ""))
    writer.open_mark("a")


def _close_link(writer: Writer, _name: str, _source: str) -> None:
    writer.close_mark("a")


def _open_code(writer: Writer, name: str, source: str) -> None:
    language = _LANGUAGE.search(_attributes(source).get("class", ""))
    writer.open_code(block=name == "pre", language=language[1] if language else "")


def _close_code(writer: Writer, _name: str, _source: str) -> None:
    writer.close_code()


def _break_line(writer: Writer, _name: str, _source: str) -> None:
    if writer.verbatim is not None:
        writer.verbatim.append("\n")
    else:
        writer.run.add_break()


def _draw_rule(writer: Writer, _name: str, _source: str) -> None:
    writer.flush()
    if not writer.tables:
        writer.emit("***" if writer.containers else "---")  # `- ---` would be one rule, not an item with a rule


def _show_image(writer: Writer, _name: str, source: str) -> None:
    attributes = _attributes(source)
    url, alt = clean_url(attributes.get("src", "")), attributes.get("alt", "")
    if url and not _ORNAMENT.search(attributes.get("class", "")):
        writer.run.add_object(image(alt, url))
    else:
        writer.run.add(alt)


def _open_table(writer: Writer, _name: str, _source: str) -> None:
    writer.open_table()


def _close_table(writer: Writer, _name: str, _source: str) -> None:
    writer.close_table()


def _open_row(writer: Writer, _name: str, _source: str) -> None:
    writer.open_row()


def _close_cell(writer: Writer, _name: str, _source: str) -> None:
    writer.close_cell()


_OPEN: dict[str, _Act] = {
    **dict.fromkeys([*_PLAIN_BLOCKS, *_HEADINGS], _break_block),
    **dict.fromkeys(_BOLD_BLOCKS, _open_bold),
    **dict.fromkeys(_MARKS, _open_mark),
    **dict.fromkeys(("ul", "ol"), _open_list),
    **dict.fromkeys(("li", "dd"), _open_item),
    **dict.fromkeys(("pre", "code"), _open_code),
    "p": _open_paragraph,
    "blockquote": _open_quote,
    "a": _open_link,
    "br": _break_line,
    "hr": _draw_rule,
    "img": _show_image,
    "table": _open_table,
    "tr": _open_row,
}
_CLOSE: dict[str, _Act] = {
    **dict.fromkeys(_PLAIN_BLOCKS, _break_block),
    **dict.fromkeys(_HEADINGS, _close_heading),
    **dict.fromkeys(_BOLD_BLOCKS, _close_bold),
    **dict.fromkeys(_MARKS, _close_mark),
    **dict.fromkeys(("ul", "ol"), _close_list),
    **dict.fromkeys(("li", "dd", "blockquote"), _close_container),
    **dict.fromkeys(("pre", "code"), _close_code),
    **dict.fromkeys(("td", "th"), _close_cell),
    "p": _close_paragraph,
    "a": _close_link,
    "table": _close_table,
}
_IN_CODE = frozenset(["pre", "code", "br"])
