"""One command a benchmark: `uv run python -m benchmarks.NAME [--json]`."""
