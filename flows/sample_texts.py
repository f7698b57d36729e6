"""The voices of the sample dumps: speaks the grammar of sample_texts.txt, and composes posts from it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from html import escape, unescape
from pathlib import Path
from random import Random

GRAMMAR = Path(__file__).with_name("sample_texts.txt")
ADVERBS = {"en": ("really", "also", "still"), "fr": ("aussi", "encore"), "de": ("auch", "noch"), "es": ("ya", "hoy")}
"""What a near-duplicate says more than its original. Languages that are not here have no near-duplicates."""
WEAK, GOOD, BEST = 0.3, 0.6, 0.8  # qualities from which an answer explains, gives steps, adds caveats

Attributes = Iterable[tuple[str, str | int | datetime | None]]
Part = str | Callable[["Voice"], str]
Line = tuple[Part, ...]
Sections = Mapping[str, tuple[Line, ...]]


class Voice:
    """One thread's speaker: draws words, and keeps those that the thread is about."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.kept: dict[str, str] = {}

    def say(self, line: Line) -> str:
        """Speak one line of the grammar."""
        return "".join([part if isinstance(part, str) else part(self) for part in line])

    def keep(self, key: str, draw: Callable[["Voice"], str]) -> str:
        """Draw once per thread."""
        if key not in self.kept:
            self.kept[key] = draw(self)
        return self.kept[key]

    def some(self, lines: tuple[Line, ...], least: int, most: int) -> list[str]:
        """Speak between `least` and `most` different lines."""
        return [self.say(line) for line in self.rng.sample(lines, min(len(lines), self.rng.randint(least, most)))]

    def chance(self, share: float) -> bool:
        """Say yes in this share of cases."""
        return self.rng.random() < share

    def one(self, lines: tuple[Line, ...]) -> str:
        """Speak any one line."""
        return self.say(lines[int(self.rng.random() * len(lines))])


@dataclass(frozen=True)
class Grammar:
    """The parsed text file: shared words, and the problems with their languages."""

    words: Sections
    problems: tuple[tuple[str, Sections], ...]


@cache
def grammar() -> Grammar:
    """Read and parse the grammar, once."""
    text = GRAMMAR.read_text(encoding="utf-8").replace("\n  ", " ")
    words: dict[str, tuple[Line, ...]] = {}
    blocks = [block.split("\n", 1) for block in re.split(r"^# ", text, flags=re.MULTILINE)[1:]]
    parsed = [(name.strip(), _parse_sections(body, words)) for name, body in blocks]
    words.update(parsed[0][1])
    return Grammar(words, tuple(parsed[1:]))


def _parse_sections(body: str, words: Sections) -> Sections:
    named = re.split(r"^([a-z]+):\n", body, flags=re.MULTILINE)[1:]
    return {
        name: tuple(line for text in lines.splitlines() if text for line in _parse(text, words))
        for name, lines in zip(named[::2], named[1::2], strict=True)
    }


_TOKEN = re.compile(r"\{=?(?:[a-z]{3,}|\d+-\d+)\}|[\[\]|]|[^\[\]|{]+|\{")


def _parse(text: str, words: Sections) -> list[Line]:
    """Parse one line into its alternatives."""
    stack: list[list[list[Part]]] = [[[]]]
    for match in _TOKEN.finditer(text):
        token = match.group()
        spaced = " " in text[match.start() - 1 : match.end() + 1] or "||" in text[match.start() - 1 : match.end() + 1]
        if token == "[":  # noqa: S105 - a bracket, no password
            stack.append([[]])
        elif token == "]" and len(stack) > 1:  # noqa: S105
            choices = stack.pop()
            stack[-1][-1] += _one_of(choices) if len(choices) > 1 else ["[", *choices[0], "]"]
        elif token == "|" and (len(stack) > 1 or not spaced):  # noqa: S105
            stack[-1].append([])
        else:
            stack[-1][-1].append(_reference(token, words) if len(token) > 1 and token[0] == "{" else token)
    return [tuple(parts) for parts in stack[0]]


def _one_of(choices: list[list[Part]]) -> list[Part]:
    lines = tuple(tuple(parts) for parts in choices)
    return [lambda voice: voice.one(lines)]


def _reference(token: str, words: Sections) -> Callable[[Voice], str]:
    name = token.strip("{}=")

    def draw(voice: Voice) -> str:
        if name[0].isdigit():
            low, high = name.split("-")
            return str(int(low) + int(voice.rng.random() * (int(high) - int(low) + 1)))
        return voice.one(words[name])

    return (lambda voice: voice.keep(name, draw)) if token[1] == "=" else draw


_SPANS = re.compile(r"(`[^`]+`|\$\$.+?\$\$|\$[^$]+\$)")


def _plain(text: str, language: str = "en") -> str:
    """Begin with a capital, and say `an` where English does."""
    text = re.sub(r" +(?= |[.,](?: |$))", "", text)  # an alternative may be empty
    if language == "en":
        text = re.sub(r"\b([Aa])(?= (?:[aei]|o(?!ne)|8|11\b|18\b))(?![^$]*\\)", r"\1n", text)
    return text[:1].upper() + text[1:]


def _inline(text: str) -> str:
    """Turn a sentence's marks into HTML, formulas and code untouched."""
    pieces = _SPANS.split(escape(text, quote=False))
    for i, piece in enumerate(pieces):
        if i % 2:
            pieces[i] = f"<code>{piece[1:-1]}</code>" if piece[0] == "`" else piece
        else:
            linked = re.sub(r"&lt;(http\S+?)&gt;", r'<a href="\1" rel="nofollow noreferrer">\1</a>', piece)
            pieces[i] = re.sub(r"\*([^\s*.][^*]*)\*", r"<em>\1</em>", linked)
    return "".join(pieces)


def _paragraph(sentences: Iterable[str], language: str) -> str:
    joined = ("" if language == "ja" else " ").join(_inline(_plain(text, language)) for text in sentences)
    return f"<p>{joined}</p>\n"


def _listed(tag: str, sentences: Iterable[str], language: str) -> str:
    items = "".join(f"<li>{_inline(_plain(text, language))}</li>\n" for text in sentences)
    return f"<{tag}>\n{items}</{tag}>\n"


def _code(text: str) -> str:
    return "<pre><code>" + escape(text.replace("¶", "\n"), quote=False) + "\n</code></pre>\n"


def ask(voice: Voice, language: str, lines: Sections) -> tuple[str, str, str]:
    """Compose a question: title, `<a><b>` tags, HTML body."""
    shared = grammar().words
    title = _plain(voice.one(lines["title"]), language)
    tags = "".join(f"<{tag.strip().replace(' ', '-')}>" for tag in dict.fromkeys(voice.one(lines["tags"]).split(",")))
    details = voice.some(lines["detail"], 4, 7)
    blocks = [_paragraph([voice.one(lines["open"]), *details[:2]], language)]
    if voice.chance(0.4):
        blocks.append(_listed("ul", details[2:], language))
    else:
        blocks.append(_paragraph(details[2:], language))
    if "code" in lines and voice.chance(0.5):
        blocks.append(_code(voice.one(lines["code"])))
    blocks.append(_paragraph([*voice.some(lines["tried"], 1, 2), *voice.some(lines["ask"], 2, 3)], language))
    if language == "en" and voice.chance(0.35):
        blocks.append(_paragraph([voice.one(shared["thanks"])], language))
    return title, tags, "\n".join(blocks)


def answer(voice: Voice, language: str, lines: Sections, quality: float) -> str:
    """Compose an answer's HTML: the better, the longer, the more specific, and with steps in order."""
    shared = grammar().words
    if quality < WEAK:
        kind = lines["wrong"] if voice.chance(0.45) else lines["weak"]
        chatter = shared["shrug"] if language == "en" else lines["weak"]
        return _paragraph(dict.fromkeys([voice.one(kind), *voice.some(chatter, 0, 1)]), language)
    opening = [voice.one(shared["praise"])] if language == "en" and voice.chance(0.6) else []
    steps = voice.some(lines["step"], 2, 3) if quality < GOOD else voice.some(lines["step"], 4, 6)
    if quality < GOOD:
        why = voice.some(lines["why"], 1, 1)
        return _paragraph([*opening, voice.one(lines["cause"])], language) + "\n" + _paragraph(steps + why, language)
    blocks = [_paragraph([*opening, voice.one(lines["cause"]), *voice.some(lines["why"], 1, 2)], language)]
    if voice.chance(0.2):
        quoted = _paragraph([voice.one(lines["ask"])], language)
        blocks.insert(0, f"<blockquote>\n{quoted}</blockquote>\n")
    blocks.append(_listed("ol", steps, language))
    if quality > BEST:
        blocks.append(_paragraph([voice.one(lines["caveat"])], language))
        if language == "en" and voice.chance(0.4):
            blocks.append(_paragraph([voice.one(shared["link"])], language))
    return "\n".join(blocks)


def retouch(voice: Voice, language: str, body: str) -> str:
    """Say the same a little differently: one to eight adverbs more, none inside code, tags or formulas."""
    pieces = re.split(r"(<pre>.*?</pre>|<code>.*?</code>|<[^>]+>|\$\$.+?\$\$|\$[^$]+\$|&\w+;)", body, flags=re.DOTALL)
    prose = [i for i in range(0, len(pieces), 2) if pieces[i].strip().count(" ") > 1]
    for _ in range(voice.rng.randint(1, 8)):
        i = voice.rng.choice(prose)
        words = pieces[i].split(" ")
        words.insert(voice.rng.randrange(1, len(words)), voice.rng.choice(ADVERBS[language]))
        pieces[i] = " ".join(words)
    return "".join(pieces)


def word_jaccard(first: str, second: str) -> float:
    r"""Share of word 5-grams that two HTML texts have in common (words: `\w+` of the text in lower case)."""
    sets = []
    for text in (first, second):
        words = re.findall(r"\w+", unescape(re.sub(r"<[^>]+>", " ", text)).lower())
        sets.append(set(zip(*(words[i:] for i in range(5)), strict=False)))
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def escape_attribute(text: str) -> str:
    """Escape an attribute's value as the dumps do."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return text.replace("\n", "&#xA;")


def write_row(attributes: Attributes) -> str:
    """Write one row; an attribute that is None is left out."""
    texts = []
    for name, value in attributes:
        if value is not None:
            text = value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else str(value)
            texts.append(f'{name}="{escape_attribute(text)}"')
    return f"  <row {' '.join(texts)} />"


def chorus(rng: Random) -> Iterator[tuple[list[list[str]], list[str]]]:
    """Prepare, voice by voice, escaped parts of a question (title, tags, first, middle, last) and whole answers."""
    for language, lines in grammar().problems:
        for _ in range(8):
            voice = Voice(rng)
            asked = [ask(voice, language, lines) for _ in range(12)]
            blocks = [(title, tags, *body.split("\n\n", 2)) for title, tags, body in asked]
            replies = [answer(voice, language, lines, i / 12) for i in range(12)]
            columns = zip(*blocks, strict=True)
            yield (
                [[escape_attribute(str(text)) for text in column] for column in columns],
                [escape_attribute(text) for text in replies],
            )
