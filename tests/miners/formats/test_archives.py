import struct
import zlib
from pathlib import Path

import py7zr
import pytest

from miners.formats.archives import Member, list_members, stream_member
from schemas.errors import InputError

TEXT = b"".join(b"line %d of the member\n" % number for number in range(20_000))


def write(path: Path, members: dict[str, bytes], **options) -> str:
    with py7zr.SevenZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(data, name)
    return str(path)


def write_plain_header(path: Path, members: dict[str, bytes]) -> str:
    with py7zr.SevenZipFile(path, "w") as archive:
        archive.set_encoded_header_mode(False)
        for name, data in members.items():
            archive.writestr(data, name)
    return str(path)


def forge(path: Path, old: bytes, new: bytes) -> None:
    """Replace bytes of the (plain) header, and make its checksums right again."""
    data = bytearray(path.read_bytes())
    offset, size = struct.unpack("<QQ", data[12:28])
    start = 32 + offset
    header = bytes(data[start : start + size])
    assert old in header
    seal(data, header.replace(old, new))
    path.write_bytes(data)


def seal(data: bytearray, header: bytes) -> None:
    offset, size = struct.unpack("<QQ", data[12:28])
    assert len(header) == size
    data[32 + offset : 32 + offset + size] = header
    data[28:32] = struct.pack("<I", zlib.crc32(header))
    data[8:12] = struct.pack("<I", zlib.crc32(bytes(data[12:32])))


@pytest.mark.parametrize("name", ["Posts.xml", "sub/Posts.xml"])
def test_a_member_comes_back_whole(tmp_path, name):
    path = write(tmp_path / "a.7z", {"Badges.xml": b"first" * 1000, name: TEXT, "Votes.xml": b"last"})
    assert list_members(path) == [Member("Badges.xml", 5000), Member(name, len(TEXT)), Member("Votes.xml", 4)]
    assert b"".join(stream_member(path, name)) == TEXT
    assert b"".join(stream_member(path, "Votes.xml")) == b"last"


@pytest.mark.parametrize("method", [py7zr.FILTER_LZMA2, py7zr.FILTER_LZMA, py7zr.FILTER_BZIP2, py7zr.FILTER_PPMD])
def test_methods_that_dumps_use(tmp_path, method):
    extra = {"order": 6, "mem": 24} if method == py7zr.FILTER_PPMD else {}
    path = write(tmp_path / "a.7z", {"Posts.xml": TEXT}, filters=[{"id": method, **extra}])
    assert b"".join(stream_member(path, "Posts.xml")) == TEXT


def test_a_reader_may_stop_early_and_nothing_is_left_on_disk(tmp_path, monkeypatch):
    place = tmp_path / "empty"
    place.mkdir()
    path = write(tmp_path / "a.7z", {"Posts.xml": b"x" * 60_000_000})
    monkeypatch.chdir(place)
    blocks = stream_member(path, "Posts.xml", max_ratio=10_000)
    assert len(next(blocks)) <= 4 << 20
    blocks.close()
    assert list(place.iterdir()) == []


def test_a_locked_archive_is_refused(tmp_path):
    for name, options in {"content": {}, "header": {"header_encryption": True}}.items():
        path = write(tmp_path / f"{name}.7z", {"Posts.xml": TEXT}, password="secret", **options)
        with pytest.raises(InputError, match="encrypted"):
            list_members(path)
        with pytest.raises(InputError, match="encrypted"):
            list(stream_member(path, "Posts.xml"))


@pytest.mark.parametrize("kept", [0, 5, 31, 32, 100, -1])
def test_a_cut_archive_is_refused(tmp_path, kept):
    path = tmp_path / "a.7z"
    write(path, {"Posts.xml": TEXT})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="damaged or cut off"):
        list_members(str(path))


@pytest.mark.parametrize("method", [py7zr.FILTER_LZMA2, py7zr.FILTER_BZIP2])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_damage_in_the_data_is_noticed(tmp_path, share, method):
    path = tmp_path / "a.7z"
    write(path, {"Posts.xml": TEXT}, filters=[{"id": method}])
    data = bytearray(path.read_bytes())
    (packed,) = struct.unpack("<Q", data[12:20])
    data[32 + int(packed * share * 0.8) + 8] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        list(stream_member(str(path), "Posts.xml"))


@pytest.mark.parametrize("name", ["../s.xml", "a/../..", "/bs/s.xml", "C:/s.xml", "C:\\s.xml", "..\\s.xml"])
def test_names_that_lead_outside_are_refused(tmp_path, name):
    path = tmp_path / "a.7z"
    write_plain_header(path, {"n" * len(name): b"text"})
    forge(path, ("n" * len(name)).encode("utf-16-le"), name.encode("utf-16-le"))
    with pytest.raises(InputError, match="outside its folder"):
        list_members(str(path))


def test_a_bomb_is_refused(tmp_path):
    path = write(tmp_path / "a.7z", {"Posts.xml": b"\0" * 20_000_000})
    with pytest.raises(InputError, match="more than 1000 times its size"):
        list_members(path)
    with pytest.raises(InputError, match="more than 1000 times its size"):
        list(stream_member(path, "Posts.xml"))


def test_the_limit_is_the_callers_to_raise(tmp_path):
    path = write(tmp_path / "a.7z", {"Posts.xml": b"\0" * 5_000_000})
    assert sum(map(len, stream_member(path, "Posts.xml", max_ratio=1e6))) == 5_000_000


@pytest.mark.parametrize("declared", [1 << 13, 1 << 15])
def test_a_member_of_another_size_than_declared_is_refused(tmp_path, declared):
    path = tmp_path / "a.7z"
    write_plain_header(path, {"Posts.xml": b"text" * 4096})
    forge(path, seven_zip_number(1 << 14), seven_zip_number(declared))
    assert [member.size for member in list_members(str(path))] == [declared]
    with pytest.raises(InputError, match="damaged"):
        list(stream_member(str(path), "Posts.xml"))


def seven_zip_number(value: int) -> bytes:
    """Write a number of 14 to 20 bits as 7z headers do: https://py7zr.readthedocs.io/en/latest/archive_format.html."""
    return bytes([0xC0 | value >> 16]) + struct.pack("<H", value & 0xFFFF)


def test_no_forged_header_ends_in_a_traceback(tmp_path):
    path = tmp_path / "a.7z"
    write_plain_header(path, {"Posts.xml": b"some text " * 50, "Votes.xml": b"other text"})
    data = path.read_bytes()
    offset, size = struct.unpack("<QQ", data[12:28])
    header = data[32 + offset : 32 + offset + size]
    outcomes = set()
    for place in range(size):
        for value in (0, 0x7F, 0xFF, header[place] ^ 1):
            forged = bytearray(data)
            seal(forged, header[:place] + bytes([value]) + header[place + 1 :])
            path.write_bytes(forged)
            try:
                members = list_members(str(path))
                outcomes.update(b"".join(stream_member(str(path), member.name)) for member in members)
            except InputError:
                outcomes.add("refused")
    assert "refused" in outcomes


def test_a_missing_file_is_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        list_members(str(tmp_path / "none.7z"))
