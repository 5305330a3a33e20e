"""The page in this process, asked by Starlette's client."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from starlette.testclient import TestClient

import notify
from cli.web import Access, live, web_app
from tests.cli.web.support import Page


@pytest.fixture(autouse=True)
def _always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each look see the present: a view is otherwise shared for a second."""
    monkeypatch.setattr(live, "REFRESH_S", 0.0)


@pytest.fixture
def pages(bus: notify.Bus) -> Iterator[Callable[..., Page]]:
    """Make a page with some access, and a client that asks it."""
    with ExitStack() as stack:

        def make(access: Access | None = None, **options: object) -> Page:
            app = web_app(bus, access=access or Access(allow_actions=True), hosts=("localhost",))
            return Page(stack.enter_context(TestClient(app, base_url="http://localhost", follow_redirects=False, **options)))

        yield make


@pytest.fixture
def page(pages: Callable[..., Page]) -> Page:
    """A page on which everybody may act."""
    return pages()
