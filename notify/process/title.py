"""The process title, as shown by ``ps``. It is set only if ``setproctitle`` is installed (the ``titles`` extra)."""

try:
    from setproctitle import setproctitle
except ImportError:
    setproctitle = None  # type: ignore[assignment]  # set_title then does nothing

__all__ = ["set_title"]


def set_title(what: str) -> None:
    """Set the title of this process to ``notify: <what>``. All users of the machine can read it: it must contain no address or password."""
    if setproctitle is not None:
        setproctitle(f"notify: {what}")
