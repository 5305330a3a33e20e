"""The names of subscribers' connections, as the server lists them."""

from typing import Any

import pytest
import redis

from notify.events.client_name import listening_client, name_with_channels


@pytest.mark.parametrize(
    ("name", "channels"),
    [("recorder", ["notify:event:t"]), ("lab 7|x", ["a|b", "{lab}:event:°C *?[a-z]", "50%=x"]), ("", ["c"]), ("host:42", ["x" * 500] * 9)],
)
def test_a_connection_name_is_decoded_to_the_same_name_and_channels(server, name: str, channels: list[str]) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.client_setname("notify:" + name_with_channels(name, channels))
        rows: Any = client.client_list(client_id=[client.client_id()])
    subscriber = listening_client(rows[0])
    assert subscriber is not None
    assert (subscriber.name, list(subscriber.channels)) == (name, channels)


@pytest.mark.parametrize("name", ["", "notify:bus", "their|own", "rq"])
def test_a_foreign_connection_is_not_a_subscriber(name):
    assert listening_client({"name": name}) is None
