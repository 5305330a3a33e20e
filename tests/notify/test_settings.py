"""Settings: valid values, the environment, and hidden passwords."""

import dataclasses
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify import Settings, SettingsError
from notify.settings import redact

BAD_VALUES = [
    *[("ttl_s", value) for value in (0, -1.0, math.nan, math.inf, True, "5", 86_401.0)],
    *[("retention_s", value) for value in (0, -1, None, 1e300)],
    *[("connect_timeout_s", value) for value in (0.0, "soon", 1e300)],
    *[("command_timeout_s", value) for value in (-0.5, math.inf, 1e300)],
    *[("log_length", value) for value in (0, -1, 1.5, True, "10")],
    *[("max_payload_bytes", value) for value in (0, 10.0, False)],
    *[("namespace", value) for value in ("", "a b", "a*", "a?", "a[", "a\\", "a\n", None)],
]
BAD_URLS = [
    "",
    "localhost",
    "localhost:6379",
    "http://host",
    "redis://",
    "redis://h:0",
    "redis://h:99999",
    "redis://h:x",
    "unix://",
    "redis://[::1",
    5,
]


def test_the_defaults_can_be_used_and_mean_the_private_server():
    settings = Settings()
    assert settings.url is None
    assert settings.namespace == "notify"


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_an_invalid_value_is_refused_with_the_name_of_the_setting(name, value):
    with pytest.raises(SettingsError, match=name):
        Settings(**{name: value})


@pytest.mark.parametrize("url", BAD_URLS)
def test_an_invalid_url_is_refused_with_an_example_of_a_valid_one(url):
    with pytest.raises(SettingsError, match="redis://host:6379/0"):
        Settings(url=url)


@pytest.mark.parametrize(
    "url",
    ["redis://h", "redis://h:6379/3", "rediss://u:p@h", "unix:///s.sock?db=0", "redis+sentinel://a:1,b:2/main/0", "redis://[::1]:7/0"],
)
def test_a_valid_url_is_kept_unchanged(url):
    assert Settings(url=url).url == url


def test_a_changed_copy_is_checked_as_well():
    with pytest.raises(SettingsError, match="ttl_s"):
        msgspec.structs.replace(Settings(), ttl_s=-1)


def test_settings_are_frozen():
    with pytest.raises(AttributeError):
        Settings().ttl_s = 1.0
    assert not dataclasses.is_dataclass(Settings)


def test_every_setting_can_come_from_the_environment():
    environ = {
        "NOTIFY_URL": "redis://h",
        "NOTIFY_NAMESPACE": "lab",
        "NOTIFY_TTL_S": "2.5",
        "NOTIFY_RETENTION_S": "60",
        "NOTIFY_LOG_LENGTH": "100",
        "NOTIFY_MAX_PAYLOAD_BYTES": "1000",
        "NOTIFY_CONNECT_TIMEOUT_S": "0.5",
        "NOTIFY_COMMAND_TIMEOUT_S": "3",
        "UNRELATED": "x",
    }
    expected = Settings(
        url="redis://h",
        namespace="lab",
        ttl_s=2.5,
        retention_s=60,
        log_length=100,
        max_payload_bytes=1000,
        connect_timeout_s=0.5,
        command_timeout_s=3,
    )
    assert Settings.from_env(environ) == expected


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        ({"NOTIFY_URL": "", "REDIS_URL": ""}, None),
        ({"REDIS_URL": "redis://general"}, "redis://general"),
        ({"NOTIFY_URL": "", "REDIS_URL": "redis://general"}, "redis://general"),
        ({"NOTIFY_URL": "redis://ours", "REDIS_URL": "redis://general"}, "redis://ours"),
        ({"NOTIFY_URL": "redis://ours", "REDIS_URL": "not looked at"}, "redis://ours"),
    ],
)
def test_S2_notify_url_comes_before_redis_url_and_an_empty_one_is_unset(environ, url):
    """``NOTIFY_URL`` is used if it is set and not empty, else ``REDIS_URL``."""
    assert Settings.from_env(environ).url == url


@pytest.mark.parametrize(
    ("variable", "value"),
    [("NOTIFY_TTL_S", "soon"), ("NOTIFY_TTL_S", "-1"), ("NOTIFY_LOG_LENGTH", "1.5"), ("NOTIFY_URL", "nowhere"), ("REDIS_URL", "nowhere")],
)
def test_an_invalid_variable_is_named_among_valid_ones(variable, value):
    with pytest.raises(SettingsError, match=rf"\${variable}\b"):
        Settings.from_env({"NOTIFY_RETENTION_S": "5", "NOTIFY_NAMESPACE": "lab", variable: value})


passwords = st.text(alphabet="ab:/?#@%&=[] é+", max_size=6).flatmap(
    lambda noise: st.integers(0, len(noise)).map(lambda at: f"{noise[:at]}hush{noise[at:]}hush")
)
url_forms = st.sampled_from(
    [
        "redis://:{}@host:6379/0",
        "rediss://user:{}@host/0?ssl_cert_reqs=none",
        "redis+sentinel://user:{}@a:26379,b:26379/main/0",
        "unix://user:{}@/run/redis.sock?db=0",
        "redis://host:6379/0?password={}",
    ]
)


@given(url_forms, passwords)
def test_no_password_shows_whatever_its_characters_and_quoting(form, password):
    url = form.format(password)
    assert "hush" not in redact(url)
    assert "hush" not in _shown_for(url)


def test_the_rest_of_a_redacted_url_still_shows():
    assert redact("redis://user:secret@host:6379/2?db=1") == "redis://***@host:6379/2?db=1"
    assert redact("unix:///run/user@1/redis.sock?db=0") == "unix:///run/user@1/redis.sock?db=0"


def test_an_invalid_url_from_the_environment_hides_its_password():
    with pytest.raises(SettingsError, match="NOTIFY_URL") as caught:
        Settings.from_env({"NOTIFY_URL": "redis://:se/cret@host"})
    assert "se/" not in str(caught.value)
    assert "cret" not in str(caught.value)


def _shown_for(url: str) -> str:
    try:
        return repr(Settings(url=url))
    except SettingsError as exc:
        return f"{exc} {exc.__cause__} {exc.__context__}"
