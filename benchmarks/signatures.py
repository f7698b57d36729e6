"""Text to MinHash signature, documents a second on one core: ours and the peers', on the same texts.

Every peer is given 112 values and word 5-grams, and shingles as its users do, in Python. Peers are slow, so that each
takes a share of the sample, at two sizes: their figures must not depend on it.
"""

from benchmarks import report  # isort: skip  # first: it limits the threads that the others start

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from html import unescape
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasketch import MinHash

from warehouse.dedupe.signatures import Sketch, sign, signature_table

REAL = Path(os.environ.get("REVEALED_REAL_DATA", "../shared/data"))
SKETCH = Sketch()
SHORTEST = 500  # characters: leaves real posts with a median of about 960
UNIT = "documents/s"
VOCABULARY = 200_000
Numbers = npt.NDArray[np.int64]
Peer = Callable[[Sequence[str]], object]


def generated(count: int, seed: int = 0) -> pa.Array:
    """Texts of random words, of random lengths; a seed always gives the same."""
    draw = np.random.default_rng(seed)
    sizes = lengths(draw, count)
    return spelled(words(draw, int(sizes.sum())), sizes)


def lengths(draw: np.random.Generator, count: int) -> Numbers:
    """Draw numbers of words: log-normal about 165, which is about 960 characters, the median of real posts."""
    return np.clip(draw.lognormal(np.log(165), 0.7, count), 8, 5000).astype(np.int64)


def words(draw: np.random.Generator, count: int) -> Numbers:
    """Draw word numbers, as frequent as words are: the k-th about 1/k as often as the first (Zipf)."""
    ranks: Numbers = np.exp(draw.random(count) * np.log(VOCABULARY)).astype(np.int64)
    return ranks - 1


def spelled(drawn: Numbers, sizes: Numbers) -> pa.Array:
    """Write word numbers as texts of so many words each."""
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
    return pc.binary_join(pa.ListArray.from_arrays(offsets, lexicon().take(pa.array(drawn))), " ")


@cache
def lexicon() -> pa.Array:
    """Spell the words, the frequent ones short."""
    draw = np.random.default_rng(1)
    letters = draw.choice(list("etaoinshrdlucmfw"), (VOCABULARY, 10))
    sizes = np.clip(np.log2(np.arange(2, VOCABULARY + 2)) / 2 + draw.integers(0, 3, VOCABULARY), 1, 10).astype(np.int64)
    return pa.array(["".join(row[:size]) for row, size in zip(letters, sizes, strict=True)])


def posts(count: int) -> tuple[pa.Array, str]:
    """Texts to sign, and where they are from: real posts, repeated to `count`, or generated ones."""
    real = [text for path in sorted(REAL.glob("stackexchange/*/Posts.xml")) for text in _bodies(path)]
    if not real:
        return generated(count), "generated"
    spread = np.arange(count) * 7919 % len(real)  # a prime step: a small sample is spread over all sites
    return pa.array(real).take(pa.array(spread)), "Stack Exchange posts"


def _bodies(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if found := re.search(r' Body="([^"]*)"', line):
            text = re.sub(r"<[^>]+>", "", unescape(found[1]))
            if len(text) >= SHORTEST:
                yield text


def shingles(text: str) -> list[str]:
    """Word 5-grams, as peers' users write them."""
    tokens = re.findall(r"\w+", text.lower())
    return [" ".join(tokens[at : at + 5]) for at in range(max(1, len(tokens) - 4))]


def with_update_batch(texts: Sequence[str]) -> None:
    """Sign as datasketch's README does."""
    for text in texts:
        MinHash(num_perm=SKETCH.num_perm).update_batch([shingle.encode() for shingle in shingles(text)])


def with_bulk() -> Peer:
    """Sign with datasketch at its fastest."""
    import xxhash

    def run(texts: Sequence[str]) -> None:
        sets = ([shingle.encode() for shingle in shingles(text)] for text in texts)
        MinHash.bulk(sets, num_perm=SKETCH.num_perm, hashfunc=xxhash.xxh32_intdigest)

    return run


def with_rensa() -> Peer:
    """Sign with rensa's R-MinHash."""
    from rensa import RMinHash

    def run(texts: Sequence[str]) -> None:
        for text in texts:
            sketch = RMinHash(num_perm=SKETCH.num_perm, seed=1)
            sketch.update(shingles(text))
            sketch.digest()

    return run


def with_datatrove() -> Peer:
    """Sign with datatrove's step in its default configuration, 14 bands of 8; it writes its files, as always."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.utils.logging import logger

    logger.remove()

    def run(texts: Sequence[str]) -> None:
        documents = (Document(text=text, id=str(at)) for at, text in enumerate(texts))
        with tempfile.TemporaryDirectory() as folder:
            MinhashDedupSignature(output_folder=folder).run(documents)

    return run


PEERS: dict[str, tuple[Callable[[], Peer], tuple[int, int]]] = {
    "datatrove": (with_datatrove, (250, 1000)),
    "datasketch update_batch": (lambda: with_update_batch, (1000, 4000)),
    "datasketch bulk xxh32": (with_bulk, (2500, 10_000)),
    "rensa RMinHash": (with_rensa, (2500, 10_000)),
}
"""How to get each peer, and the two samples it is measured on."""


def main() -> None:
    """Measure ours on each size, and the peers on their samples."""
    options = report.arguments("Text to MinHash signature.", [20_000, 100_000])
    details: dict[str, float | int | str] = {}
    for size in options.sizes:
        texts, source = posts(size)
        ours = size / report.measure(partial(sign, texts, SKETCH), repeats=5)
        details[f"ours at {size}"] = round(ours, 1)
    details |= {"texts": source, "median characters": int(np.median(pc.utf8_length(texts)))}
    groups = pa.table({"ref": np.arange(len(texts), dtype=np.uint64), "text": texts})
    table = size / report.measure(partial(signature_table, groups, SKETCH))
    details["ours with text hash and lengths"] = round(table, 1)
    details["peak_rss_mib"] = report.peak_rss_mib()  # before the peers
    peers = {}
    for name, (prepare, samples) in PEERS.items():
        try:
            peer = prepare()
        except ImportError as error:
            report.absent(name, error)
            continue
        for sample in samples:
            chosen = posts(sample)[0].to_pylist()
            peers[name] = sample / report.measure(partial(peer, chosen))
            details[f"{name} at {sample}"] = round(peers[name], 1)
    report.show(report.Report(ours, peers, UNIT, details), as_json=options.json)


if __name__ == "__main__":
    main()
