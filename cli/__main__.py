"""``python -m cli`` is ``notify``: from its first line on Ctrl-C ends it without a traceback, also while it is being imported."""

import os
import signal
from importlib import import_module

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    # Nothing is open yet that would have to be closed.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    import_module("cli.app").main()


if __name__ == "__main__":
    main()
