"""URLs of a primary behind Sentinels: their query holds for the primary, for the Sentinels, or for both."""

from typing import Any

import pytest
from redis.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

from notify import Settings, SettingsError
from notify.server import open_client
from notify.settings import redact


def _options(url: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return the class and the options of connections to the primary, and the options of those to the Sentinels."""
    pool: Any = open_client(Settings(url=url), name="test").connection_pool
    return pool.connection_class, pool.connection_kwargs, pool.sentinel_manager.sentinel_kwargs


def test_without_a_query_nothing_is_encrypted_and_the_settings_hold():
    made, primary, sentinels = _options("redis+sentinel://u:p%40@a:1,b/main/3")
    assert made is SentinelManagedConnection
    assert (primary["username"], primary["password"], primary["db"], primary["socket_timeout"]) == ("u", "p@", 3, 2.0)
    assert "password" not in sentinels
    assert sentinels["socket_timeout"] == 2.0


@pytest.mark.parametrize("url", ["rediss+sentinel://a/main", "redis+sentinel://a/main?ssl=true"])
def test_tls_holds_for_the_primary_and_for_the_sentinels(url):
    made, _, sentinels = _options(url)
    assert made is SentinelManagedSSLConnection
    assert sentinels["ssl"] is True


def test_options_of_tls_reach_both_and_those_of_sentinels_only_these():
    query = "ssl_ca_certs=/ca.pem&ssl_check_hostname=false&sentinel_username=guard&sentinel_password=hush%21&socket_timeout=2"
    _, primary, sentinels = _options(f"rediss+sentinel://:secret@a:1/main/0?{query}")
    for options in (primary, sentinels):
        assert (options["ssl_ca_certs"], options["ssl_check_hostname"], options["socket_timeout"]) == ("/ca.pem", False, 2.0)
    assert (sentinels["username"], sentinels["password"]) == ("guard", "hush!")
    assert primary["password"] == "secret"


@pytest.mark.parametrize("query", ["ssl_ca_certs=/ca.pem", "wait_for=ever", "socket_timeout=soon", "sentinel_wait_for=ever"])
def test_an_option_that_cannot_be_used_is_refused(query):
    with pytest.raises(SettingsError, match="cannot be used as the URL"):
        open_client(Settings(url=f"redis+sentinel://a/main?{query}"), name="test")


def test_a_query_cannot_change_the_form_of_answers():
    _, primary, _ = _options("redis+sentinel://a/main?decode_responses=true&protocol=3")
    assert (primary["decode_responses"], primary["protocol"]) == (False, 2)


def test_the_password_of_the_sentinels_does_not_show():
    assert redact("rediss+sentinel://a/main?sentinel_password=hush") == "rediss+sentinel://a/main?***"
