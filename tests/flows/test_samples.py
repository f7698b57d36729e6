"""The sample dumps: the same bytes again, and a truth that an independent reading of the files confirms."""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser
from itertools import combinations

import pytest

from flows.sample_texts import Voice, _parse
from flows.samples import DumpPlan, write_dump, write_posts
from schemas.drops import DropReason

FILES = ("Posts.xml", "Votes.xml", "Users.xml", "Comments.xml")


def rows_of(path):
    return [element.attrib for element in ET.parse(path).getroot()]


def lenient_rows(path):
    """Rows line by line, without those that no XML parser takes; and the number of those."""
    rows, broken = [], 0
    for line in path.read_bytes().split(b"\r\n")[2:-1]:
        try:
            rows.append(ET.fromstring(line).attrib)
        except ET.ParseError:
            broken += 1
    return rows, broken


def naive_grams(row):
    class Text(HTMLParser):
        def __init__(self):
            super().__init__()
            self.texts = []

        def handle_data(self, data):
            self.texts.append(data)

    parser = Text()
    parser.feed(row["Body"])
    words = re.findall(r"\w+", f"{row['Title']} {' '.join(parser.texts)}".lower())
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def jaccard(a, b):
    return len(a & b) / len(a | b)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    return folder, write_dump(folder, DumpPlan(300, dirty=False))


def test_the_same_plan_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    truths = [write_dump(tmp_path / name, DumpPlan(60, seed=seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    for file in FILES:
        a, b, c = ((tmp_path / name / file).read_bytes() for name in "abc")
        assert a == b
        assert a != c
    assert truths[0] == truths[1]


def test_clean_files_have_the_dumps_form(clean):
    folder, _ = clean
    for file in FILES:
        data = (folder / file).read_bytes()
        tag = file[:-4].lower().encode()
        assert data.startswith(b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\r\n<' + tag + b">\r\n  <row Id=")
        assert data.endswith(b" />\r\n</" + tag + b">")
        assert data.count(b"\n") == data.count(b"\r\n")
        assert len(rows_of(folder / file)) == data.count(b"<row ")


def test_truth_counts_what_a_reader_finds(clean):
    folder, truth = clean
    kinds = Counter(row["PostTypeId"] for row in rows_of(folder / "Posts.xml"))
    assert kinds == {"1": truth.questions, "2": truth.answers}
    assert truth.questions == 300
    assert truth.comments == len(rows_of(folder / "Comments.xml"))
    assert not truth.dirty
    assert not truth.orphan_answers


def test_truth_of_a_dirty_dump_accounts_for_every_row(tmp_path):
    truth = write_dump(tmp_path, DumpPlan(120))
    rows, broken = lenient_rows(tmp_path / "Posts.xml")
    found = Counter({"broken": broken})
    known = {row.get("Id") for row in rows}
    seen = set()
    for row in rows:
        if "Id" not in row or not re.fullmatch(r"-?\d+", row["Score"]):
            found[DropReason.BAD_ATTRIBUTE] += 1
        elif row["PostTypeId"] not in "12":
            found[DropReason.NOT_A_POST] += 1
        elif row["Id"] in seen:
            found[DropReason.DUPLICATE_ID] += 1
        elif row.get("ParentId") not in known | {None}:
            found[DropReason.ORPHAN_REPLY] += 1
            assert int(row["Id"]) in truth.orphan_answers
        elif not row["Body"]:
            found[DropReason.EMPTY_BODY] += 1
        else:
            found["question" if row["PostTypeId"] == "1" else "answer"] += 1
        seen.add(row.get("Id"))
    unreadable = (DropReason.CONTROL_CHARACTER, DropReason.INVALID_UTF8, DropReason.UNKNOWN_ENTITY)
    expected = {reason: n for reason, n in truth.dirty.items() if reason not in unreadable}
    assert expected.pop(DropReason.ORPHAN_COMMENT) == len(rows_of(tmp_path / "Comments.xml")) - truth.comments
    assert found == expected | {
        "question": truth.questions,
        "answer": truth.answers,
        "broken": sum(truth.dirty[reason] for reason in unreadable),
    }


def test_planted_twins_have_the_stated_jaccard_and_no_others_are_close(clean):
    folder, truth = clean
    grams = {int(row["Id"]): naive_grams(row) for row in rows_of(folder / "Posts.xml") if row["PostTypeId"] == "1"}
    assert len(truth.near_duplicates) == 15
    for twins in truth.near_duplicates:
        assert jaccard(grams[twins.first], grams[twins.second]) == pytest.approx(twins.jaccard)
        assert 0.4 < twins.jaccard < 1
    assert truth.exact_duplicates
    assert all(grams[a] == grams[b] for a, b in truth.exact_duplicates)
    planted = {frozenset((t.first, t.second)) for t in truth.near_duplicates} | set(
        map(frozenset, truth.exact_duplicates)
    )
    western = [number for number, found in grams.items() if len(found) > 60]
    assert max(jaccard(grams[a], grams[b]) for a, b in combinations(western, 2) if {a, b} not in planted) < 0.5


def test_votes_add_up_to_scores_and_accepted_answers_are_the_questions_own(clean):
    folder, _ = clean
    rows = {row["Id"]: row for row in rows_of(folder / "Posts.xml")}
    sums, accepts = Counter(), set()
    for vote in rows_of(folder / "Votes.xml"):
        sums[vote["PostId"]] += {"2": 1, "3": -1}.get(vote["VoteTypeId"], 0)
        accepts |= {vote["PostId"]} if vote["VoteTypeId"] == "1" else set()
    assert all(int(row["Score"]) == sums[number] for number, row in rows.items())
    accepted = {row["AcceptedAnswerId"]: number for number, row in rows.items() if "AcceptedAnswerId" in row}
    assert accepts == set(accepted)
    assert all(rows[answer]["ParentId"] == question for answer, question in accepted.items())


def test_better_answers_score_higher_but_not_always(clean):
    folder, _ = clean
    answers = [row for row in rows_of(folder / "Posts.xml") if row["PostTypeId"] == "2"]
    steps = [int(row["Score"]) for row in answers if "<ol>" in row["Body"]]
    short = [int(row["Score"]) for row in answers if len(row["Body"]) < 250]
    assert sum(steps) / len(steps) > sum(short) / len(short) + 1
    assert min(steps) < max(short)


@pytest.mark.parametrize("size", [2_000_000, 6_000_000])
def test_write_posts_hits_the_size_and_is_well_formed(tmp_path, size):
    count = write_posts(tmp_path / "Posts.xml", size)
    assert (tmp_path / "Posts.xml").stat().st_size == pytest.approx(size, rel=0.05)
    rows = rows_of(tmp_path / "Posts.xml")
    assert len(rows) == count
    assert [int(row["Id"]) for row in rows] == list(range(1, count + 1))
    questions = {row["Id"]: naive_grams(row) for row in rows if row["PostTypeId"] == "1"}
    assert all(row["ParentId"] in questions for row in rows if row["PostTypeId"] == "2")
    some = list(questions.values())[:400]
    close = sum(jaccard(a, b) > 0.7 for a, b in combinations(some, 2))
    assert close == len(some) // 20


def test_grammar_alternatives_nest_and_brackets_without_a_bar_are_text():
    class First:
        def random(self):
            return 0.0

    words = {"bird": _parse("wren|tit", {})}
    said = [Voice(First()).say(line) for line in _parse("[a [b|c]|d] {bird} [ -e x ] || {3-5} {n}", words)]
    assert said == ["a b wren [ -e x ] || 3 {n}"]


ORDER = [
    "Id",
    "PostTypeId",
    "AcceptedAnswerId",
    "ParentId",
    "CreationDate",
    "Score",
    "ViewCount",
    "Body",
    "OwnerUserId",
    "OwnerDisplayName",
    "LastEditorUserId",
    "LastEditDate",
    "LastActivityDate",
    "Title",
    "Tags",
    "AnswerCount",
    "CommentCount",
    "FavoriteCount",
    "ClosedDate",
    "CommunityOwnedDate",
    "ContentLicense",
]


def test_attributes_stand_in_the_dumps_order(clean, tmp_path):
    write_posts(tmp_path / "Posts.xml", 100_000)
    for row in rows_of(clean[0] / "Posts.xml") + rows_of(tmp_path / "Posts.xml"):
        assert list(row) == [name for name in ORDER if name in row]
