"""Decontamination: which rows overlap with an item of a benchmark, and the evidence for it."""
