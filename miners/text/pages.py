r"""HTML pages to Markdown: what a page says of itself, its body without navigation, its formulas as LaTeX.

Taken away: scripts and styles, `nav`, `header` (but not of an article), `footer`, `aside`, their counterparts by ARIA
role, and what is hidden. `form` stays: some sites wrap all they have in one.

What a page says in TeX is taken as it stands: MathJax's `<script type="math/tex">`, the `<annotation>` or `alttext` of
MathML (so of KaTeX), or the `alt` of a picture of a formula, as Wikipedia and WordPress draw them. Other MathML is
written anew (`mathml.py`). `$..$`, `\(..\)` and environments in the text are left to the renderer, which keeps them.
"""

import re
from dataclasses import dataclass

import pyarrow as pa
from selectolax.lexbor import LexborHTMLParser, LexborNode

from miners.text.formulas import find_plain_formulas
from miners.text.markdown import is_too_deep, render_markdown
from miners.text.mathml import write_mathml

PAGE = pa.schema(
    [
        pa.field("text", pa.string()),  # Markdown
        pa.field("title", pa.string()),
        pa.field("url", pa.string()),  # the canonical one, where the page names it
    ]
)
"""What is read of a page."""

_CHROME = (
    "script, style, noscript, template, nav, footer, aside, [hidden], [aria-hidden=true],"
    "[role=navigation], [role=banner], [role=contentinfo], [role=search], [role=complementary]"
)
_SOURCE = 'script[type^="math/tex"]'
_TYPESET = ".MathJax_Preview, .MathJax, .MathJax_Display, .MathJax_SVG, .MathJax_SVG_Display, .MathJax_CHTML"
_WRAPPERS = ".katex, mjx-container, .mwe-math-element"
_PICTURES = 'img.latex, img.tex, img[class*="mwe-math-fallback"], img[src*="latex.codecogs.com"]'
_TEX = 'annotation[encoding="application/x-tex"], annotation[encoding="TeX"], annotation[encoding="LaTeX"]'
_DISPLAYED = re.compile(r"katex-display|fallback-image-display|MathJax_Display")

_STYLE = re.compile(r"\A\{\\(?:displaystyle|textstyle)\b\s*(.*)\}\Z", re.DOTALL)  # Wikipedia's, around all formulas
_BLANK = re.compile(r"\n(?:[ \t\r]*\n)+")


@dataclass(frozen=True, slots=True)
class _Page:
    body: str
    title: str | None = None
    url: str | None = None


def render_pages(pages: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Render HTML pages (strings) -> PAGE, one row for each; all null for null."""
    # HTML is read page by page: the format leaves no other way.
    opened = [None if page is None else _open(page) for page in pages.to_pylist()]
    bodies = pa.array([page and page.body for page in opened], pa.string())
    titles = pa.array([page and page.title for page in opened], pa.string())
    urls = pa.array([page and page.url for page in opened], pa.string())
    return pa.table([render_markdown(bodies), titles, urls], schema=PAGE)


def _open(html: str) -> _Page:
    """Take a page apart; of one nested beyond reason the renderer keeps the text alone."""
    if is_too_deep(html):
        return _Page(html)
    tree = LexborHTMLParser(html)
    _write_formulas(tree)
    title, url = _title(tree), _address(tree)
    _strip(tree)
    return _Page((tree.body.inner_html if tree.body is not None else None) or "", title, url)


def _title(tree: LexborHTMLParser) -> str | None:
    title = tree.css_first("head title")
    return " ".join(title.text().split()) or None if title is not None else None


def _address(tree: LexborHTMLParser) -> str | None:
    link = tree.css_first('link[rel="canonical"]')
    return link.attributes.get("href") or None if link is not None else None


def _strip(tree: LexborHTMLParser) -> None:
    """Take away what is not the page's own text; the last come first, so that none goes with another around it."""
    for node in reversed(tree.css(_CHROME)):
        node.decompose()
    for header in reversed(tree.css("header")):
        if not _is_inside(header, ("article", "main")):
            header.decompose()


def _is_inside(node: LexborNode, tags: tuple[str, ...]) -> bool:
    around = node.parent
    while around is not None and around.tag not in tags:
        around = around.parent
    return around is not None


def _write_formulas(tree: LexborHTMLParser) -> None:
    """Put LaTeX in the place of every formula; the last come first, so that inner ones are done before outer ones."""
    if tree.css_first(_SOURCE) is not None:  # MathJax 2 keeps the source behind what it has drawn of it
        for drawn in reversed(tree.css(_TYPESET)):
            drawn.decompose()
    for script in reversed(tree.css(_SOURCE)):
        _replace(script, script.text(), display="mode=display" in (script.attributes.get("type") or ""))
    for wrapper in reversed(tree.css(_WRAPPERS)):
        if (formula := wrapper.css_first("math")) is not None:
            _replace(wrapper, _read(formula), display=_is_display(wrapper) or _is_display(formula))
    for formula in reversed(tree.css("math")):
        _replace(formula, _read(formula), display=_is_display(formula))
    for picture in reversed(tree.css(_PICTURES)):
        _replace(picture, picture.attributes.get("alt") or "", display=_is_display(picture))


def _read(formula: LexborNode) -> str:
    """Read a formula of MathML: its TeX where it has any."""
    source = formula.css_first(_TEX)
    tex = formula.attributes.get("alttext") if source is None else source.text()
    return tex or write_mathml(formula)


def _is_display(node: LexborNode) -> bool:
    """Tell a formula on a line of its own."""
    if node.attributes.get("display") in ("block", "true"):
        return True
    around = node.parent.attributes.get("class") if node.parent is not None else ""
    return bool(_DISPLAYED.search(f"{node.attributes.get('class')} {around}"))


def _replace(node: LexborNode, tex: str, *, display: bool) -> None:
    tex = _BLANK.sub("\n", _STYLE.sub(r"\1", tex.strip()).strip())
    before, after = (_text_of(node.prev)[-1:], _text_of(node.next)[:1])
    node.replace_with(_delimit(tex, before, after, display=display) if tex else "")


def _delimit(tex: str, before: str, after: str, *, display: bool) -> str:
    r"""Set dollars around a formula; `\(` and `\)` where these would not be read as its own."""
    plain, safe = (f"$${tex}$$", f"\\[{tex}\\]") if display else (f"${tex}$", f"\\({tex}\\)")
    stands_alone = "$" not in (before, after) and find_plain_formulas(plain + after) == [(0, len(plain))]
    return plain if stands_alone else safe


def _text_of(node: LexborNode | None) -> str:
    return node.text_content or "" if node is not None and node.tag == "-text" else ""
