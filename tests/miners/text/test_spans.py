import pytest
from hypothesis import given
from hypothesis import strategies as st

from miners.text.spans import ENVIRONMENTS, find_sentence_ends, find_spans

MARKS = ("$", "$$", "\\(", "\\)", "\\[", "\\]", "\\", "`", "```", "~~~", "\n", "\n\n", "\\begin{align}", "\\end{align}")
MARKS += (" ", "a", "B", ".", "!", "?", "。", "।", "؟", "”", "é", "😀", "\r\n", "\x00", "e.g.", "12.")
ANY_TEXT = st.text() | st.lists(st.sampled_from(MARKS), max_size=40).map("".join)


def spans(text):
    return [text[begin:end] for begin, end in find_spans(text)]


def sentences(text):
    ends = find_sentence_ends(text)
    return [text[begin:end].strip() for begin, end in zip([0, *ends], [*ends, len(text)], strict=True)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("let $x_1$ and $y$ be", ["$x_1$", "$y$"]),
        ("so\n$$\na + b\n$$\nholds", ["$$\na + b\n$$"]),
        (r"\(a\) is \[ b \mbox{ if $c$} \].", [r"\(a\)", r"\[ b \mbox{ if $c$} \]"]),
        (r"a \$5 bill and \$6", []),
        (r"$a \$ b$", [r"$a \$ b$"]),
        (r"a line\\[2pt] and \\(b)", []),
        ("a stray $ here\n\nand $x$ there", ["$x$"]),
        ("a stray $$ here\n\nand $$x$$ there", ["$$x$$"]),
        (r"a stray \[ with $x$ and \begin{align} $y$", ["$x$", "$y$"]),
        (r"\begin{align*} a \\ b \end{align*} c", [r"\begin{align*} a \\ b \end{align*}"]),
        (r"\begin{align} a \end{align*}", []),
        (r"\begin{proof} by $x$ \end{proof}", ["$x$"]),
        (
            r"\begin{array} \begin{array} \end{array} \end{array}",
            [r"\begin{array} \begin{array} \end{array} \end{array}"],
        ),
        (r"\begin{array} \begin{array} \end{array} $x$", [r"\begin{array} \begin{array} \end{array}", "$x$"]),
        ("```py\na = '$'\n\nb\n```\n$x$", ["```py\na = '$'\n\nb\n```", "$x$"]),
        ("> ~~~\n> a\n\nb\n~~~", ["~~~\n> a\n\nb\n~~~"]),
        ("- ```\n  a\n  ```", ["```\n  a\n  ```"]),
        ("a~~~b and ``c ` d`` or `e`", ["`e`"]),
        ("an open ``` fence, $x$", ["$x$"]),
        ("`$` is a sign, $ too", ["`$`"]),
    ],
)
def test_what_is_not_to_be_cut(text, found):
    assert spans(text) == found


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_is_one_thing(name):
    text = f"\\begin{{{name}}} a.\n\n b \\end{{{name}}}"
    assert spans(f"Before {text} after") == [text]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("He said “No.” (Twice.) Then he left.", ["He said “No.”", "(Twice.)", "Then he left.", ""]),
        ("It is 3.14 or v1.2.3; see a.b.", ["It is 3.14 or v1.2.3; see a.b.", ""]),
        ("By E. Noether, Fig. 3, i.e. Eq. 4. So", ["By E. Noether, Fig. 3, i.e. Eq. 4.", "So"]),
        ("It goes on ... and on. really", ["It goes on ... and on. really"]),
        ("1. First\n2. Second", ["1. First\n2. Second"]),
        ("Title\n\nText\n \n\nMore", ["Title", "Text", "More"]),
        ("Title\r\n\r\nText.\r\n\r\nMore", ["Title", "Text.", "More"]),
        ("这是群。它有限！“是吗？”好", ["这是群。", "它有限！", "“是吗？”", "好"]),  # noqa: RUF001
        ("यह समूह है। वह भी॥ अंत", ["यह समूह है।", "वह भी॥", "अंत"]),
        ("هل هذا عدد؟ نعم. انتهى", ["هل هذا عدد؟", "نعم.", "انتهى"]),
        ("Это группа. Да! конец", ["Это группа.", "Да!", "конец"]),
    ],
)
def test_where_sentences_end(text, found):
    assert sentences(text) == found


def test_the_white_space_between_sentences_belongs_to_the_second():
    text = "One.\n\n  Two."
    assert find_sentence_ends(text) == [4, len(text)]


@given(ANY_TEXT)
def test_spans_lie_in_order_within_the_text(text):
    places = [place for span in find_spans(text) for place in span]
    assert places == sorted(places)
    assert all(0 <= begin < end <= len(text) for begin, end in find_spans(text))


@given(ANY_TEXT)
def test_sentence_ends_lie_in_order_within_the_text_and_follow_something(text):
    ends = find_sentence_ends(text)
    assert ends == sorted(set(ends))
    assert all(0 < end <= len(text) for end in ends)


@pytest.mark.parametrize("mark", [*MARKS, "$ a\n\n", "` ", "\\[ ", ". ", "``a`", ".”", "\n "])
def test_a_text_of_nothing_but_openers_is_read_in_one_go(mark):
    text = mark * 50_000  # were the time of a search to grow with its square, this would not come to an end
    assert len(find_spans(text)) + len(find_sentence_ends(text)) <= len(text)
