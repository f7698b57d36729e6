"""Peak memory of a build at growing dumps: it must not grow with them.

Each build runs in a process of its own with two worker processes; the figure is the largest resident set of any one of
them, as the operating system accounts it.
"""

from benchmarks import report  # isort: skip

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from flows.samples import write_posts

GB = 1_000_000_000

# The child prints its own peak, and the largest peak among its workers.
_CHILD = """
import resource, sys, time
from pathlib import Path
from flows.jobs import run_job
from flows.jobs import Job
if __name__ == "__main__":
    began = time.perf_counter()
    run_job(Job(recipe=Path(sys.argv[1]), root=sys.argv[2], workers=2))
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(own // 1024, workers // 1024, round(time.perf_counter() - began, 1))
"""


def build(gigabytes: float, place: Path) -> tuple[int, int, float]:
    """Build a release of a dump of the size; answers MiB of the parent, MiB of the largest worker, seconds."""
    folder = place / "site.example.com"
    folder.mkdir()
    write_posts(folder / "Posts.xml", int(gigabytes * GB), 3)
    recipe = place / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"name": "m", "inputs": [{"source": "stackexchange", "path": str(folder)}]}))
    script = place / "child.py"
    script.write_text(_CHILD)
    environment = {key: value for key, value in os.environ.items() if key not in report.ONE_CORE}
    done = subprocess.run(
        [sys.executable, str(script), str(recipe), str(place / "warehouse")],
        env=environment | {"PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        check=True,
    )
    own, workers, seconds = done.stdout.split()
    return int(own), int(workers), float(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--gb", type=float, nargs="+", default=[0.5, 1, 2, 4], help="sizes of the dumps")
    given = parser.parse_args()
    peak: dict[str, int] = {}
    for gigabytes in given.gb:
        with tempfile.TemporaryDirectory() as place:
            own, workers, seconds = build(gigabytes, Path(place))
        peak[f"{gigabytes:g}"] = max(own, workers)
        print(f"{gigabytes:g} GB: parent {own} MiB, largest worker {workers} MiB, {seconds} s", flush=True)
    if given.json:
        most = max(peak.values())
        print(
            json.dumps(
                {"ours": most, "peers": {}, "unit": "MiB", "ratios": {}, "peak_rss_mib": most, "mib_by_gb": peak}
            )
        )


if __name__ == "__main__":
    main()
