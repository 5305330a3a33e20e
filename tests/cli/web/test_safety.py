"""Who may look, who may act, and what is refused before anything is read."""

import ipaddress
import socket
from contextlib import suppress
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from cli.web import Access, Viewer, web_app
from cli.web.access import read_tokens
from cli.web.guard import MOST_BODY_BYTES
from notify import SettingsError
from tests.support import sample_jobs
from tests.support.web_page import served
from workers import Queue

TOKEN, READ_TOKEN = "a-token-to-act-with-0001", "a-token-to-look-with-0002"
TOKENS = Access(allow_actions=True, tokens=read_tokens([f"act olga {TOKEN}", f"read {READ_TOKEN}"], source="test"))


def memory_kib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


def bearer(token):
    return {"authorization": f"Bearer {token}"}


def log_in(page, token, target="/jobs"):
    html = page.get(f"/login?next={target}").text
    csrf = html.split('name="csrf" value="')[-1].split('"')[0]
    return page.client.post(f"/login?next={target}", data={"csrf": csrf, "token": token})


def test_a_strict_policy_comes_with_every_answer_and_nothing_is_inline(page):
    for path in ("/", "/jobs", "/nope", "/static/style.css", "/?token=x"):
        headers = page.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
    html = page.get("/").text
    assert "style=" not in html
    assert " on" + "click" not in html
    assert "http://" not in html
    assert "https://" not in html


def test_another_host_is_refused_so_that_a_name_that_is_bound_anew_reads_nothing(page):
    answer = page.get("/", headers={"host": "evil.example"})
    assert answer.status_code == 421
    assert "--allowed-host" in answer.text
    assert page.get("/", headers={"host": "localhost:8400"}).status_code == 200


def test_a_token_in_a_url_is_refused(pages):
    page = pages(TOKENS)
    assert page.get(f"/?token={TOKEN}").status_code == 400
    assert page.get(f"/jobs?access_token={TOKEN}").status_code == 400
    for query in (f"t={TOKEN}", f"text={TOKEN}", f"%74oken={TOKEN}", TOKEN, f"{TOKEN}=1"):
        answer = page.get(f"/jobs?{query}")
        assert (answer.status_code, TOKEN in answer.text) == (400, False)
    assert page.get("/jobs?text=no-token-of-this-page").status_code == 303


def test_who_has_no_token_is_led_to_the_login_and_sees_nothing(pages):
    page = pages(TOKENS)
    answer = page.get("/jobs?status=failed")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fjobs%3Fstatus%3Dfailed"
    assert page.client.get("/jobs").status_code == 401
    assert page.client.get("/live/jobs").status_code == 401
    assert page.client.get("/tail").status_code == 401
    assert page.client.get("/", headers=bearer("another-token-00000000")).status_code == 401
    assert page.client.get("/", headers=bearer(TOKEN)).status_code == 200


def test_a_login_sets_a_cookie_that_scripts_and_other_sites_do_not_get(pages):
    page = pages(TOKENS)
    answer = log_in(page, TOKEN)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/jobs"
    cookie = next(value for value in answer.headers.get_list("set-cookie") if value.startswith("notify_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert "may act" in page.text("/jobs")


def test_a_wrong_token_and_a_forged_session_open_nothing(pages, monkeypatch):
    monkeypatch.setattr("cli.web.app.WRONG_TOKEN_S", 0.0)
    page = pages(TOKENS)
    answer = log_in(page, "a-token-that-nobody-has")
    assert answer.status_code == 403
    assert "There is no such token." in answer.text
    for forged in ("x", "00.9999999999.00", f"{TOKEN}.9999999999.{TOKEN}", "é.1.é"):
        page.client.cookies.set("notify_session", forged.encode("ascii", "ignore").decode())
        assert page.get("/").status_code == 303


@pytest.mark.parametrize("lines", [[f"act {TOKEN}"], [f"act olga {TOKEN}", f"read {READ_TOKEN}"]])
def test_the_secret_of_a_form_that_anybody_gets_is_no_session(pages, lines):
    page = pages(Access(allow_actions=True, tokens=read_tokens(lines, source="test")))
    nonce = "x.99999999999999"
    html = page.get("/login", headers={"cookie": f"notify_csrf={nonce}"}).text
    seal = html.split('name="csrf" value="')[-1].split('"')[0]
    for body in (nonce, f"form {nonce}", f"session {nonce}"):
        assert page.get("/", headers={"cookie": f"notify_session={body}.{seal}"}).status_code == 303
    assert page.get("/", headers={"cookie": f"notify_session={nonce}.é".encode()}).status_code == 303


def test_who_is_not_known_is_not_told_where_the_data_are(bus, pages):
    page = pages(TOKENS)
    assert bus.redis.address not in page.get("/login").text
    assert bus.redis.address in page.get("/", headers=bearer(READ_TOKEN)).text


@pytest.mark.parametrize(("origin", "is_secure"), [("https://localhost", True), ("http://localhost", False)])
def test_a_session_behind_a_proxy_with_tls_is_sent_over_tls_only(pages, origin, is_secure):
    page = pages(TOKENS)
    html = page.get("/login").text
    form = {"csrf": html.split('name="csrf" value="')[-1].split('"')[0], "token": TOKEN}
    answer = page.client.post("/login", data=form, headers={"origin": origin})
    cookie = next(value for value in answer.headers.get_list("set-cookie") if value.startswith("notify_session="))
    assert ("Secure" in cookie) == is_secure


def test_a_login_leads_to_a_path_of_this_page_only(pages):
    page = pages(TOKENS)
    assert log_in(page, TOKEN, "//evil.example/").headers["location"] == "/"


def test_who_may_only_look_can_not_act(bus, pages):
    queue = Queue("default", connection=bus.redis)
    job = queue.enqueue(sample_jobs.add, "1")
    for page, headers in ((pages(TOKENS), bearer(READ_TOKEN)), (pages(Access()), {})):
        html = page.get("/jobs", headers=headers).text
        assert "read only" in html
        assert "/action/" not in html.replace("/action/marked", "")
        assert page.get("/action/cancel?all=1", headers=headers).status_code == 403
        assert page.client.post(f"/action/cancel?id={job.id}", headers=headers).status_code == 403
    assert job.get_status().value == "queued"


def test_a_form_from_elsewhere_does_nothing(bus, page):
    job = Queue("default", connection=bus.redis).enqueue(sample_jobs.add, "1")
    path = f"/action/cancel?id={job.id}"
    html = page.get(path).text
    csrf = html.split('name="csrf" value="')[-1].split('"')[0]
    for headers, fields in (
        ({}, {}),
        ({}, {"csrf": "0" * 64}),
        ({"origin": "http://evil.example"}, {"csrf": csrf}),
        ({"origin": "null"}, {"csrf": csrf}),
        ({"origin": "http://["}, {"csrf": csrf}),
        ({"authorization": "Basic b2xnYTp4"}, {}),  # a browser sends it by itself to a proxy that asked for it
        ({"sec-fetch-site": "cross-site"}, {"csrf": csrf}),
    ):
        assert page.client.post(path, data=fields, headers=headers).status_code == 403
    page.client.cookies.clear()
    assert page.client.post(path, data={"csrf": csrf}).status_code == 403
    assert job.get_status().value == "queued"


def test_a_look_at_the_head_of_an_action_does_nothing(bus, page):
    job = Queue("default", connection=bus.redis).enqueue(sample_jobs.add, "1")
    assert page.client.head(f"/action/cancel?id={job.id}", headers=bearer(TOKEN)).status_code == 200
    assert job.get_status().value == "queued"


def test_the_form_of_the_page_itself_is_the_twin_that_acts(bus, page):
    job = Queue("default", connection=bus.redis).enqueue(sample_jobs.add, "1")
    assert page.act(f"/action/cancel?id={job.id}").status_code == 200
    assert job.get_status().value == "canceled"


def test_a_large_body_is_refused(page):
    assert page.client.post("/action/publish?topic=t", content=b"x" * (MOST_BODY_BYTES + 1)).status_code == 413
    assert page.client.post("/login", content=b"", headers={"content-length": "100000000"}).status_code == 413
    answer = page.client.post("/action/publish?topic=t", content=iter([b"x" * (MOST_BODY_BYTES + 1)]))  # does not say how large it is
    assert answer.status_code == 413
    assert f"{MOST_BODY_BYTES} bytes at most" in answer.text


@pytest.mark.parametrize("says_its_size", [True, False])
def test_a_body_of_a_hundred_megabytes_is_refused_and_not_kept(bus, says_its_size):
    """The page answers at the limit; what is sent behind it is not read into memory."""
    piece, before = b"x" * 1_000_000, memory_kib()
    with served(bus) as url, socket.create_connection(("127.0.0.1", urlsplit(url).port), timeout=30) as connection:
        size = "content-length: 100000000" if says_its_size else "transfer-encoding: chunked"
        connection.sendall(f"POST /action/publish?topic=t HTTP/1.1\r\nhost: localhost\r\n{size}\r\n\r\n".encode())
        with suppress(ConnectionError):  # the page hangs up when it has answered
            for _ in range(100):
                connection.sendall(piece if says_its_size else b"%x\r\n%b\r\n" % (len(piece), piece))
        with suppress(ConnectionError):
            answer = connection.recv(65_536)
            assert b" 413 " in answer
        assert TestClient(web_app(bus)).get("/healthz").status_code == 200
    assert memory_kib() - before < 40_000


def test_a_form_of_very_many_fields_is_refused(page):
    answer = page.client.post("/login", content="a=1&" * 1_000)
    assert answer.status_code == 400
    assert "more than 100 fields" in answer.text


def test_a_proxy_names_the_user_and_nobody_else_may(pages):
    proxied = Access(allow_actions=True, header="X-User", proxies=(ipaddress.ip_network("10.0.0.0/8"),), actors=frozenset(["olga"]))
    page = pages(proxied, client=("10.1.2.3", 1))
    assert "may act" in unescape(page.get("/", headers={"x-user": "olga"}).text)
    assert "read only" in page.get("/", headers={"x-user": "otto"}).text
    assert page.get("/").status_code == 403
    assert page.get("/", headers={"x-user": ""}).status_code == 403
    assert page.client.get("/", headers=[("x-user", "otto"), ("x-user", "olga")]).status_code == 403
    assert pages(proxied, client=("192.168.0.1", 1)).get("/", headers={"x-user": "olga"}).status_code == 403


def test_an_application_of_ones_own_says_who_asks(pages):
    page = pages(Access.of(lambda scope: Viewer("olga", "act") if scope["path"] == "/" else None))
    assert page.get("/").status_code == 200
    assert page.get("/jobs").status_code == 403


def test_tokens_are_never_shown(pages):
    page = pages(TOKENS)
    log_in(page, TOKEN)
    assert all(TOKEN not in page.get(path).text for path in ("/", "/jobs", "/workers", "/login"))
    assert TOKEN not in repr(TOKENS)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["short"], "shorter than 16"),
        (["boss aaaaaaaaaaaaaaaaaaaa"], "no token: write"),
        (["# nothing"], "there is no token"),
        (["a b c d"], "no token"),
    ],
)
def test_a_file_of_tokens_that_holds_none_is_refused(lines, words):
    with pytest.raises(SettingsError, match=words):
        read_tokens(lines, source="the file")
