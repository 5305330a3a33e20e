"""The table of speeds: our worker in both lanes beside the workers of nine other libraries, in alternating rounds.

``python -m benchmarks.table`` prints all of it, ``python -m benchmarks.table NAME... --rounds 5 --jobs 2000`` parts of it. The rates of
every round are kept in ``benchmarks/rounds``.
"""

__all__: list[str] = []
