"""Sample dumps in the exact form of a Stack Exchange data dump, with texts of the project's own and a known truth.

`write_dump` writes a small forum with votes, users, comments, near-duplicates and broken rows, and says exactly what it
wrote; `write_posts` writes gigabytes of the same kind for benchmarks. The same plan gives the same bytes.
"""

import re
from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from random import Random

from flows import sample_texts as texts
from flows.sample_texts import ADVERBS, Attributes, Sections, Voice, grammar, write_row
from schemas.drops import DropReason

FIRST_DAY = datetime(2010, 3, 1)  # noqa: DTZ001 - dumps write UTC without saying so
DAYS = 5000
LICENSE_FROM = datetime(2018, 5, 2)  # noqa: DTZ001 - since then posts are CC BY-SA 4.0; old dumps do not say
REPLIES = (0.14, 0.48, 0.70, 0.83, 0.90, 0.94, 0.965, 0.978, 0.986, 0.991, 0.995, 0.998)
"""Cumulative share of questions with 0, 1, 2 ... answers, the rest has 12: many have none or one, a few a dozen."""
DIRTY_ROWS = 3  # of each kind


def _write(path: Path, rows: Iterable[bytes]) -> None:
    name = path.stem.lower().encode()
    head = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\r\n<' + name + b">\r\n"
    path.write_bytes(head + b"\r\n".join(rows) + b"\r\n</" + name + b">")


@dataclass(frozen=True)
class DumpPlan:
    """What to write. `near_duplicates` is the share of threads that nearly repeat another one."""

    threads: int
    seed: int = 7
    site: str = "garden.example.com"
    dirty: bool = True
    near_duplicates: float = 0.05
    votes: bool = True
    users: bool = True
    comments: bool = True


@dataclass(frozen=True)
class Twins:
    """Two questions of nearly the same text: their post ids, and the word 5-gram Jaccard of title and body."""

    first: int
    second: int
    jaccard: float


@dataclass(frozen=True)
class DumpTruth:
    """What was written: sound rows by kind, planted twins, and the dirty rows by the reason that should drop them."""

    questions: int
    answers: int
    comments: int
    dirty: Mapping[DropReason, int]
    near_duplicates: tuple[Twins, ...]
    exact_duplicates: tuple[tuple[int, int], ...]
    orphan_answers: tuple[int, ...]


@dataclass(slots=True)
class _Post:
    """A post before it is a row. `number` is its id, given in order of time."""

    created: datetime
    body: str
    score: int
    downs: int
    owner: int
    question: "_Post | None" = None
    title: str | None = None
    tags: str | None = None
    quality: float = 0.0
    number: int = 0
    accepted: "_Post | None" = None
    answers: list["_Post"] = field(default_factory=list)
    comments: int = 0


@dataclass(slots=True)
class _Thread:
    voice: Voice
    language: str
    lines: Sections
    question: _Post


def write_dump(folder: Path, plan: DumpPlan) -> DumpTruth:
    """Write Posts.xml and, as planned, Votes.xml, Users.xml and Comments.xml into the folder; say what is in them."""
    rng = Random(plan.seed)  # noqa: S311 - no secret
    threads, near, exact = _converse(rng, plan)
    posts = sorted((post for t in threads for post in (t.question, *t.question.answers)), key=lambda p: p.created)
    for number, post in enumerate(posts, 1):
        post.number = number
    folder.mkdir(parents=True, exist_ok=True)
    comments = list(_comments(rng, posts, plan.site)) if plan.comments else []
    lost = [_comment(9_000_000 + i, 8_000_000 + i, "Nobody knows this post.", FIRST_DAY, 1) for i in range(DIRTY_ROWS)]
    lost = lost if plan.dirty and plan.comments else []
    rows = [_post_row(post, rng).encode() for post in posts]
    dirty, orphans = _soil(rng, rows, posts) if plan.dirty else ({}, ())
    _write(folder / "Posts.xml", rows)
    if plan.comments:
        _write(folder / "Comments.xml", (row.encode() for row in comments + lost))
    if plan.votes:
        _write(folder / "Votes.xml", _votes(rng, posts))
    if plan.users:
        _write(folder / "Users.xml", _users(rng, _members(plan)))
    return DumpTruth(
        questions=len(threads),
        answers=len(posts) - len(threads),
        comments=len(comments),
        dirty=dirty | ({DropReason.ORPHAN_COMMENT: len(lost)} if lost else {}),
        near_duplicates=tuple(_twins(*pair) for pair in near),
        exact_duplicates=tuple((a.number, b.number) for a, b in exact),
        orphan_answers=orphans,
    )


Pairs = list[tuple[_Post, _Post]]


def _members(plan: DumpPlan) -> int:
    return 12 + plan.threads // 4


def _converse(rng: Random, plan: DumpPlan) -> tuple[list[_Thread], Pairs, Pairs]:
    """Hold all conversations: threads, then the pairs of near and of exact duplicates among their questions."""
    near = int(plan.threads * plan.near_duplicates)
    exact = min(near, max(1, plan.threads // 200))
    members = _members(plan)
    threads = [_open_thread(rng, members) for _ in range(plan.threads - near - exact)]
    twinnable = [thread for thread in threads if thread.language in ADVERBS]
    originals = rng.sample(twinnable, min(len(twinnable), near + exact))
    pairs = [(thread.question, _repeat(rng, thread, i < near, members)) for i, thread in enumerate(originals)]
    threads += [_Thread(t.voice, t.language, t.lines, copy) for t, (_, copy) in zip(originals, pairs, strict=True)]
    while len(threads) < plan.threads:
        threads.append(_open_thread(rng, members))
    for thread in threads:
        _reply(rng, thread, members)
    return threads, pairs[:near], pairs[near:]


def _chance(rng: Random, share: float) -> bool:
    return rng.random() < share


def _owner(rng: Random, members: int) -> int:
    """Few members write most posts; 0 is a deleted account."""
    return 0 if _chance(rng, 0.02) else 1 + int(members * rng.random() ** 2)


def _open_thread(rng: Random, members: int) -> _Thread:
    problems = grammar().problems
    english = [problem for problem in problems if problem[0] == "en"]
    language, lines = rng.choice(english if _chance(rng, 0.85) else problems)
    voice = Voice(rng)
    title, tags, body = texts.ask(voice, language, lines)
    created = FIRST_DAY + timedelta(milliseconds=int(rng.random() * DAYS * 86_400_000))
    score = round(rng.lognormvariate(0.9, 1.0)) - 1
    question = _Post(created, body, score, _downs(rng, score), _owner(rng, members), title=title, tags=tags)
    return _Thread(voice, language, lines, question)


def _repeat(rng: Random, thread: _Thread, near: bool, members: int) -> _Post:  # noqa: FBT001 - internal
    """Ask the same again later, in nearly or exactly the same words."""
    first = thread.question
    body = texts.retouch(thread.voice, thread.language, first.body) if near else first.body
    created = first.created + timedelta(days=rng.randint(2, 300), seconds=rng.randint(0, 86_399))
    return _Post(created, body, rng.randint(-2, 3), 2, _owner(rng, members), title=first.title, tags=first.tags)


def _downs(rng: Random, score: int) -> int:
    return max(-score, 0) + int(rng.random() ** 4 * 4)


def _reply(rng: Random, thread: _Thread, members: int) -> None:
    """Answer a question: scores follow quality and the question's popularity, with noise; about half get accepted."""
    question = thread.question
    popularity = 1 + max(question.score, 0) ** 0.7
    for _ in range(bisect(REPLIES, rng.random())):
        quality = rng.random() ** 0.6
        body = texts.answer(thread.voice, thread.language, thread.lines, quality)
        score = round(popularity * (2 * quality - 0.5) * rng.lognormvariate(0, 0.5) + rng.gauss(0, 0.7))
        hours = rng.lognormvariate(2, 2)
        created = question.created + timedelta(milliseconds=int(hours * 3_600_000) + 60_000)
        post = _Post(created, body, score, _downs(rng, score), _owner(rng, members), question, quality=quality)
        question.answers.append(post)
    if question.answers and _chance(rng, 0.6):
        question.accepted = max(question.answers, key=lambda post: post.quality + rng.gauss(0, 0.2))


def _post_row(post: _Post, rng: Random) -> str:
    """Write a post with its attributes in the dumps' order."""
    asked = post.question is None
    edited = post.created + timedelta(seconds=rng.randint(60, 4_000_000)) if _chance(rng, 0.3) else None
    editor = max(post.owner, 1) if _chance(rng, 0.6) else -1
    active = max([edited or post.created, *(reply.created for reply in post.answers)])
    closed = asked and _chance(rng, 0.04)
    return write_row(
        [
            ("Id", post.number),
            ("PostTypeId", 1 if asked else 2),
            ("AcceptedAnswerId", post.accepted.number if post.accepted else None),
            ("ParentId", post.question.number if post.question else None),
            ("CreationDate", post.created),
            ("Score", post.score),
            ("ViewCount", int((post.score + 6) ** 1.5 * rng.randint(8, 60)) if asked else None),
            ("Body", post.body),
            ("OwnerUserId", post.owner or None),
            ("OwnerDisplayName", None if post.owner else f"user{rng.randint(100, 9999)}"),
            ("LastEditorUserId", editor if edited else None),
            ("LastEditDate", edited),
            ("LastActivityDate", active),
            ("Title", post.title),
            ("Tags", post.tags),
            ("AnswerCount", len(post.answers) if asked else None),
            ("CommentCount", post.comments),
            ("FavoriteCount", rng.randint(1, 9) if asked and _chance(rng, 0.15) else None),
            ("ClosedDate", post.created + timedelta(hours=rng.randint(1, 900)) if closed else None),
            ("CommunityOwnedDate", post.created if _chance(rng, 0.01) else None),
            ("ContentLicense", "CC BY-SA 4.0" if post.created >= LICENSE_FROM else None),
        ]
    )


def _comment(number: int, post: int, text: str, created: datetime, user: int) -> str:
    fields: Attributes = [
        ("Id", number),
        ("PostId", post),
        ("Score", number % 7 // 5),
        ("Text", text),
        ("CreationDate", created),
    ]
    return write_row([*fields, ("UserId", user or None), ("UserDisplayName", None if user else "user77")])


def _comments(rng: Random, posts: list[_Post], site: str) -> Iterator[str]:
    lines, number = grammar().words["comment"], 0
    for post in posts:
        voice = Voice(rng)
        voice.kept["site"] = site
        post.comments = int(rng.random() ** 3 * 5)
        for i in range(post.comments):
            number += 1
            created = post.created + timedelta(minutes=1 + 47 * i + rng.randint(0, 40))
            yield _comment(number, post.number, voice.one(lines), created, _owner(rng, 12))


def _votes(rng: Random, posts: list[_Post]) -> Iterator[bytes]:
    """Write votes that add up to each score: 2 is up, 3 is down, 1 accepts, 5 is a bookmark."""
    accepted = {post.accepted.number for post in posts if post.accepted}
    votes = []
    for post in posts:
        kinds = [2] * (post.score + post.downs) + [3] * post.downs + [1] * (post.number in accepted)
        kinds += [5] * (post.question is None and _chance(rng, 0.1))
        day = post.created.replace(hour=0, minute=0, second=0, microsecond=0)
        votes += [(day + timedelta(days=int(rng.random() ** 3 * 400)), post.number, kind) for kind in kinds]
    for number, (day, post_number, kind) in enumerate(sorted(votes), 1):
        user = f' UserId="{1 + number % 9}"' if kind == 5 else ""  # noqa: PLR2004 - the bookmark of the line above
        date = day.isoformat(timespec="milliseconds")
        vote = f'Id="{number}" PostId="{post_number}" VoteTypeId="{kind}"{user} CreationDate="{date}"'
        yield f"  <row {vote} />".encode()


def _users(rng: Random, members: int) -> Iterator[bytes]:
    words = grammar().words
    for number in (-1, *range(1, members + 1)):
        voice = Voice(rng)
        name = f"{voice.one(words['name'])} {voice.one(words['surname'])}" if number > 0 else "Community"
        created = FIRST_DAY + timedelta(seconds=rng.randint(0, 40_000_000))
        yield write_row(
            [
                ("Id", number),
                ("Reputation", 1 + int(rng.paretovariate(0.7))),
                ("CreationDate", created),
                ("DisplayName", name),
                ("LastAccessDate", created + timedelta(days=rng.randint(1, 3000))),
                ("Location", voice.one(words["town"]) if _chance(rng, 0.6) else None),
                ("AboutMe", f"<p>{voice.one(words['about'])}</p>\n" if _chance(rng, 0.4) else None),
                ("Views", rng.randint(0, 90)),
                ("UpVotes", rng.randint(0, 400)),
                ("DownVotes", rng.randint(0, 30)),
                ("AccountId", 100_000 + 7 * number),
            ]
        ).encode()


def _soil(rng: Random, rows: list[bytes], posts: list[_Post]) -> tuple[dict[DropReason, int], tuple[int, ...]]:
    """Put dirty rows at random places of the rows; return their number by reason, and the orphans' ids."""
    fresh = len(posts) + 1
    parent = next(post.number for post in posts if post.question is None)
    orphans = tuple(range(fresh, fresh + DIRTY_ROWS))
    spoilt: list[tuple[DropReason, bytes]] = [
        (DropReason.ORPHAN_REPLY, _answer_row(number, 7_000_000 + number)) for number in orphans
    ]
    for number in range(fresh + DIRTY_ROWS, fresh + 10 * DIRTY_ROWS, 9):
        row = _answer_row(number, parent)
        spoilt += [
            (DropReason.CONTROL_CHARACTER, row.replace(b"quiet", b"qu\x0biet")),
            (DropReason.INVALID_UTF8, _answer_row(number + 1, parent).replace(b"quiet", b"caf\xe9 \xff")),
            (DropReason.UNKNOWN_ENTITY, _answer_row(number + 2, parent).replace(b"quiet", b"quiet&nbsp;")),
            (DropReason.BAD_ATTRIBUTE, re.sub(rb'Id="\d+" ', b"", row, count=1)),
            (DropReason.BAD_ATTRIBUTE, _answer_row(number + 3, parent).replace(b'Score="0"', b'Score="n/a"')),
            (DropReason.EMPTY_BODY, re.sub(rb'Body="[^"]*"', b'Body=""', _answer_row(number + 4, parent))),
            (DropReason.NOT_A_POST, _answer_row(number + 5, None, kind=4)),
            (DropReason.NOT_A_POST, _answer_row(number + 6, None, kind=5)),
            (DropReason.DUPLICATE_ID, rng.choice(rows)),
        ]
    for _, row in spoilt:
        rows.insert(rng.randint(0, len(rows)), row)
    reasons = [reason for reason, _ in spoilt]
    return {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}, orphans


def _answer_row(number: int, parent: int | None, kind: int = 2) -> bytes:
    """Write a plain row for `_soil` to spoil."""
    dates: Attributes = [("OwnerUserId", 1), ("LastActivityDate", FIRST_DAY), ("CommentCount", 0)]
    body = f"<p>On day {number} it was quiet, and nothing else happened in the garden.</p>\n"
    start: Attributes = [("Id", number), ("PostTypeId", kind), ("ParentId", parent), ("CreationDate", FIRST_DAY)]
    return write_row([*start, ("Score", 0), ("Body", body), *dates]).encode()


def _twins(first: _Post, second: _Post) -> Twins:
    both = (f"{escape(post.title or '')} {post.body}" for post in (first, second))
    return Twins(first.number, second.number, texts.word_jaccard(*both))


BREAK = "&#xA;"
LOG_LINES = 10  # of five words each: they alone hold two questions of otherwise equal text under a Jaccard of 0.7
REPEAT_EVERY = 20  # questions: each 20th nearly repeats the one before


def write_posts(path: Path, size_bytes: int, seed: int = 7) -> int:
    """Write a Posts.xml of about the size, in rounds of some thousand rows; return the number of rows.

    Questions are put together from paragraphs of the same voices as in `write_dump`, each with a log of its own words.
    """
    rng = Random(seed)  # noqa: S311 - no secret
    rows, written = 0, 0
    with path.open("wb") as file:
        file.write(b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\r\n<posts>\r\n')
        for thread in _endless_threads(rng):
            rows += len(thread)
            written += file.write(("\r\n".join(thread) + "\r\n").encode())
            if written >= size_bytes:
                break
        file.write(b"</posts>")
    return rows


def _endless_threads(rng: Random) -> Iterator[list[str]]:
    """Compose rows, thread by thread, without end."""
    voices, words, number = (
        list(texts.chorus(rng)),
        [str(Voice(rng).one(grammar().words["word"])) for _ in range(64)],
        0,
    )
    logs = [f"{w} {rng.randint(10, 99999)} {rng.choice(words)} {rng.randint(10, 99999)} ok" for w in words * 128]
    dates = [(FIRST_DAY + timedelta(hours=5 * i)).isoformat(timespec="milliseconds") for i in range(24_000)]
    parts, replies, log = [""], [""], [""]
    for turn in range(1, 1 << 60):
        if turn % REPEAT_EVERY:
            columns, replies = rng.choice(voices)
            parts = [column[int(rng.random() * len(column))] for column in columns]
            log = rng.choices(logs, k=LOG_LINES)
        else:
            log = [rng.choice(logs), *log[1:]]
        body = f"{parts[2]}{BREAK}&lt;pre&gt;&lt;code&gt;{BREAK.join(log)}{BREAK}&lt;/code&gt;&lt;/pre&gt;"
        answers = [int(rng.random() * len(replies)) for _ in range(bisect(REPLIES, rng.random()))]
        number, asked, date = number + 1, number + 1, dates[(turn >> 5) % len(dates)]
        owner = f'OwnerUserId="{turn % 9973}" LastActivityDate="{date}"'
        start, end = f'CreationDate="{date}" Score=', 'CommentCount="0" ContentLicense="CC BY-SA 4.0" />'
        text = f'ViewCount="{turn % 997}" Body="{body}{BREAK}{BREAK.join(parts[3:])}"'
        heading = f'Title="{parts[0]}" Tags="{parts[1]}" AnswerCount="{len(answers)}"'
        thread = [f'  <row Id="{asked}" PostTypeId="1" {start}"{turn % 11}" {text} {owner} {heading} {end}']
        for i in answers:
            number += 1
            text = f'"{i - number % 4}" Body="{replies[i]}&lt;p&gt;({logs[number & 8191]})&lt;/p&gt;{BREAK}"'
            thread.append(f'  <row Id="{number}" PostTypeId="2" ParentId="{asked}" {start}{text} {owner} {end}')
        yield thread
