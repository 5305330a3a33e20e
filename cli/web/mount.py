"""The page as an ASGI application, for an application of one's own."""

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from importlib import import_module
from typing import Any, TypeAlias

from cli.web.access import Access
from notify import Bus, SettingsError

__all__ = ["AsgiApp", "require", "web_app"]

Message: TypeAlias = MutableMapping[str, Any]
AsgiApp: TypeAlias = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


def require(module: str) -> Any:
    """Import a module of the page, or one that it needs.

    Raises:
        SettingsError: the extra ``web`` is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in ("starlette", "uvicorn", "jinja2", "anyio"):
            raise
        raise SettingsError(f"the page needs {exc.name}: pip install 'notify-workers[web]'") from exc


def web_app(bus: Bus, *, access: Access | None = None, hosts: Collection[str] | None = None) -> AsgiApp:
    """Return the page as an ASGI application: ``app.mount("/notify", web_app(bus, access=...))`` in Starlette or FastAPI.

    It needs no lifespan, and no session of the application around it. Its links begin with the path that it is mounted at. A server that
    calls its lifespan lets an action on very many jobs end between two batches; otherwise such an action ends with the process.

    Args:
        bus: an open bus; it stays open.
        access: who may look and act; by default everybody may look, and nobody may act. `Access.of` asks a function of yours.
        hosts: the names by which browsers may reach the page; a request for another ``Host`` is refused. By default any: the application
            around it knows its own.

    Raises:
        SettingsError: the extra ``web`` is not installed.
    """
    app: AsgiApp = require("cli.web.app").create_app(bus, access=access or Access(), hosts=hosts)
    return app
