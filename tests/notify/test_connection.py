"""`connect`: which server it uses, with which settings, and what it leaves behind when it fails."""

import pytest

import notify
from notify import Settings, connection


@pytest.mark.parametrize(
    ("argument", "ours", "general", "used"),
    [(1, 2, 3, 1), (None, 2, 3, 2), (None, None, 3, 3), (1, None, None, 1), (1, 2, None, 1)],
)
def test_S2_the_url_is_the_argument_else_NOTIFY_URL_else_REDIS_URL(server, argument, ours, general, used):
    def url(database: int | None) -> str | None:
        return database and server.url.replace("db=0", f"db={database}")

    environ = {"NOTIFY_URL": url(ours) or "", "REDIS_URL": url(general) or ""}
    with notify.connect(url(argument), environ=environ) as bus:
        assert bus.settings.url == url(used)
        assert bus.redis.client_info()["db"] == used
        assert bus.socket_path is None


def test_without_any_url_the_private_server_is_used(tmp_path):
    with notify.connect(environ={"NOTIFY_HOME": str(tmp_path)}) as bus:
        assert bus.socket_path == tmp_path / "redis.sock"
        assert bus.settings.url == f"unix://{bus.socket_path}?db=0"
        bus.publish("t", 1)
    assert not (tmp_path / "redis.sock").exists()


def test_a_connection_that_fails_does_not_keep_the_private_server(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "open_client", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        notify.connect(environ={"NOTIFY_HOME": str(tmp_path)})
    assert not (tmp_path / "redis.sock").exists()


def test_given_settings_replace_the_environment(server):
    settings = Settings(url=server.url, namespace="given")
    with notify.connect(settings=settings, environ={"NOTIFY_NAMESPACE": "not this", "NOTIFY_TTL_S": "bad"}) as bus:
        assert bus.settings == settings
        assert bus.keys.topics == "given:topics"
