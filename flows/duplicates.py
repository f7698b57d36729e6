"""Dedupe over the whole corpus: signatures -> bands -> candidates -> verified edges -> clusters -> decisions.

Two shuffles bring the two signatures of a candidate together, so that no step holds all signatures: by its first group,
then by its second. Where inputs are of several routes, texts that stand inside another's are found beside it.
"""

from collections.abc import Mapping
from dataclasses import asdict

from flows.engine import Made
from flows.plan import Inputs, Plan, flat, power_of_two
from flows.work import Stage, Work
from schemas.fingerprints import Json
from schemas.inputs import Route
from schemas.manifest import Partition
from warehouse.dedupe import containment
from warehouse.dedupe.signatures import Sketch
from warehouse.partitions import PLAIN, Shape

SIGNATURES = Stage("signatures", "flows.stages.corpus:sign_groups")
BANDS = Stage("bands", "flows.stages.corpus:list_bands")
CANDIDATES = Stage("candidates", "flows.stages.corpus:pair_candidates")
ATTACH = Stage("attach", "flows.stages.corpus:attach_signatures")
EDGES = Stage("edges", "flows.stages.corpus:verify_edges")
SHINGLES = Stage("shingles", "flows.stages.corpus:sample_groups")
OVERLAPS = Stage("overlaps", "flows.stages.corpus:overlap_groups")
MEASURED = Stage("measured", "flows.stages.corpus:measure_overlaps")
CONTAINED = Stage("contained", "flows.stages.corpus:contain")
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


def decide(plan: Plan, grouped: Made, groups: Mapping[Route, str]) -> Made:
    """Decide on every group of every source, of whatever route: all stand in one namespace.

    grouped: the partitions that hold the groups. groups: function that lists a partition's, of each route
        (`module:name`).
    """
    count = power_of_two(sum(part.rows for part in flat(grouped)) / _GROUPS_A_BUCKET)
    lists = {entry.name: groups[entry.source.route] for entry in plan.entries}
    signatures = _sign(plan, grouped, lists, count)
    bands = plan.each(BANDS, {"signatures": signatures}, _sketch_given(plan), shape=Shape("key", count))
    edges = _find_edges(plan, flat(bands), flat(signatures), count) + _find_contained(plan, grouped, lists, count)
    policy: dict[str, Json] = {
        "keep": list(plan.recipe.dedupe.keep),
        "entries": [entry.name for entry in plan.entries],
    }
    if _has_several_routes(plan):
        places = _rank_routes(plan)
        policy["routes"] = [places[entry.name] for entry in plan.entries]
    clusters = plan.corpus([plan.work(CLUSTERS, policy, {"edges": edges, "signatures": flat(signatures)})])
    return plan.engine.stage(
        {
            source: [plan.work(DEDUPE, {}, {"signatures": (part,), "clusters": clusters}) for part in parts]
            for source, parts in signatures.items()
        }
    )


def _sign(plan: Plan, grouped: Made, groups: Mapping[str, str], count: int) -> Made:
    def sign(source: str, at: int) -> Work:
        given = {**_sketch_given(plan), "groups": groups[source], "entry": source}
        return plan.work(SIGNATURES, given, {"groups": (grouped[source][at],)}, shape=Shape("ref", count))

    return plan.each_of(grouped, sign)


def _has_several_routes(plan: Plan) -> bool:
    return len({entry.source.route for entry in plan.entries}) > 1


def _rank_routes(plan: Plan) -> dict[str, int]:
    """Give each entry the place of its route: the preferred first, the others in an order of their own."""
    order = (*plan.recipe.dedupe.prefer, *Route)
    return {entry.name: order.index(entry.source.route) for entry in plan.entries}


def _find_contained(plan: Plan, grouped: Made, groups: Mapping[str, str], count: int) -> tuple[Partition, ...]:
    """Find what stands inside a text of another route; of one route there is nothing to find."""
    dedupe, sides = plan.recipe.dedupe, _rank_routes(plan)
    if dedupe.containment is None or not _has_several_routes(plan):
        return ()

    def sample(source: str, at: int) -> Work:
        given: Mapping[str, Json] = {
            "shingle": dedupe.shingle,
            "kernel": containment.fingerprint(dedupe.shingle),
            "side": sides[source],
            "groups": groups[source],
            "entry": source,
        }
        return plan.work(SHINGLES, given, {"groups": (grouped[source][at],)}, shape=Shape("key", count))

    shingles = flat(plan.each_of(grouped, sample))
    overlaps = _over_buckets(plan, OVERLAPS, {"shingles": shingles}, {}, Shape("right", count))
    measured = _over_buckets(plan, MEASURED, {"overlaps": overlaps}, {}, Shape("left", count))
    inputs = {"measured": measured, "overlaps": overlaps}
    return _over_buckets(plan, CONTAINED, inputs, {"threshold": dedupe.containment}, PLAIN, count)


def _find_edges(
    plan: Plan, bands: tuple[Partition, ...], signatures: tuple[Partition, ...], count: int
) -> tuple[Partition, ...]:
    candidates = _over_buckets(plan, CANDIDATES, {"bands": bands}, {}, Shape("left", count))
    inputs = {"candidates": candidates, "signatures": signatures}
    attached = _over_buckets(plan, ATTACH, inputs, {}, Shape("right", count))
    inputs = {"attached": attached, "signatures": signatures}
    return _over_buckets(plan, EDGES, inputs, {"threshold": plan.recipe.dedupe.threshold}, PLAIN, count)


def _over_buckets(
    plan: Plan, stage: Stage, inputs: Inputs, given: Mapping[str, Json], shape: Shape, count: int | None = None
) -> tuple[Partition, ...]:
    """Run a stage that makes partition n from bucket n of its inputs. count: buckets of these, if not the shape's."""
    buckets = range(count or shape.buckets)
    return plan.corpus([plan.work(stage, given, inputs, bucket=n, shape=shape) for n in buckets])
