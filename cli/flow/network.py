"""Addresses and secrets that commands are given."""

from pathlib import Path

import typer

__all__ = ["address_of", "token_in"]


def address_of(given: str) -> tuple[str | None, int]:
    """Return the host, ``None`` for all interfaces, and the port that ``[HOST:]PORT`` names.

    Raises:
        typer.BadParameter: it names no port.
    """
    host, _, port = given.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise typer.BadParameter(f"{given!r} names no port: give [HOST:]PORT, such as 1600 or 10.0.0.7:1600")
    return (None if host == "*" else host.removeprefix("[").removesuffix("]") or "127.0.0.1"), int(port)


def token_in(path: Path) -> str:
    """Return the secret in the first line of a file.

    Raises:
        typer.BadParameter: there is none.
    """
    try:
        token = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, ValueError) as exc:
        raise typer.BadParameter(f"the token file {str(path)!r} cannot be read: {exc}") from exc
    if not token:
        raise typer.BadParameter(f"the token file {str(path)!r} is empty: write the secret into its first line")
    return token
