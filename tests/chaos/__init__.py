"""Chaos: jobs and events under kills of everything and restarts of the server, and at the end an account of every job and event.

``python -m tests.chaos --seed 1`` runs it (or ``make chaos``, with four seeds); ``test_chaos.py`` is a short run.
The seed decides the faults and the jobs; their moments also depend on the machine.
"""
