"""The page below a path of an application of one's own: all that it asks for lies below that path, and the application decides who acts."""

import re
from collections.abc import Callable, Iterator
from html import unescape

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

import notify
from cli.web import Access, Viewer, web_app
from cli.web.access import read_tokens
from tests.cli.web.support import PATHS, Page
from tests.support import sample_jobs
from workers import Queue

TOKEN = "a-token-below-a-path-1"


@pytest.fixture
def mounted(bus: notify.Bus) -> Iterator[Callable[[Access], Page]]:
    clients: list[TestClient] = []

    def make(access: Access) -> Page:
        async def own(_: object) -> PlainTextResponse:
            return PlainTextResponse("of the application")

        app = Starlette(routes=[Route("/", own), Mount("/notify", web_app(bus, access=access))])
        clients.append(TestClient(app, base_url="http://yard.example", follow_redirects=False))
        return Page(clients[-1])

    yield make
    for client in clients:
        client.close()


def addresses(html: str) -> set[str]:
    return {unescape(found) for found in re.findall(r'(?:href|src|action|formaction|data-live|data-tail)="([^"]+)"', html)} - {"#main"}


def test_every_address_of_every_view_lies_below_the_path(bus: notify.Bus, mounted: Callable[[Access], Page]) -> None:
    job = Queue("work", connection=bus.redis).enqueue(sample_jobs.add_when_svc_is_there, "1")
    bus.publish("prices", 1)
    page = mounted(Access.of(lambda _: Viewer("olga", "act")))
    assert page.get("/").text == "of the application"
    with bus.service("svc", provides={"cap"}):
        for path in (*PATHS, f"/job/{job.id}", "/topic/prices", "/service/svc", f"/action/cancel?id={job.id}", "/nope"):
            html = page.get(f"/notify{path}").text
            found = addresses(html)
            assert found
            assert {address for address in found if not address.startswith("/notify/")} == set(), path
            for address in found:
                is_stream = "/live" in address or "/tail" in address
                is_form = "/action/" in address and "?" not in address  # what is marked comes with it
                assert is_stream or is_form or page.get(address).status_code == 200, address


def test_an_action_is_done_as_who_the_application_says(bus: notify.Bus, mounted: Callable[[Access], Page]) -> None:
    job = Queue("work", connection=bus.redis).enqueue(sample_jobs.add, "1")
    page = mounted(Access.of(lambda scope: Viewer("olga", "act") if scope["root_path"] == "/notify" else None))
    with bus.subscribe("ops") as ops:
        done = page.act(f"/notify/action/cancel?id={job.id}&back=/notify/jobs?status=queued")
        assert 'href="/notify/jobs?status=queued"' in done.text
        assert ops.get(5).contents["who"] == "olga"
    assert job.get_status().value == "canceled"


def test_the_login_and_its_cookie_belong_to_the_path(mounted: Callable[[Access], Page]) -> None:
    page = mounted(Access(tokens=read_tokens([f"read {TOKEN}"], source="test")))
    asked = page.get("/notify/jobs?status=failed")
    assert asked.status_code == 303
    html = page.get(asked.headers["location"])
    assert asked.headers["location"] == "/notify/login?next=%2Fjobs%3Fstatus%3Dfailed"
    csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', html.text)
    assert csrf
    answer = page.client.post(asked.headers["location"], data={"csrf": csrf[1], "token": TOKEN})
    assert answer.headers["location"] == "/notify/jobs?status=failed"
    assert "Path=/notify;" in answer.headers["set-cookie"].replace("path=", "Path=")
    assert page.get(answer.headers["location"]).status_code == 200
