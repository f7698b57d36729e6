"""HTML of forum posts and web pages to Markdown, formulas and code verbatim, nothing executable.

Two ways lead to one stream of tags. Bodies as Stack Exchange's renderer writes them (few tags, well nested) are read
as they stand; all others go through an HTML5 parser (lexbor) and are read from its own, well-formed serialisation. One
writer turns the stream into Markdown. Nothing is recursive; quotes and lists are shown 24 deep, and of a body nested
more than 2,000 deep only the text is kept.

Choices: white space outside code and formulas is one space, and `<br>` a backslash at the line's end. `<sub>` and
`<sup>` are `x_2` and `x^2`, or plain where longer than a word; `<kbd>` is plain, `<del>` and `<s>` are `~~struck~~`.
A term and a summary are bold paragraphs, a definition a list item, a spoiler a quote. Tables are GitHub's; one that
has a `|` or a broken line in a cell becomes a list of its rows, as escaping `|` would change formulas. Links and images
without a safe, absolute address leave their text. Inside inline code a newline is a space.
"""

import re
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc
from selectolax.lexbor import LexborHTMLParser

from miners.text.fast import is_loaded, render_known
from miners.text.tags import CHILDREN, write

_INVISIBLE = ["script", "style", "iframe", "object", "embed", "applet", "template", "svg", "head", "title", "noembed"]
_INVISIBLE += ["noframes", "xmp", "plaintext", "textarea", "select", "button", "canvas", "audio", "video"]

_BAD = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile(r"[\0-\x08\x0b\x0e-\x1f\x7f]")
_TAG = re.compile(r'<(/?)([a-zA-Z][^\s/>]*)((?:\s[^\s=>]+="[^"]*")*)>|<!--.*?-->', re.DOTALL)
_TIDY_TAG = re.compile(
    r"<(/?)(p|a|em|strong|code|pre|li|[uo]l|blockquote|h[1-6]|br|hr|img|su[bp]|s|del|strike|kbd|b|i)"
    r'((?: [a-z]+="[^"<>]*")*) ?/?>'
)
_UNTIDY = re.compile(r"&(?!(?:[a-z]{2,6}|#39|#\d{3,4});)|<pre[^>]*>\n|<[a-z]+/|\r")
_MATH = re.compile(r'<(span|div) class="math[^">]*">([^<$]+)</\1>')  # Discourse's math plugin writes no dollars

_WORTH_LOADING = 4 << 20  # bytes of HTML: compiled code takes half a second to load, 20 s to compile the first time
_PIECE = 16 << 20  # bytes of HTML rendered at once: working memory is fifteen times that at most

_DEEPEST = 2000
"""Beyond this an HTML5 parser needs minutes (its scope searches grow with the square), and no person writes it."""
_NESTING = re.compile(r"(?i)<(/?)(?!(?:p|li|t[dhr]|d[dt]|br|hr|img|input|meta|link|option)\b)[a-z]")
_UNREAD = re.compile(rf"(?is)<({'|'.join(_INVISIBLE)})\b.*?(?:</\1\b[^>]*>|\Z)|<!--.*?(?:-->|\Z)|</?[a-z!?][^>]*>?")


def render_markdown(bodies: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Render HTML bodies (strings) as Markdown: one row out for each in, null for null.

    A large column goes the compiled way, a piece at a time; a small one is done before that would be loaded.
    """
    if isinstance(bodies, pa.ChunkedArray):
        return pa.chunked_array([render_markdown(chunk) for chunk in bodies.chunks], pa.string())
    bodies = bodies.cast(pa.large_string())  # whose size is that of its bytes, other than a view's
    if len(bodies) == 0 or (bodies.nbytes < _WORTH_LOADING and not is_loaded()):
        # HTML is read body by body: the format leaves no other way; nor for the bodies that are refused below.
        return pa.array([None if body is None else render(body) for body in bodies.to_pylist()], pa.string())
    rows = -(-len(bodies) * _PIECE // bodies.nbytes)
    return pa.concat_arrays([render_compiled(bodies.slice(start, rows)) for start in range(0, len(bodies), rows)])


def render_compiled(bodies: pa.Array) -> pa.Array:
    """Do the same for a column of any size by the compiled steps; bodies that they refuse are rendered one by one."""
    rendered, refused = render_known(bodies)
    rest = [render(body) for body in bodies.filter(pa.array(refused)).to_pylist()]
    return pc.replace_with_mask(rendered, pa.array(refused), pa.array(rest, pa.string()))


def render(html: str) -> str:
    """Render one HTML body as Markdown. Any string is accepted; lone surrogates become U+FFFD.

    >>> render('<p>see <a href="https://a.org/">it</a>: <em>$a_1 &lt; b_1$</em></p>')
    'see [it](https://a.org/): *$a_1 < b_1$*'
    """
    html = _CONTROLS.sub("", html if html.isascii() else _BAD.sub("\ufffd", html))
    tokens = tidy_tokens(html)
    if tokens is None:
        tokens = [_UNREAD.sub(" ", html)] if is_too_deep(html) else parsed_tokens(html)
    return write(tokens)


def tidy_tokens(html: str) -> list[str] | None:
    """Cut HTML at its tags: text, slash, name, attributes, text and so on; None where a parser must mend it first."""
    tokens = _TIDY_TAG.split(html)
    if len(tokens) // 4 != html.count("<") or _UNTIDY.search(html):
        return None
    opened = [""]
    for slash, name in zip(tokens[1::4], tokens[2::4], strict=True):
        if slash:
            if opened.pop() != name:
                return None
        elif name not in CHILDREN[opened[-1]] or (name == "a" and "a" in opened):
            return None
        elif name not in ("br", "hr", "img"):
            opened.append(name)
    return tokens if len(opened) == 1 else None


def parsed_tokens(html: str) -> list[str]:
    """Parse any HTML, drop what is never text, and cut it as `tidy_tokens` does."""
    parser = LexborHTMLParser(html.replace("\r\n", "\n").replace("\r", "\n"))
    parser.strip_tags(_INVISIBLE)
    body = parser.body
    serialised = (body.html if body is not None else parser.html) or ""
    if 'class="math' in serialised:
        serialised = _MATH.sub(
            lambda found: found[2].strip().join(["$$" if found[1] == "div" else "$"] * 2), serialised
        )
    return [token or "" for token in _TAG.split(_CONTROLS.sub("", serialised))]


def is_too_deep(html: str) -> bool:
    """Tell whether tags are nested so deep that only the text is worth reading. Never so where tags are few."""
    if html.count("<") < _DEEPEST:
        return False
    steps = (-1 if slash else 1 for slash in _NESTING.findall(html))
    return max(accumulate(steps), default=0) > _DEEPEST
