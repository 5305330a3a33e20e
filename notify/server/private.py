"""The directory of the private server: only its user may write there, and the server on its socket must run as that user."""

import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final

from notify.errors import EmbeddedServerError

__all__ = ["check_owner", "make_private"]

WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
PEER: Final = struct.Struct("3i")
"""The answer to ``SO_PEERCRED``: process, user and group."""


def make_private(directory: Path) -> None:
    """Create a directory that only this user can use, or make an existing one so.

    A directory that others could write is accepted only while it is empty: they may have put files into it, such as data that the
    server would load.

    Raises:
        EmbeddedServerError: the directory is a symbolic link, belongs to another user, may hold files of others, or can be replaced by
            others because a directory above it is open to all. The message names the remedy.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
        if stat.S_ISLNK(status.st_mode):
            raise EmbeddedServerError(f"{directory} is a symbolic link: set $NOTIFY_HOME to the directory itself")
        if status.st_uid != os.getuid():
            raise EmbeddedServerError(f"{directory} belongs to another user: set $NOTIFY_HOME to a directory of your own")
        _check_parents(directory)
        directory.chmod(0o700)
        if status.st_mode & WRITABLE_BY_OTHERS and any(directory.iterdir()):
            directory.chmod(stat.S_IMODE(status.st_mode))  # as it was: the next attempt must not find it safe
            raise EmbeddedServerError(
                f"other users can write to {directory}, and there are files in it: check them and run chmod 700 on the directory, or set "
                "$NOTIFY_HOME to another one"
            )
    except OSError as exc:
        if isinstance(exc, EmbeddedServerError):
            raise
        raise EmbeddedServerError(f"cannot use {directory} for the private server ({exc}): set $NOTIFY_HOME to another directory") from exc


def check_owner(socket_path: Path) -> None:
    """Raise `EmbeddedServerError` if a process of another user listens on a socket. The kernel tells who listens, where it can."""
    if not hasattr(socket, "SO_PEERCRED"):
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(socket_path))
        except OSError:
            return  # there is no server
        process, user, _ = PEER.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
    if user != os.getuid():
        raise EmbeddedServerError(
            f"process {process} of another user (uid {user}) listens on {socket_path}: end it, or set $NOTIFY_HOME to another directory"
        )


def _check_parents(directory: Path) -> None:
    """Refuse a directory that everybody could rename, because a directory above it is open to all and not sticky, as ``/tmp`` is."""
    for parent in directory.resolve().parents:
        mode = parent.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise EmbeddedServerError(f"everybody can replace {directory}, because {parent} is open to all: set $NOTIFY_HOME elsewhere")
