"""What it costs, against the peer that does the same work, both in the same run. ``python -m benchmarks``."""
