"""The one reader of a service's description: whole, and the fields that calls, sweeps and withdrawals need."""

import pytest

from notify.directory.info import ENTRY_FIELDS, read_entry


def test_an_entry_is_what_a_service_registered(bus):
    with bus.service("s", provides=["work"], groups=["g"], exports=object_with_a_method()) as service:
        entry = read_entry(bus.redis.hmget(bus.keys.service("s"), ENTRY_FIELDS))
    assert (entry.incarnation, entry.state) == (service.incarnation, "alive")
    assert (entry.provides, entry.groups, entry.groups_json, entry.exports) == (["method", "work"], ["g"], b'["g"]', ["method"])


def test_an_entry_of_nothing_has_no_incarnation():
    entry = read_entry([None] * len(ENTRY_FIELDS))
    assert (entry.incarnation, entry.state, entry.groups_json) == (None, "", b"")
    assert entry.provides == entry.groups == entry.exports == []


@pytest.mark.parametrize("spoilt", [b"{", b'["a", 1]', b'"a"', b'["\xff"]'])
def test_a_spoilt_field_of_an_entry_does_not_hide_the_others(spoilt):
    entry = read_entry([b"7", b"alive", spoilt, b'["g"]', b'["method"]', b"1", b"2", None])
    assert (entry.incarnation, entry.provides, entry.groups, entry.exports) == (7, None, ["g"], ["method"])
    entry = read_entry([b"7", b"alive", b"[]", spoilt, spoilt, spoilt, spoilt, spoilt])
    assert (entry.groups, entry.groups_json, entry.exports) == (None, spoilt, None)


@pytest.mark.parametrize("value", [b"", b"x", b" 7", b"07", b"7.0", b"\xff", b"9" * 5000], ids=lambda value: repr(value)[:10])
def test_an_incarnation_that_no_script_wrote_is_none(value):
    assert read_entry([value, b"alive", None, None, None, None, None, None]).incarnation is None


def object_with_a_method():
    class Exports:
        def method(self):
            return 1

    return Exports()
