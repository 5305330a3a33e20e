"""``python -m cli``: the same as ``notify``."""

from notify_workers import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
