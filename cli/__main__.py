"""The entry point of ``notify`` and ``python -m cli``. Ctrl-C ends the process without a traceback, also during the imports."""

import os
import signal
from importlib import import_module

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    # Nothing is open yet, so there is nothing to close.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    import_module("cli.app").main()


if __name__ == "__main__":
    main()
