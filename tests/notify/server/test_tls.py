"""TLS: a connection is made where the certificate is right, and the error says what is wrong where it is not."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

import notify
from notify import ServerUnreachableError, Settings
from tests.support.tls import TLSFront


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(made)
    return made


@pytest.fixture
def front(server, context: ssl.SSLContext) -> Iterator[TLSFront]:
    with TLSFront(server.directory / "redis.sock", context) as running:
        yield running


def _trusting(tmp_path: Path) -> str:
    return f"ssl_ca_certs={quote(str(tmp_path / 'ca.pem'))}"


@pytest.mark.usefixtures("bus")
def test_events_go_over_tls(front, tmp_path, collect):
    with notify.connect(f"rediss://127.0.0.1:{front.port}/0?{_trusting(tmp_path)}") as bus, bus.subscribe("t") as events:
        bus.publish("t", 1)
        assert [event.contents for event in collect(events, 1)] == [1]


@pytest.mark.parametrize("retry_s", [notify.server.ONE_ATTEMPT, 0.1], ids=["one attempt", "until the server is there"])
def test_an_unknown_authority_is_named_as_the_problem_at_once(front, retry_s):
    with pytest.raises(ServerUnreachableError, match=r"no TLS connection .*its certificate is refused \(.*\): name the authority"):
        notify.connect(f"rediss://127.0.0.1:{front.port}/0", retry_s=retry_s)


def test_a_certificate_for_another_host_is_named_as_the_problem(server, authority, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    with (
        TLSFront(server.directory / "redis.sock", context) as front,
        pytest.raises(ServerUnreachableError, match=r"certificate is refused \(.*127\.0\.0\.1.*\).* use the host name"),
    ):
        notify.connect(f"rediss://127.0.0.1:{front.port}/0?{_trusting(tmp_path)}")


def test_a_server_that_asks_for_a_certificate_of_the_client_says_so(front, context, authority, tmp_path):
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    with pytest.raises(ServerUnreachableError, match=r"while connecting"):
        notify.connect(f"rediss://127.0.0.1:{front.port}/0?{_trusting(tmp_path)}")


def test_a_port_without_tls_is_named_as_the_problem(proxy):
    settings = Settings(url=proxy.url.replace("redis://", "rediss://"), connect_timeout_s=0.2)
    with pytest.raises(ServerUnreachableError, match=r"check that the server runs .* and that it speaks TLS there"):
        notify.connect(settings=settings)
