"""Progress: what a person reads of an asking, on a terminal and in a log."""

import io

import pytest
from rich.console import Console

from flows.judging.answering import Headway
from flows.progress import Bars, Lines, describe_headway
from schemas.judging import State

HALF = Headway(
    done=500,
    total=1000,
    rate=12.5,
    prompt_tokens=90_000,
    completion_tokens=500,
    states={State.OK: 480, State.ERROR: 20},
)


def test_an_asking_is_described_in_a_line() -> None:
    assert describe_headway(HALF) == "480 ok, 20 error, 12.5/s, 0:00:40 left, 90.5k tokens"
    assert describe_headway(Headway(done=3)) == "0.0/s, 0 tokens"


def test_a_terminal_shows_questions_on_a_bar_of_their_own() -> None:
    screen = io.StringIO()
    with Bars(Console(file=screen, force_terminal=True, width=160)) as bars:
        bars.begin("questions", "garden", 4, 1)
        bars.advance("questions", "garden")
        bars.ask(Headway(done=1, total=None))
        bars.ask(HALF)
    shown = screen.getvalue().rsplit("\x1b[2K", 1)[-1]
    assert "2/4" in shown
    assert "partitions" in shown
    assert "500/1000" in shown
    assert "480 ok, 20 error, 12.5/s, 0:00:40 left" in shown


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_narrow_terminal_shows_bars_counts_and_tokens(width):
    screen = io.StringIO()
    with Bars(Console(file=screen, force_terminal=True, color_system=None, width=width)) as bars:
        bars.begin("refusal-questions", "wildchat", 4096, 512)
        bars.begin("threads", "a-site-with-a-long-name.stackexchange.com", 64, 0)
        states = dict.fromkeys(State, 9_999)
        bars.ask(Headway(1_234_567, 3_012_345, rate=812.53, prompt_tokens=90_318_442, states=states))
    shown = screen.getvalue().rsplit("\x1b[2K", 1)[-1].partition("\x1b")[0].splitlines()
    assert all(len(line) <= width for line in shown)
    refusals, threads, asking, *below = shown
    assert [line.count("\u2501") > 0 for line in (refusals, threads, asking)] == [True, False, True]
    assert refusals.split()[2:] == ["512/4096", "partitions", "0:00:00", "512", "already", "made"]
    assert threads.split()[1:4] == ["0/64", "partitions", "0:00:00"]
    assert threads.split()[4].startswith("a-site")
    assert asking.split()[2:] == ["1234567/3012345", "questions", "0:00:00"]
    told = " ".join(line.strip() for line in below)
    assert told.startswith("asking: 9,999 ok")
    assert told.endswith("812.5/s, 0:36:28 left, 90.3M tokens")


def test_a_log_has_a_line_a_minute_and_one_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, now = Lines(), [1000.0]
    monkeypatch.setattr("flows.progress.time.monotonic", lambda: now[0])
    for seconds in (0, 1, 58, 2, 30):
        now[0] += seconds
        lines.ask(HALF)
    lines.ask(Headway(done=1000, total=1000))
    lines.ask(Headway(done=1000, total=1000))  # the sum behind the last answer
    said = capsys.readouterr().err.splitlines()
    assert [line.split(" questions")[0] for line in said] == ["asking: 500 of 1,000"] * 2 + ["asking: 1,000 of 1,000"]
