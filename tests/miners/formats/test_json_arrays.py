"""One JSON array as lines: every element whole, at its own offset, however the file is cut into blocks."""

import json

from hypothesis import given
from hypothesis import strategies as st

from miners.formats.json_arrays import holds_array, split_elements

TEXT = st.text(st.sampled_from('a"\\,[]{}\n ü'))
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(
    rows=st.lists(st.dictionaries(TEXT, VALUE, max_size=3), max_size=5),
    indent=st.sampled_from([None, 0, 2]),
    size=st.integers(1, 40),
)
def test_elements_become_lines_at_their_offsets(rows, indent, size):
    data = json.dumps(rows, indent=indent).encode()
    out = b"".join(split_elements(data[at : at + size] for at in range(0, len(data), size)))
    assert [json.loads(line) for line in out.split(b"\n") if line.strip()] == rows
    changed = {(old, new) for old, new in zip(data, out, strict=True) if old != new}
    assert changed <= {(ord("["), 32), (ord("]"), 32), (ord(","), 10), (10, 32)}


def test_an_array_is_told_from_lines(tmp_path):
    contents = {"array": b'\xef\xbb\xbf \n[{"a": 1}]', "lines": b'{"a": [1]}\n', "nothing": b" "}
    for name, data in contents.items():
        tmp_path.joinpath(name).write_bytes(data)
    assert [holds_array(str(tmp_path / name)) for name in contents] == [True, False, False]
