"""The page as a Starlette application: its routes, its errors, the login, and the streams of changes."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from anyio import to_thread
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from cli.web.access import SESSION_S, Access, Viewer
from cli.web.acting import Actions
from cli.web.feed import Feed, Tail
from cli.web.guard import MOST_BODY_BYTES, Guard
from cli.web.live import Hub, Snapshot
from cli.web.pages import VIEWS
from cli.web.render import render
from cli.web.runs import Run, Runs
from cli.web.status import status_of
from cli.web.view import Look, Query, View
from notify import Bus, NotifyError, ServerUnreachableError, __version__
from notify.history import HistoryReader

__all__ = ["create_app"]

CSRF_COOKIE: Final = "notify_csrf"
SESSION_COOKIE: Final = "notify_session"
WRONG_TOKEN_S: Final = 1.0
"""Seconds before a wrong token is answered."""
ACTION_S: Final = 1.0
"""Seconds after which an action that goes on is answered with how far it is."""
MOST_FIELDS: Final = 100
"""Fields of a form, at most."""
TAIL_S: Final = 0.25
"""Seconds between two looks for events to send to one who follows topics."""
STREAM: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}


def create_app(bus: Bus, *, access: Access, hosts: Collection[str] | None = None) -> Any:
    """Return the page. The arguments are those of `web_app`."""
    page = _Page(bus, access)
    routes = [
        Route("/healthz", _health),
        Route("/login", page.login, methods=["GET", "POST"]),
        Route("/logout", page.logout, methods=["POST"]),
        Route("/tail", page.tail),
        Route("/running/{run}", page.running),
        Route("/action/{action}", page.action, methods=["GET", "POST"]),
        *(Route(f"/live{view.path}", partial(page.live, view)) for view in VIEWS),
        *(Route(view.path, partial(page.show, view)) for view in VIEWS),
        Mount("/static", StaticFiles(packages=[("cli.web", "static")])),
    ]
    handlers: dict[Any, Any] = {NotifyError: page.failed, HTTPException: page.failed}
    return Guard(Starlette(routes=routes, exception_handlers=handlers, lifespan=page.lifespan), access=access, hosts=hosts)


async def _health(_: Request) -> Response:
    return PlainTextResponse("ok\n")


class _Page:
    """The answers to requests."""

    def __init__(self, bus: Bus, access: Access) -> None:
        self._bus = bus
        self._access = access
        self._actions = Actions(bus)
        self._runs = Runs()
        self._history = HistoryReader(bus.redis)
        self._feed = Feed(bus)
        self._hub = Hub(self._feed)

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncGenerator[None, None]:
        """End the actions that go on when the server of the page ends. Where nobody calls it, they end with the process."""
        yield
        await to_thread.run_sync(self._runs.end)

    async def show(self, view: View, request: Request) -> Response:
        """Answer with a whole page."""
        key, make = self._asked(view, request)
        snapshot = await self._hub.snapshot(key, make)
        return self._whole(request, snapshot.html, title=snapshot.title, mark=snapshot.mark, menu=view.name, live=True)

    async def live(self, view: View, request: Request) -> Response:
        """Answer with a stream of the view as it changes."""
        key, make = self._asked(view, request)
        events = self._hub.follow(key, make, has=request.headers.get("last-event-id", "") or request.query_params.get("_mark", ""))
        return self._stream(request, events)

    async def tail(self, request: Request) -> Response:
        """Answer with a stream of events."""
        query = Query(request.url.query)
        query.must_be_of("topic", "contents")
        tail = Tail(query.get("topic", "*"), query.get("contents"))
        return self._stream(request, self._tail(tail))

    async def action(self, request: Request) -> Response:
        """Answer with what an action would do; to a POST, do it."""
        name, viewer, query = request.path_params["action"], _viewer(request), Query(request.url.query)
        if viewer is None or viewer.role != "act":
            raise HTTPException(403, "you may look, but not act: " + self._why_not())
        if request.method != "POST":
            plan = await to_thread.run_sync(self._actions.plan, name, query)
            html = self._render(request, "confirm", {"plan": plan, "query": str(query), "back": query.get("back", "/")})
            return self._whole(request, html, title=plan.title)
        form = await self._checked_form(request)
        run = self._runs.start(name, viewer.name, partial(self._actions.apply, name, query, form, viewer))
        await run.wait(ACTION_S)
        if not run.has_ended:
            await to_thread.run_sync(self._actions.goes_on, name, query, viewer)
        return self._told(request, run)

    async def running(self, request: Request) -> Response:
        """Answer with how far an action is that goes on, or with what it did."""
        viewer = _viewer(request)
        return self._told(request, self._runs.find(request.path_params["run"], viewer.name if viewer else ""))

    def _told(self, request: Request, run: Run) -> Response:
        done, back = run.result(), Query(request.url.query).get("back", "/")
        if done is not None:
            html = self._render(request, "done", {"done": done, "back": done.back or back})
            return self._whole(request, html, title=done.title)
        answer = self._whole(request, self._render(request, "running", {"run": run, "back": back}), title="It goes on")
        query = urlencode({"back": back})
        answer.headers["refresh"] = f"1; url={_root(request)}/running/{run.id}?{query}"
        return answer

    async def login(self, request: Request) -> Response:
        """Ask for a token, and begin a session."""
        target = _local(request.query_params.get("next", "/"))
        if request.method != "POST":
            return self._login_page(request, target, "")
        form = await self._checked_form(request)
        session = self._access.log_in(form.get("token", ""))
        if session is None:
            await asyncio.sleep(WRONG_TOKEN_S)
            return self._login_page(request, target, "There is no such token.", status=403)
        answer = RedirectResponse(_root(request) + target, 303)
        self._set_cookie(request, answer, SESSION_COOKIE, session, SESSION_S)
        return answer

    async def logout(self, request: Request) -> Response:
        """End the session in this browser."""
        await self._checked_form(request)
        answer = RedirectResponse(f"{_root(request)}/login", 303)
        answer.delete_cookie(SESSION_COOKIE, path=_root(request) or "/", httponly=True, samesite="strict")
        return answer

    async def failed(self, request: Request, error: Exception) -> Response:
        """Answer with what went wrong, in words."""
        status, text = status_of(error)
        context = {"status": status, "text": text, "away": isinstance(error, ServerUnreachableError)}
        answer = self._whole(request, self._render(request, "error", context), title="Not possible", status=status)
        if isinstance(error, ServerUnreachableError):
            answer.headers["refresh"] = "3"
        return answer

    def _asked(self, view: View, request: Request) -> tuple[str, Callable[[], Snapshot]]:
        """Return the key of a view, with all that it depends on, and the function that makes it.

        Raises:
            FilterError: the URL has a parameter that the view has not.
        """
        viewer, root = _viewer(request), _root(request)
        query = Query(request.url.query)
        query = Query("&".join(part for part in str(query).split("&") if not part.startswith("_mark=")))
        query.must_be_of(*view.parameters)
        names = {name: str(value) for name, value in request.path_params.items()}

        def make() -> Snapshot:
            context = view.build(Look(self._bus, self._history, query, names))
            html = render(view.template, context, root=root, viewer=viewer)
            return Snapshot.of(html, str(context.get("title", view.title)))

        role = viewer.role if viewer else ""
        return f"{role} {root} {view.path} {sorted(names.items())} {query}", make

    def _render(self, request: Request, template: str, context: dict[str, Any]) -> str:
        shown = {**context, "csrf": self._csrf(request)}
        return render(template, shown, root=_root(request), viewer=_viewer(request))

    def _whole(
        self, request: Request, html: str, *, title: str, mark: str = "", menu: str = "", live: bool = False, status: int = 200
    ) -> HTMLResponse:
        """Return a page around the HTML of a view."""
        query = f"?{request.url.query}" if request.url.query else ""
        path = request.url.path.removeprefix(_root(request))
        viewer = _viewer(request)
        context = {
            **{"content": Markup(html), "title": title, "mark": mark, "menu": menu, "viewer": viewer},  # noqa: S704  # rendered by us
            "live": f"{_root(request)}/live{path}{query}" if live else "",
            "csrf": self._csrf(request),
            "can_log_out": bool(self._access.tokens),
            "server": self._bus.redis.address,
            "namespace": self._bus.settings.namespace,
            "version": __version__,
        }
        page = render("base", context, root=_root(request), viewer=viewer)
        answer = HTMLResponse(page, status)
        if "notify_nonce" in request.scope:
            self._set_cookie(request, answer, CSRF_COOKIE, request.scope["notify_nonce"], None)
        return answer

    def _login_page(self, request: Request, target: str, problem: str, status: int = 200) -> Response:
        html = self._render(request, "login", {"next": target, "problem": problem, "asks": bool(self._access.tokens)})
        return self._whole(request, html, title="Log in", status=status)

    def _csrf(self, request: Request) -> str:
        """Return the text that a form must send back. It belongs to a cookie, which the answer sets if there is none."""
        nonce = request.cookies.get(CSRF_COOKIE) or request.scope.setdefault("notify_nonce", secrets.token_urlsafe(16))
        return self._access.form_seal(nonce)

    async def _checked_form(self, request: Request) -> dict[str, str]:
        """Return the fields of a form of this page.

        Raises:
            HTTPException: it was not sent from this page, or has too many fields.
        """
        try:
            body = (await request.body()).decode(errors="replace")
        except ClientDisconnect as exc:
            raise HTTPException(413, f"the form was cut off: it may have {MOST_BODY_BYTES} bytes at most") from exc
        try:
            form = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=MOST_FIELDS))
        except ValueError as exc:
            raise HTTPException(400, f"the form has more than {MOST_FIELDS} fields") from exc
        if request.headers.get("authorization", "").lower().startswith("bearer "):
            return form  # a program: browsers send by themselves only what a proxy asked them for, as Basic
        nonce, given = request.cookies.get(CSRF_COOKIE, ""), form.get("csrf", "")
        if not nonce or not secrets.compare_digest(given.encode(), self._access.form_seal(nonce).encode()):
            raise HTTPException(403, "this form is older than the page, or is none of its forms: open the page again, and try once more")
        return form

    def _set_cookie(self, request: Request, answer: Response, name: str, value: str, max_age_s: int | None) -> None:
        # Behind a proxy with TLS the scheme is http: there the origin of the form says it.
        is_secure = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
        path = _root(request) or "/"
        answer.set_cookie(name, value, max_age=max_age_s, path=path, secure=is_secure, httponly=True, samesite="strict")

    def _why_not(self) -> str:
        return "your role is read" if self._access.allow_actions else "start the page with --allow-actions"

    def _stream(self, request: Request, events: AsyncGenerator[str, None]) -> Response:
        return StreamingResponse(self._while_known(request, events), media_type="text/event-stream", headers=STREAM)

    async def _while_known(self, request: Request, events: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
        """Yield events until who asked for them may look no longer: a session ends, and the stream would outlive it."""
        async with aclosing(events):
            async for event in events:
                if self._access.viewer_of(request.scope) != _viewer(request):
                    return
                yield event

    async def _tail(self, tail: Tail) -> AsyncGenerator[str, None]:
        self._feed.attach(tail)
        try:
            yield "retry: 2000\n\n"
            quiet = 0
            while True:
                self._feed.keep_open()
                items, left_out = tail.take()
                quiet = 0 if items else quiet + 1
                if items:
                    html = render("events", {"items": items, "left_out": left_out}, root="", viewer=None)
                    yield "event: events\ndata: " + html.replace("\n", " ") + "\n\n"
                elif quiet % 60 == 0:
                    yield ": still here\n\n"
                await asyncio.sleep(TAIL_S)
        finally:
            self._feed.detach(tail)


def _viewer(request: Request) -> Viewer | None:
    found: Viewer | None = request.scope.get("notify_viewer")
    return found


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")


def _local(path: str) -> str:
    """Return a path of this page; the first one if it would lead elsewhere."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_local else "/"
