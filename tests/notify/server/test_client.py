"""Clients: opened from any kind of URL, or refused with an error that says what is wrong with the URL or the server."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import notify
from notify import ServerRefusedError, ServerUnreachableError, Settings, SettingsError
from notify.events.subscriber import Subscriber
from notify.server.binary import find_server_binary
from notify.server.client import Client, open_client
from notify.testing import wait_until
from tests.support.proxy import Proxy


@pytest.mark.parametrize(
    "url",
    [
        "redis://host/0?wait_for=ever",
        "redis://host/0?socket_timeout=soon",
        "redis+sentinel://host:26379",
        "redis+sentinel:///main/0",
        "redis+sentinel://host:port/main/0",
        "redis+sentinel://host/main/first",
    ],
)
def test_a_url_with_a_part_that_cannot_be_used_is_refused_before_anything_is_sent(url):
    with pytest.raises(SettingsError, match="cannot be used as the URL"):
        open_client(Settings(url=url), name="test")


def test_the_error_about_a_sentinel_url_hides_its_password():
    with pytest.raises(SettingsError) as caught:
        open_client(Settings(url="redis+sentinel://:hush/hush@host:26379/main"), name="test")
    assert "hush" not in f"{caught.value} {caught.value.__cause__}"


def test_a_client_needs_a_url():
    with pytest.raises(SettingsError, match="no URL"):
        open_client(Settings(), name="test")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "unix:///nowhere/redis.sock", "redis://no-such-host.invalid:6379"])
def test_M10_the_error_names_an_address_at_which_no_server_answers(url):
    with pytest.raises(ServerUnreachableError, match=url.split("/")[2] or "nowhere"):
        notify.connect(url)


def test_M10_a_server_that_accepts_and_never_answers_is_waited_for_until_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ServerUnreachableError, match=address):
            notify.connect(settings=Settings(url=f"redis://{address}", command_timeout_s=0.1))


def test_a_wrong_password_is_refused_and_does_not_show(own_server):
    with notify.connect(own_server.url) as bus:
        bus.redis.config_set("requirepass", "right")
        with pytest.raises(ServerRefusedError, match="refused the user or password") as caught:
            notify.connect(own_server.url.replace("unix://", "unix://:wrong-one@"))
        assert "wrong-one" not in f"{caught.value} {caught.value.__cause__}"
        with notify.connect(own_server.url.replace("unix://", "unix://:right@")) as another:
            assert another.topics() == []
        bus.redis.config_set("requirepass", "")


@pytest.mark.parametrize("version", ["6.0.16", "5.0.0", "2.8.24"])
def test_a_server_older_than_6_2_is_refused_with_its_version(server, monkeypatch, version):
    monkeypatch.setattr(Client, "info", lambda *_: {"redis_version": version})
    with pytest.raises(ServerRefusedError, match=rf"Redis {version}: use Redis 6\.2 or newer"):
        notify.connect(server.url)


@pytest.mark.parametrize("version", ["6.2.0", "7.2.4", "10.0.1"])
def test_any_newer_server_is_accepted(server, monkeypatch, version):
    monkeypatch.setattr(Client, "info", lambda *_: {"redis_version": version})
    notify.connect(server.url).close()


def test_a_connection_that_failed_is_closed_however_long_its_error_is_kept(server, bus, monkeypatch):
    monkeypatch.setattr(Client, "info", lambda client, _: client.ping() and {"redis_version": "6.0"})
    with pytest.raises(ServerRefusedError) as kept:
        notify.connect(server.url, name="refused")
    assert kept
    wait_until(lambda: "notify:refused" not in {client["name"] for client in bus.redis.client_list()}, what="the server's noticing")


def test_client_list_shows_the_names_of_the_connections(server, bus):
    with notify.connect(server.url, name="lab 7\n"), notify.connect(server.url, name="café"), bus.subscribe("t", "s*"):
        names = [client["name"] for client in bus.redis.client_list()]
    assert {"notify:lab_7_", "notify:caf_", "notify:test|notify:event:t|notify:event:s*"} <= set(names)
    assert "notify:test" in names


@pytest.mark.usefixtures("bus")  # it empties the server: another test may have left a retained event
def test_options_in_a_url_cannot_change_the_form_of_answers(server, collect):
    with notify.connect(f"{server.url}&decode_responses=true&protocol=3") as bus, bus.service("s"), bus.subscribe("t") as events:
        bus.publish("t", 1)
        assert [event.contents for event in collect(events, 1)] == [1]
        assert bus.directory.lookup("s").name == "s"


def test_a_write_whose_answer_was_lost_is_not_sent_again(server, bus):
    """A client that retries, as redis-py does by default, counts twice."""
    bus.publish("t", "loads the script")
    with Proxy(server.directory / "redis.sock") as proxy:
        with notify.connect(proxy.url) as ours:
            proxy.lose_answers(1)
            with pytest.raises(ServerUnreachableError, match="while publishing on 't'"):
                ours.publish("t", "may have been published, and was")
            assert bus.redis.xlen(bus.keys.log("t")) == 2
            ours.publish("t", "goes on")
        with redis.Redis.from_url(proxy.url, retry=Retry(NoBackoff(), 1)) as theirs:
            proxy.lose_answers(1, command=b"INCRBY")
            assert theirs.incr("theirs") == 2
        bus.redis.delete("theirs")


def test_a_client_on_a_pool_of_the_application_leaves_the_pool_open(server):
    with redis.Redis.from_url(server.url) as theirs:
        theirs.ping()
        ours = Client.of(theirs)
        assert Client.of(ours) is ours
        ours.close()
        assert any(connection.is_connected for connection in theirs.connection_pool._available_connections)
        assert ours.address == theirs.connection_pool.connection_kwargs["path"]


def test_a_sentinel_url_has_sentinels_a_master_a_login_and_a_database():
    client = open_client(Settings(url="redis+sentinel://me:p%40ss@a:1,b,[::1]:3/main/2"), name="test")
    pool = client.connection_pool
    sentinels = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
    assert [(s["host"], s["port"]) for s in sentinels] == [("a", 1), ("b", 26379), ("::1", 3)]
    assert pool.service_name == "main"
    assert {key: pool.connection_kwargs[key] for key in ("username", "password", "db")} == {"username": "me", "password": "p@ss", "db": 2}


def test_the_error_about_silent_sentinels_hides_the_password():
    with pytest.raises(ServerUnreachableError, match=r"redis\+sentinel://\*\*\*@127\.0\.0\.1:1/main") as caught:
        notify.connect("redis+sentinel://:hush@127.0.0.1:1/main")
    assert "hush" not in str(caught.value)


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[str]:
    """The URL of a real Sentinel that monitors a real master."""
    master_port, sentinel_port = _free_port(), _free_port()
    (tmp_path / "sentinel.conf").write_text(f"port {sentinel_port}\ndir {tmp_path}\nsentinel monitor main 127.0.0.1 {master_port} 1\n")
    binary = str(find_server_binary(os.environ))
    master = [binary, "--port", str(master_port), "--dir", str(tmp_path), "--save", "", "--appendonly", "no"]
    watching = [binary, str(tmp_path / "sentinel.conf"), "--sentinel"]
    started = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for command in (master, watching)]
    try:
        for port in (master_port, sentinel_port):
            _wait_for_answer(port)
        yield f"redis+sentinel://127.0.0.1:{sentinel_port}/main/0"
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_sentinel_leads_to_its_master(sentinel, collect):
    with notify.connect(sentinel) as bus, bus.subscribe("t") as events, bus.service("s"):
        bus.publish("t", "by way of the sentinel")
        assert [event.contents for event in collect(events, 1)] == ["by way of the sentinel"]
        assert bus.directory.lookup("s").incarnation > 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_for_answer(port: int) -> None:
    with redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as client:

        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        wait_until(answers, what=f"an answer at port {port}")


def test_a_clone_through_sentinels_has_its_own_timeout_too():
    client = open_client(Settings(url="redis+sentinel://a:1/main", command_timeout_s=1), name="test")
    assert client.clone(name="patient").connection_pool.connection_kwargs["socket_timeout"] == 1
    assert client.clone(name="hasty", timeout_s=0.5).connection_pool.connection_kwargs["socket_timeout"] == 0.5


@pytest.mark.parametrize("options", [{}, {"decode_responses": True}, {"protocol": 3}, {"protocol": 2}])
def test_a_clone_of_any_connection_gives_answers_in_the_same_form(bus, server, options):
    """Users of RQ pass their own connections; those of redis-py use RESP 3 by default, in which messages have another form."""
    with redis.Redis.from_url(server.url, **options) as theirs, Subscriber(Client.of(theirs), ["t"]) as events:
        bus.publish("t", 1)
        assert events.get(5).contents == 1


def test_a_connection_says_its_version_without_reading_the_metadata_of_packages(bus, monkeypatch):
    def read():
        raise AssertionError("redis-py reads the metadata of its package")

    monkeypatch.setattr(redis.utils, "get_lib_version", read)
    client = bus.redis.clone(name="versioned")
    try:
        found = client.client_info()
        assert found.get("lib-ver", redis.__version__) == redis.__version__  # servers before 7.2 do not tell
    finally:
        client.close()
    with pytest.raises(AssertionError, match="reads the metadata"):  # the twin: a connection of redis-py itself
        redis.Redis().ping()
