"""Sets the clock of a worker process wrong when it starts: this folder is on its path, and ``NOTIFY_TEST_AHEAD_S`` says by how much."""

import os

import workers.__main__  # noqa: F401  # what it imports has to be loaded before the clock is set
from tests.support.skewed_clock import set_ahead

set_ahead(float(os.environ["NOTIFY_TEST_AHEAD_S"]))
