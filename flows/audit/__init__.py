"""Audits: whether what a release claims of its rows is true. Scorers read a sample, and know no label."""
