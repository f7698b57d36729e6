"""Judging: how questions are put to a judge, and what it answers gets into the ledger."""
