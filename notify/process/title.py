"""The process title, as shown by ``ps``; set only where `setproctitle` is installed (the ``titles`` extra)."""

try:
    from setproctitle import setproctitle
except ImportError:
    setproctitle = None  # type: ignore[assignment]  # set_title then does nothing

__all__ = ["set_title"]


def set_title(what: str) -> None:
    """Set the title of this process to ``notify: <what>``. All users can read it: never put an address or a password in it."""
    if setproctitle is not None:
        setproctitle(f"notify: {what}")
