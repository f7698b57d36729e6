"""Dedupe over the whole corpus: signatures -> bands -> candidates -> verified edges -> clusters -> decisions.

Two shuffles bring the two signatures of a candidate together, so that no step holds all signatures: by its first group,
then by its second.
"""

from collections.abc import Mapping
from dataclasses import asdict

from flows.engine import Made
from flows.entries import ResolvedEntry
from flows.plan import Plan, flat, power_of_two
from flows.work import Stage
from schemas.fingerprints import Json
from schemas.manifest import Partition
from warehouse.dedupe.signatures import Sketch
from warehouse.partitions import PLAIN, Shape

SIGNATURES = Stage("signatures", "flows.stages.corpus:sign_groups")
BANDS = Stage("bands", "flows.stages.corpus:list_bands")
CANDIDATES = Stage("candidates", "flows.stages.corpus:pair_candidates")
ATTACH = Stage("attach", "flows.stages.corpus:attach_signatures")
EDGES = Stage("edges", "flows.stages.corpus:verify_edges")
CLUSTERS = Stage("clusters", "flows.stages.corpus:cluster")
DEDUPE = Stage("dedupe", "flows.stages.corpus:decide_groups")

_GROUPS_A_BUCKET = 200_000


def sketch_of(plan: Plan) -> Sketch:
    """Read the MinHash settings."""
    dedupe = plan.recipe.dedupe
    return Sketch(bands=dedupe.bands, rows=dedupe.rows, shingle=dedupe.shingle, seed=dedupe.seed)


def _sketch_given(plan: Plan) -> dict[str, Json]:
    """Give the settings to stage functions, with the fingerprint of what else decides on a signature's values."""
    sketch = sketch_of(plan)
    return {"sketch": asdict(sketch), "kernel": sketch.fingerprint()}


def decide(plan: Plan, entries: list[ResolvedEntry], threads: Made, groups: str) -> Made:
    """Decide on every group of every source. groups: function that lists a partition's groups (`module:name`)."""
    count = power_of_two(sum(part.rows for part in flat(threads)) / _GROUPS_A_BUCKET)
    signatures = _sign(plan, threads, groups, count)
    bands = plan.each(BANDS, {"signatures": signatures}, _sketch_given(plan), shape=Shape("key", count))
    edges = _find_edges(plan, flat(bands), flat(signatures), count)
    policy: Mapping[str, Json] = {"keep": list(plan.recipe.dedupe.keep), "entries": [entry.name for entry in entries]}
    clusters = plan.corpus([plan.work(CLUSTERS, policy, {"edges": edges, "signatures": flat(signatures)})])
    return plan.engine.stage(
        {
            source: [plan.work(DEDUPE, {}, {"signatures": (part,), "clusters": clusters}) for part in parts]
            for source, parts in signatures.items()
        }
    )


def _sign(plan: Plan, threads: Made, groups: str, count: int) -> Made:
    return plan.engine.stage(
        {
            source: [
                plan.work(
                    SIGNATURES,
                    {**_sketch_given(plan), "groups": groups, "entry": source},
                    {"threads": (part,)},
                    shape=Shape("ref", count),
                )
                for part in parts
            ]
            for source, parts in threads.items()
        }
    )


def _find_edges(
    plan: Plan, bands: tuple[Partition, ...], signatures: tuple[Partition, ...], count: int
) -> tuple[Partition, ...]:
    def over_buckets(
        stage: Stage, given: Mapping[str, Json], inputs: dict[str, tuple[Partition, ...]], shape: Shape = PLAIN
    ) -> tuple[Partition, ...]:
        return plan.corpus([plan.work(stage, given, inputs, bucket=n, shape=shape) for n in range(count)])

    candidates = over_buckets(CANDIDATES, {}, {"bands": bands}, Shape("left", count))
    attached = over_buckets(ATTACH, {}, {"candidates": candidates, "signatures": signatures}, Shape("right", count))
    threshold: Mapping[str, Json] = {"threshold": plan.recipe.dedupe.threshold}
    return over_buckets(EDGES, threshold, {"attached": attached, "signatures": signatures})
