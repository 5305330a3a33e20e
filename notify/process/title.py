"""What a process is called in lists of processes, where `setproctitle` is installed (the ``titles`` extra)."""

try:
    from setproctitle import setproctitle
except ImportError:
    setproctitle = None  # type: ignore[assignment]  # as it is where it is not installed

__all__ = ["set_title"]


def set_title(what: str) -> None:
    """Call this process ``notify: <what>``, in place of its command line. Everybody can read it: never put an address in it."""
    if setproctitle is not None:
        setproctitle(f"notify: {what}")
