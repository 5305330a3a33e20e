"""Who may connect, and where: allowed networks, the token, TLS, IPv6, Unix sockets, and the addresses that cannot be used."""

import asyncio
import logging
import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from notify import EndpointError, SettingsError, WiringError
from notify.flows import pipeline
from notify.flows.framing import LineFraming
from notify.flows.tcp import TLS, TCPClient, TCPServer
from notify.flows.tcp import connection as connection_module
from notify.flows.tcp import connector as connector_module
from notify.flows.tcp.address import is_in, networks_of
from notify.testing import wait_until
from tests.support.peers import peer

pytestmark = pytest.mark.any_server

TOKEN = "hush-hush"


class Files:
    """The certificates of a server and of a client, as files."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca)
        self.server, self.client = str(folder / "server.pem"), str(folder / "client.pem")
        authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(self.server)
        authority.issue_cert("device@example.org").private_key_and_cert_chain_pem.write_to_path(self.client)

    def context(self, *, certificate: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        if certificate:
            context.load_cert_chain(self.client)
        return context


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def got() -> list[str]:
    return []


def arrived(got: list[str], *lines: str) -> None:
    wait_until(lambda: got == list(lines), what=f"{lines}")


def test_only_this_machine_can_connect_unless_the_server_is_told_otherwise(got: list[str]) -> None:
    server = TCPServer(0)
    with pipeline(server, got.append):
        assert server.address == f"127.0.0.1:{server.port}"
    server = TCPServer(0, None)
    with pipeline(server, got.append):
        for host in ("::1", "127.0.0.1"):
            with peer(server.port, host=host) as client:
                client.send(f"{host}\n")
                wait_until(lambda host=host: got[-1:] == [host], what="the line")


def test_a_server_may_listen_at_an_address_of_ipv6(got: list[str]) -> None:
    server = TCPServer(0, "::1", allowed=["::1"])
    with pipeline(server, got.append), peer(server.port, host="::1") as client:
        assert server.address == f"[::1]:{server.port}"
        client.send("one\n")
        arrived(got, "one")


def test_a_client_outside_of_the_allowed_networks_is_refused(got: list[str]) -> None:
    server = TCPServer(0, allowed=["10.0.0.0/8", "192.168.1.1"])
    with pipeline(server, got.append), peer(server.port) as client:
        assert client.rest() == "# closed: its address is not among the allowed networks\n"
    assert (server.counts().refused, server.counts().connected) == (1, 0)


@pytest.mark.parametrize(
    ("name", "is_allowed"),
    [
        (("10.1.2.3", 1), True),
        (("11.1.2.3", 1), False),
        (("::ffff:10.1.2.3", 1, 0, 0), True),
        (("fe80::1%eth0", 1, 0, 2), True),
        (("::1", 1, 0, 0), False),
        ("", True),
    ],
)
def test_allowed_networks_hold_for_both_versions_of_ip(name: Any, is_allowed: bool) -> None:
    assert is_in(name, networks_of(["10.0.0.0/8", "fe80::/10"]) or ()) is is_allowed


def test_a_unix_socket_is_for_the_same_user_only_and_goes_with_the_server(got: list[str], tmp_path: Path) -> None:
    path = tmp_path / "lab.sock"
    with pipeline(TCPServer(unix=str(path)), got.append):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with peer(str(path)) as client:
            client.send("one\n")
            arrived(got, "one")
    assert not path.exists()


def test_the_socket_of_a_dead_server_is_replaced_and_that_of_a_living_one_is_not(got: list[str], tmp_path: Path) -> None:
    path = tmp_path / "lab.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    with pipeline(TCPServer(unix=str(path)), got.append):
        with pytest.raises(EndpointError, match="another process listens there already"):
            pipeline(TCPServer(unix=str(path)), print).start()
        with peer(str(path)) as client:
            client.send("one\n")
            arrived(got, "one")


def test_no_file_is_replaced_by_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text("precious")
    with pytest.raises(EndpointError, match="listens there already"):
        pipeline(TCPServer(unix=str(path)), print).start()
    assert path.read_text() == "precious"


def test_the_token_lets_a_client_in(got: list[str]) -> None:
    server = TCPServer(0, token=TOKEN)
    with pipeline(server, got.append):
        with peer(server.port) as client:
            client.send(TOKEN[:3], TOKEN[3:] + "\r\none\ntw", "o\n")
            arrived(got, "one", "two")
        client_side = TCPClient("127.0.0.1", server.port, token=TOKEN)
        pipeline(["three"], client_side).run()
        arrived(got, "one", "two", "three")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [("wrong\none\n", "the token is wrong"), ("\n", "the token is wrong"), ("x" * 2_000, "too long for a token"), (b"\xff\n", "wrong")],
)
def test_a_wrong_token_is_refused_and_shown_nowhere(got: list[str], caplog: pytest.LogCaptureFixture, sent: Any, reason: str) -> None:
    caplog.set_level(logging.DEBUG)
    server = TCPServer(0, token=TOKEN)
    with pipeline(server, got.append), peer(server.port) as client:
        client.send(sent)
        assert reason in client.rest()
    assert got == []
    assert server.counts().refused == 1
    assert TOKEN not in caplog.text + repr(server) + repr(vars(server)) + repr(server._options)
    assert "wrong\n" not in caplog.text


@pytest.mark.parametrize(("host", "is_warned"), [("127.0.0.1", False), (None, True)])
def test_a_token_that_others_can_read_on_the_network_is_warned_of(caplog: pytest.LogCaptureFixture, host: str, is_warned: bool) -> None:
    with pipeline(TCPServer(0, host, token=TOKEN), print):
        assert ("takes its token without TLS: others on the network can read it" in caplog.text) is is_warned


def test_a_client_gets_nothing_before_its_token(got: list[str]) -> None:
    started, server = threading.Event(), TCPServer(0, token=TOKEN)

    def source() -> Iterator[str]:
        started.wait(10)
        yield "secret"

    with pipeline(source, server) as flow, peer(server.port) as stranger, peer(server.port) as friend:
        friend.send(f"{TOKEN}\n")
        wait_until(lambda: server.counts().connected == 1, what="the friend")
        started.set()
        assert friend.line() == "secret"
        assert flow.wait(5)
        flow.close()
        assert stranger.rest() == ""


def test_a_client_that_sends_no_token_is_refused_after_a_while(got: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "HANDSHAKE_S", 0.1)
    server = TCPServer(0, token=TOKEN)
    with pipeline(server, got.append), peer(server.port) as client:
        assert "no token came in 0.1 s: send it as the first line" in client.rest()


@pytest.mark.parametrize("token", ["", "two\nlines", "x" * 2_000, 7, b"bytes"])
def test_a_token_that_cannot_be_used_is_refused_without_showing_it(token: Any) -> None:
    with pytest.raises(WiringError) as caught:
        TCPServer(0, token=token)
    assert not token or str(token) not in str(caught.value)


def test_tls_encrypts_in_both_directions(got: list[str], files: Files) -> None:
    server = TCPServer(0, tls=TLS(certificate=files.server), token=TOKEN)
    with pipeline(server, lambda line: got.append(line) or line.upper(), server), peer(server.port, tls=files.context()) as client:
        client.send(f"{TOKEN}\n", "one\n")
        assert client.line() == "ONE"
        pipeline(["two"] * 1_000, TCPClient("localhost", server.port, tls=TLS(ca=files.ca), token=TOKEN)).run()
        assert client.lines(1_000) == ["TWO"] * 1_000


def test_a_client_is_told_by_tls_too_why_it_is_closed(got: list[str], files: Files) -> None:
    server = TCPServer(0, tls=TLS(certificate=files.server), framing=LineFraming(max_bytes=10))
    with pipeline(server, got.append), peer(server.port, tls=files.context()) as client:
        client.send("one\n" + "x" * 20)
        assert client.rest().startswith("# closed: a line of more than 10 bytes")
        arrived(got, "one")


def test_a_server_may_ask_clients_for_their_certificate(got: list[str], files: Files) -> None:
    server = TCPServer(0, tls=TLS(certificate=files.server, ca=files.ca))
    with pipeline(server, got.append):
        with peer(server.port, tls=files.context()) as stranger:
            assert stranger.rest() == ""  # asyncio sends no alert
        with peer(server.port, tls=files.context(certificate=True)) as client:
            client.send("one\n")
            arrived(got, "one")
        pipeline(["two"], TCPClient("localhost", server.port, tls=TLS(certificate=files.client, ca=files.ca))).run()
        arrived(got, "one", "two")
    assert server.counts().refused == 1


def test_a_broken_handshake_disturbs_nobody(got: list[str], files: Files, caplog: pytest.LogCaptureFixture) -> None:
    server = TCPServer(0, tls=TLS(certificate=files.server))
    with pipeline(server, got.append), peer(server.port, tls=files.context()) as good:
        with peer(server.port) as plain:
            plain.send("GET / HTTP/1.0\r\n\r\n")
            plain.rest_of_bytes()
        with pytest.raises(ssl.SSLError):
            peer(server.port, tls=ssl.create_default_context()).__enter__()  # it does not trust the certificate
        with peer(server.port) as gone:
            gone.send(b"\x16\x03\x01")
            gone.reset()
        wait_until(lambda: server.counts().refused == 3, what="three refusals")
        good.send("one\n")
        arrived(got, "one")
    assert "the handshake of TLS failed" in caplog.text
    assert "check that it uses TLS, and the certificates" in caplog.text


def test_a_client_that_begins_no_handshake_is_refused_after_a_while(got: list[str], files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "HANDSHAKE_S", 0.1)
    server = TCPServer(0, tls=TLS(certificate=files.server))
    with pipeline(server, got.append), peer(server.port) as silent:
        assert silent.rest() == ""
        wait_until(lambda: server.counts().refused == 1, what="the refusal")


def test_a_client_does_not_talk_to_a_server_that_it_does_not_trust(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    server = TCPServer(0, tls=TLS(certificate=files.server))
    with pipeline(server, print), pytest.raises(EndpointError, match=r"cannot be reached by TLS: .*certificate.*; check tls="):
        pipeline(["one"], TCPClient("localhost", server.port, tls=True, reconnect=False)).run()
    monkeypatch.setattr(connector_module, "HANDSHAKE_S", 0.1)
    with (
        pipeline(server := TCPServer(0), print),
        pytest.raises(EndpointError, match="not answered: check that the server uses TLS"),
    ):
        pipeline(["one"], TCPClient("localhost", server.port, tls=TLS(ca=files.ca), reconnect=False)).run()


def test_certificates_that_cannot_be_used_are_an_error_at_the_start(files: Files, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no certificate")
    for tls in (TLS(certificate="/nowhere.pem"), TLS(certificate=str(tmp_path / "no.pem")), TLS(certificate=files.server, ca="/nowhere")):
        with pytest.raises(EndpointError, match="give PEM files that belong together"):
            pipeline(TCPServer(0, tls=tls), print).start()
    with pytest.raises(WiringError, match="needs a certificate"):
        pipeline(TCPServer(0, tls=TLS()), print).start()


def test_a_port_in_use_is_an_error_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EndpointError, match=f"127.0.0.1:{port} cannot be listened at: another process listens there already: choose"):
            pipeline(TCPServer(port), print).start()


@pytest.mark.parametrize(
    ("problem", "remedy"),
    [
        (PermissionError(13, "Permission denied"), "ports below 1024 are forbidden"),
        (OSError(5, "Input/output error"), "output error"),
    ],
)
def test_a_forbidden_port_is_an_error_with_the_remedy(monkeypatch: pytest.MonkeyPatch, problem: OSError, remedy: str) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise problem  # the tests may run as root, which may use any port

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_server", refuse)
    with pytest.raises(EndpointError, match=remedy):
        pipeline(TCPServer(80), print).start()


@pytest.mark.parametrize(
    ("host", "remedy"), [("no.such.host.invalid", "is unknown"), ("192.0.2.1", "no such address: give one of its own")]
)
def test_an_address_of_another_machine_is_an_error_with_the_remedy(host: str, remedy: str) -> None:
    with pytest.raises(EndpointError, match=remedy):
        pipeline(TCPServer(0, host), print).start()


@pytest.mark.parametrize(
    "make",
    [
        lambda: TCPServer(),
        lambda: TCPServer(70_000),
        lambda: TCPServer(True),
        lambda: TCPServer(0, ""),
        lambda: TCPServer(0, unix="x"),
        lambda: TCPServer(unix="x" * 200),
        lambda: TCPServer(0, allowed="10.0.0.0/8"),
        lambda: TCPServer(0, allowed=["lab"]),
        lambda: TCPServer(0, max_clients=0),
        lambda: TCPServer(0, idle_timeout_s=0),
        lambda: TCPServer(0, keep_alive_s=-1),
        lambda: TCPClient("localhost"),
        lambda: TCPClient("localhost", 1, idle_timeout_s=0),
    ],
)
def test_wrong_arguments_are_refused(make: Any) -> None:
    with pytest.raises((WiringError, SettingsError), match="give"):
        make()


def test_so_many_clients_are_let_in_and_no_more() -> None:
    server = TCPServer(0, max_clients=2)
    with pipeline(server, print), peer(server.port), peer(server.port) as second:
        wait_until(lambda: server.counts().clients == 2, what="both clients")
        with peer(server.port) as third:
            assert third.rest() == "# closed: 2 clients are connected, and no more are taken: try later\n"
        second.close()
        wait_until(lambda: server.counts().clients == 1, what="the end of the second one")
        with peer(server.port):
            wait_until(lambda: server.counts().clients == 2, what="another one in its place")


@pytest.mark.parametrize("keep_alive_s", [7.0, None])
def test_the_operating_system_probes_whether_a_silent_client_lives(keep_alive_s: float | None) -> None:
    server = TCPServer(0, keep_alive_s=keep_alive_s)
    with pipeline(server, print), peer(server.port):
        wait_until(lambda: server.counts().clients == 1, what="the client")
        (connection,) = server._opened.connections
        option = connection._transport.get_extra_info("socket").getsockopt  # type: ignore[attr-defined]  # a `Connection`
        assert option(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == (keep_alive_s is not None)
        if keep_alive_s is not None:
            assert option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
