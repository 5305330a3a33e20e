"""TCP in: what clients send comes in whole, in order; what is no frame is told, and disturbs nobody else."""

import logging
import threading
from typing import Any

import pytest

from notify.flows import Failed, pipeline, stage
from notify.flows.framing import LengthFraming, LineFraming
from notify.flows.tcp import TCPServer
from notify.flows.tcp import intake as intake_module
from notify.testing import wait_until
from tests.support.peers import peer

pytestmark = pytest.mark.any_server


def test_K5_lines_come_in_whole_although_they_come_in_pieces() -> None:
    got: list[str] = []
    server = TCPServer(0)
    with pipeline(server, got.append), peer(server.port) as machine_a:
        machine_a.send("temperature 2")
        wait_until(lambda: server.counts().connected == 1, what="the connection")
        machine_a.send("0.5\r\nhumi", "dity 40\n", "é".encode()[:1])
        machine_a.send("é".encode()[1:] + b"\n")
        wait_until(lambda: len(got) == 3, what="the lines")
    assert got == ["temperature 20.5", "humidity 40", "é"]


def test_K5_lines_of_several_clients_are_not_mixed() -> None:
    got: list[str] = []
    server = TCPServer(0)
    with pipeline(server, got.append), peer(server.port) as one, peer(server.port) as two:
        for number in range(200):
            one.send(f"one-{number:03}"[:4])
            two.send(f"two-{number:03}"[:3])
            one.send(f"one-{number:03}\n"[4:])
            two.send(f"two-{number:03}\n"[3:])
        wait_until(lambda: len(got) == 400, what="all lines")
    for name in ("one", "two"):
        assert [line for line in got if line.startswith(name)] == [f"{name}-{number:03}" for number in range(200)]


def test_K5_a_single_client_mode_closes_extra_connections() -> None:
    got: list[str] = []
    server = TCPServer(0, single_client=True)
    with pipeline(server, got.append):
        with peer(server.port) as first:
            first.send("one\n")
            wait_until(lambda: got == ["one"], what="the line")
            with peer(server.port) as second:
                second.send("two\n")
                assert second.rest() == "# closed: 1 client is connected, and no more are taken: try later\n"
            first.send("three\n")
            wait_until(lambda: got == ["one", "three"], what="the line of the first client")
        wait_until(lambda: server.counts().clients == 0, what="the end of the first client")
        with peer(server.port) as third:
            third.send("four\n")
            wait_until(lambda: got[-1] == "four", what="the line of the next client")
    assert server.counts().refused == 1


@pytest.mark.parametrize(
    ("framing", "sent", "items"),
    [
        ("json", b'{"a": 1}\n[2]\n', [{"a": 1}, [2]]),
        ("length", b"\0\0\0\x03one\0\0\0\x02\n\n", ["one", "\n\n"]),
        (LengthFraming(size=1, text=False), b"\x02\xff\xfe", [b"\xff\xfe"]),
        (LineFraming(non_utf8="base64"), b"\xff\nok\n", [{"base64": "/w=="}, "ok"]),
        (LineFraming(partial="keep"), b"one\ntwo", ["one", "two"]),
    ],
)
def test_the_framing_can_be_chosen(framing: Any, sent: bytes, items: list[Any]) -> None:
    got: list[Any] = []
    server = TCPServer(0, framing=framing)
    with pipeline(server, got.append):
        with peer(server.port) as client:
            client.send(sent)
        wait_until(lambda: got == items, what="the items")


def test_what_is_no_frame_goes_to_the_outlet_error() -> None:
    got: list[Any] = []
    failed: list[Failed] = []
    server = TCPServer(0, framing="json")
    with pipeline(server, got.append, errors=failed.append) as flow:
        with peer(server.port) as client:
            client.send('{"a": 1}\nno json\n{"b": 2}\n{"half')
        wait_until(lambda: len(failed) == 2, what="the failures")
        assert flow.counters()["TCPServer"].errors == 2
    assert got == [{"a": 1}, {"b": 2}]
    assert [each.item for each in failed] == [b"no json", b'{"half']
    assert "it came from 127.0.0.1:" in failed[0].error.__notes__[0]
    assert (server.counts().received, server.counts().bad) == (2, 2)


def test_what_is_no_frame_is_counted_and_logged_if_no_error_outlet_is_linked(caplog: pytest.LogCaptureFixture) -> None:
    got: list[Any] = []
    server = TCPServer(0, framing="json")
    with pipeline(server, got.append) as flow:
        with peer(server.port) as client:
            client.send("no json\n" * 50, '{"b": 2}\n')
            wait_until(lambda: got == [{"b": 2}], what="the good line")
        assert flow.counters()["TCPServer"].dropped == 50
    assert server.counts().bad == 50
    lines = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert "is dropped: a line is no JSON" in lines[0]
    assert lines[-1].endswith("49 more of the kind 'dropped frame'")
    assert len(lines) == 2


def test_a_line_of_100_mb_closes_its_client_with_a_reason_and_nobody_else() -> None:
    got: list[str] = []
    failed: list[Failed] = []
    server = TCPServer(0)
    with pipeline(server, got.append, errors=failed.append), peer(server.port) as good:
        with peer(server.port) as bad:
            bad.send("before\n")
            try:
                for _ in range(100):
                    bad.send(b"x" * 1_000_000)
            except OSError:
                pass  # it was closed in the middle
            else:
                assert "# closed: a line of more than 32768 bytes" in bad.rest()
        good.send("after\n")
        wait_until(lambda: got == ["before", "after"], what="the lines before and after")
        assert server.counts().closed == 1
    assert len(failed) == 1
    assert failed[0].item == b"x" * 200


def test_a_client_is_told_why_it_is_closed() -> None:
    server = TCPServer(0, framing=LineFraming(max_bytes=10))
    with pipeline(server, print), peer(server.port) as client:
        client.send("x" * 20)
        assert client.rest() == "# closed: a line of more than 10 bytes: send shorter lines, or give the framing more max_bytes\n"


def test_half_a_line_at_a_reset_is_told_too() -> None:
    failed: list[Failed] = []
    server = TCPServer(0)
    with pipeline(server, print, errors=failed.append), peer(server.port) as client:
        client.send("one\ntemperature 20.")
        wait_until(lambda: server.counts().received == 1, what="the line")
        client.reset()
        wait_until(lambda: [each.item for each in failed] == [b"temperature 20."], what="the half line")


def test_half_a_line_at_a_stop_is_told_too() -> None:
    got: list[str] = []
    failed: list[Failed] = []
    server = TCPServer(0)
    with pipeline(server, got.append, errors=failed.append) as flow, peer(server.port) as client:
        client.send("one\nha")
        wait_until(lambda: got == ["one"], what="the line")
        flow.close()
    assert [each.item for each in failed] == [b"ha"]


def test_what_was_read_is_delivered_at_a_stop() -> None:
    got: list[str] = []
    opened = threading.Event()

    def slow(line: str) -> None:
        opened.wait(10)
        got.append(line)

    server = TCPServer(0)
    flow = pipeline(server, stage(slow, max_items=1)).start()
    with peer(server.port) as client:
        client.send("".join(f"{number}\n" for number in range(5_000)))
        wait_until(lambda: server.counts().received == 5_000, what="the lines")
        flow.stop()
        opened.set()
        assert flow.close()
    assert got == [str(number) for number in range(5_000)]


def test_clients_are_not_read_while_the_flow_is_slower_than_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "MAX_BYTES", 100_000)
    opened = threading.Event()
    got: list[int] = []

    def slow(line: str) -> None:
        opened.wait(10)
        got.append(int(line[:7]))

    server = TCPServer(0)
    total = 60_000
    lines = "".join(f"{number:07}{'x' * 92}\n" for number in range(total))
    with pipeline(server, slow), peer(server.port) as client, peer(server.port) as other:
        sending = threading.Thread(target=lambda: client.send(lines))
        sending.start()
        wait_until(lambda: server._opened.intake.is_paused, what="the filling of the intake")
        assert server.counts().received < total / 2
        other.send(f"{total}\n")
        opened.set()
        sending.join()
        wait_until(lambda: len(got) == total + 1, timeout_s=20, what="all lines")
    assert [number for number in got if number < total] == list(range(total))


def test_a_client_that_says_nothing_is_closed_after_the_idle_timeout_if_there_is_one() -> None:
    server = TCPServer(0, idle_timeout_s=0.2)
    got: list[str] = []
    with pipeline(server, got.append), peer(server.port) as silent, peer(server.port) as talks:
        stop = threading.Event()
        talking = threading.Thread(target=lambda: [talks.send("on\n") for _ in iter(lambda: stop.wait(0.02), True)])
        talking.start()
        assert silent.rest() == "# closed: it was idle for 0.2 s: send something, or raise idle_timeout_s\n"
        assert server.counts().clients == 1
        stop.set()
        talking.join()
    assert set(got) == {"on"}


def test_two_thousand_connects_one_after_the_other_disturb_nobody(caplog: pytest.LogCaptureFixture) -> None:
    server = TCPServer(0, max_clients=20)
    got: list[str] = []
    with pipeline(server, got.append), peer(server.port) as good:
        for number in range(2_000):
            with peer(server.port):
                if number % 500 == 0:
                    good.send(f"{number}\n")
        good.send("last\n")
        wait_until(lambda: got[-1:] == ["last"], timeout_s=30, what="the line of the good client")
        wait_until(lambda: server.counts().connected + server.counts().refused == 2_001, timeout_s=30, what="all to be accepted or refused")
        wait_until(lambda: server.counts().clients == 1, timeout_s=30, what="the end of the others")
    assert got == ["0", "500", "1000", "1500", "last"]
    assert len(caplog.records) < 100


def test_a_sink_ignores_what_clients_send_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = TCPServer(0)
    hold = threading.Event()
    with pipeline(iter(lambda: hold.wait(10), True), server), peer(server.port) as client:
        client.send("hello\n" * 100_000)
        wait_until(lambda: "what comes in is ignored; use the endpoint as a source too" in caplog.text, what="the log")
        hold.set()
