"""Where the tables of a Stack Exchange dump are: in folders, in archives, in sets of archives."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import PurePosixPath

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from miners.formats.archives import list_members
from miners.source import Slice
from schemas.errors import InputError

TABLES = ("posts", "votes", "comments", "users")
"""The tables we read; their files are Posts.xml and so on, their root elements <posts> and so on."""

_EXPECTED = "a folder with Posts.xml, a Posts.xml, a .7z with one, or a folder of these"
_SPLIT = re.compile(r"(?P<entry>.+)-(?P<table>[A-Za-z]+)\.7z")
_SNAPSHOT = re.compile(r"[-_]\d{4}(?:[-_]?\d{2}){0,2}$")


def community_of(entry: str) -> str:
    """Name the site of a folder or archive, whose own name may end in the date of the snapshot.

    >>> community_of("beer.stackexchange.com-2016-12")
    'beer.stackexchange.com'
    """
    return _SNAPSHOT.sub("", entry)


def find(path: str) -> dict[str, str]:
    """Find the sites at a path or glob: {name of its folder or archive: path for `plan`}.

    Raises InputError where there is none, or where two have the same name.
    """
    fs, root = url_to_fs(path)
    entries = [root] if fs.exists(root) else sorted(fs.glob(root))
    if not entries:
        raise InputError(path, "there is no such file or folder", _EXPECTED)
    sites: dict[str, str] = {}
    for name, site in chain.from_iterable(_find_sites(fs, entry) for entry in entries):
        if sites.setdefault(name, _spell(fs, site)) != _spell(fs, site):
            raise InputError(path, f"two sites are named `{name}`", "one folder or archive of each name")
    if not sites:
        raise InputError(path, "there is no site in it", _EXPECTED)
    return sites


def _find_sites(fs: AbstractFileSystem, entry: str) -> Iterator[tuple[str, str]]:
    """Name the site of a file or folder; of a folder without Posts.xml, those in it."""
    if not fs.isdir(entry):
        yield from _name_file(PurePosixPath(entry))
    elif fs.exists(f"{entry}/Posts.xml"):
        yield PurePosixPath(entry).name, entry
    else:
        for item in sorted(fs.ls(entry, detail=False)):
            if fs.exists(f"{item}/Posts.xml"):
                yield PurePosixPath(item).name, item
            elif item.endswith(".7z"):
                yield from _name_file(PurePosixPath(item))


def _name_file(file: PurePosixPath) -> Iterator[tuple[str, str]]:
    """Name the site of an archive, of one archive of a set, or of a lone table."""
    if _table_of(file):
        entry = file.name.rpartition("-")[0]
        yield entry, str(file.with_name(f"{entry}-*.7z"))
    elif file.suffix == ".7z":
        yield file.stem, str(file)
    elif file.suffix == ".xml":
        yield (file.parent.name or file.stem) if file.stem == "Posts" else file.stem, str(file)


def _table_of(file: PurePosixPath) -> str | None:
    """Say which table an archive of a set holds; None for any other archive."""
    split = _SPLIT.fullmatch(file.name)
    table = split["table"].lower() if split else None
    return table if table in TABLES else None


def list_tables(path: str, max_ratio: float) -> dict[str, Slice]:
    """List a site's tables, each as one slice of the whole; raises InputError where there are no posts."""
    fs, root = url_to_fs(path)
    if fs.isdir(root):
        files = {table: f"{root}/{table.title()}.xml" for table in TABLES}
        found = [_take_file(fs, table, file) for table, file in files.items() if fs.exists(file)]
    elif fs.exists(root):
        archived = root.endswith(".7z")
        found = _take_members(_spell(fs, root), max_ratio) if archived else [_take_file(fs, "posts", root)]
    else:
        archives = [archive for archive in sorted(fs.glob(root)) if _table_of(PurePosixPath(archive))]
        found = list(chain.from_iterable(_take_members(_spell(fs, archive), max_ratio) for archive in archives))
    return _index(path, found)


def _take_file(fs: AbstractFileSystem, table: str, file: str) -> Slice:
    size = int(fs.size(file))
    return Slice(table, _spell(fs, file), None, 0, size, size)


def _take_members(archive: str, max_ratio: float) -> list[Slice]:
    named = [(PurePosixPath(member.name.replace("\\", "/")), member) for member in list_members(archive, max_ratio)]
    return [
        Slice(name.stem.lower(), archive, member.name, 0, member.size, member.size)
        for name, member in named
        if name.suffix == ".xml" and name.stem.lower() in TABLES
    ]


def _index(path: str, found: Iterable[Slice]) -> dict[str, Slice]:
    """Name the slices by their tables."""
    tables: dict[str, Slice] = {}
    for part in found:
        if tables.setdefault(part.table, part) is not part:
            raise InputError(path, f"it holds {part.table.title()}.xml twice", "the tables of one site")
    if "posts" not in tables:
        raise InputError(path, "there is no Posts.xml in it", _EXPECTED)
    return {table: tables[table] for table in TABLES if table in tables}


def _spell(fs: AbstractFileSystem, file: str) -> str:
    """Spell a path as users do: local ones plainly, others with their protocol."""
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    return file if "file" in protocols else str(fs.unstrip_protocol(file))
