"""Benchmarks against peers that do the same work, both in the same run: ``python -m benchmarks``."""
