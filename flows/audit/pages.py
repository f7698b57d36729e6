"""Pages of audits: the figures as tables, and the pairs to read."""

import math
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table

from flows.audit.report import ContinuityReport, Finding, Retrieval, Share
from flows.pages import fill_table, frame_text, make_table, show


def lay_out_continuity(report: ContinuityReport) -> Group:
    """Lay out what an audit of continuity found."""
    model = f" by {report.model}" if report.model else ""
    head = f"{report.release}, build {report.build}: continuity, {report.method}{model}"
    looked = f"{report.rows:,} rows in batches of {report.batch}, {report.pairs:,} pairs"
    return Group(
        show(head, "bold"),
        show(looked),
        *([_lay_out_states(report)] if set(report.states) - {"ok"} else []),
        _lay_out_retrieval(report),
        _lay_out_passing(report),
        *([_lay_out_features(report)] if report.features else []),
        *_lay_out_findings("true suffixes to read: do they go on?", report.false_positives),
        *_lay_out_findings("negatives to read: do they go on too?", report.false_negatives),
    )


def _lay_out_states(report: ContinuityReport) -> Table:
    rows = ((state, f"{count:,}") for state, count in report.states.items())
    return fill_table(
        make_table("scores", "pairs", numbers=("pairs",), title="pairs without a score count nowhere"), rows
    )


def _lay_out_retrieval(report: ContinuityReport) -> Table:
    numbers = ("rows", "of", "first", "chance", "MRR", "doubted", "suspect")
    title = "is the true suffix found among the candidates?"
    table = make_table("where", *numbers, numbers=numbers, title=title)
    named = [("all", report.retrieval), *((f"mode {name}", found) for name, found in report.by_mode.items())]
    named += [(f"host {name}", found) for name, found in report.by_host.items()]
    return fill_table(table, (_describe(name, found) for name, found in named))


def _describe(name: str, found: Retrieval) -> tuple[str, ...]:
    candidates = "-" if found.candidates is None else f"{found.candidates:.4g}"
    chance = "-" if found.chance is None else f"{found.chance:.1%}"
    return (
        name,
        f"{found.rows:,}",
        candidates,
        _show_share(found.accuracy),
        chance,
        _show_share(found.mrr),
        f"{found.false_positives:,}",
        f"{found.false_negatives:,}",
    )


def _lay_out_passing(report: ContinuityReport) -> Table:
    title = f"which pass for continuations by themselves (score above {report.threshold:g})?"
    rows = (
        (name, f"{share.of:,}", _show_share(share))
        for name, share in (("true suffixes", report.true_pass), ("negatives", report.negatives_pass))
    )
    return fill_table(make_table("pairs of", "pairs", "pass", numbers=("pairs", "pass"), title=title), rows)


def _lay_out_features(report: ContinuityReport) -> Table:
    numbers = ("true suffixes", "negatives")
    rows = ((name, f"{own:.3f}", f"{other:.3f}") for name, (own, other) in report.features.items())
    return fill_table(make_table("evidence (means)", *numbers, numbers=numbers), rows)


def _lay_out_findings(title: str, findings: Iterable[Finding]) -> list[RenderableType]:
    framed = [_frame(finding) for finding in findings]
    return [show(title, "bold"), *framed] if framed else []


def _frame(finding: Finding) -> RenderableType:
    scores = [finding.score, finding.other_score] if finding.other_uid else [finding.score]
    said = ", against ".join("-" if score is None else f"{score:.3f}" for score in scores)
    where = f"{finding.mode}, {finding.host or 'no host'}, {finding.uid[:12]}"
    beside = f" with the suffix of {finding.other_uid[:12]}" if finding.other_uid else ""
    seam = f"{finding.prefix_end}\N{BOX DRAWINGS HEAVY VERTICAL}{finding.suffix_start}"
    return frame_text(f"{finding.why}: {said}", (where + beside, finding.group_id), seam, "yellow")


def _show_share(share: Share) -> str:
    """Write a share above its bounds, which keeps columns narrow."""
    if share.share is None:
        return "-"
    return f"{share.share:.1%}\n{'-' if math.isnan(share.low) else f'{100 * share.low:.1f} to {100 * share.high:.1f}'}"
