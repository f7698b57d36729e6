"""Dedupe: signatures -> bands -> candidates -> verified edges -> clusters -> decisions, with tables between."""
