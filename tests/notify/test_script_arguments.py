"""Each typed method hands its script the KEYS and ARGV in the order that the first lines of the script bind to names."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

import notify
from notify.directory.scripts import QUIET_TTLS, Beat, DirectoryScripts, SweepSettings
from notify.directory.withdrawal import DirectoryEntry, Incarnation, NewService, Standbys
from notify.events.scripts import HEAD_MS, READ_BYTES, SENT_MS, EventScripts, Item, limits_of
from notify.history import Counter
from notify.keys import Keys
from notify.requests.scripts import KEPT_MS, MAX_WAITING, RequestScripts, Served
from notify.state.fence import Fence
from notify.state.scripts import StateScripts
from tests.support.lua import TAIL, Holding, ScriptCall, lua_files, script_call

K = Keys("notify")
LIMITS = dict(zip(("length", "log_ms", "head_ms"), limits_of(notify.Settings()), strict=True))
DIRECTORY_KEYS = {"log": K.log("services"), "head": K.topic("services"), "topics": K.topics}
DIRECTORY_ARGS = {"channel": K.channel("services"), "topic": "services", **LIMITS}
WITHDRAWING_KEYS = {
    **{"services": K.services, "due": K.due, "losses": K.losses, "suspects": K.suspects, "incarnations": K.incarnation},
    "standbys": K.standby("s"),
}
SERVED = {"counted": "failed", "service": "s", "method": "m", "seconds": "1.500000"}
STATE_KEYS = {"state": K.state("s"), TAIL: ["notify:service:f"]}
FENCES = {"fences": ["incarnation", "9", "f"]}

FENCE = Fence("notify:service:f", "incarnation", "9", "why it is refused", "f")
ITEM = Item("t", b"body", 5)
SETTINGS = SweepSettings(interval_ms=11, late_ms=12, spacing_ms=13, standby_ms=14, never_too_many=15, share=0.5)

Cases = Mapping[str, tuple[Callable[[Any], object], dict[str, Any], dict[str, Any]]]


def leaving_keys(name: str, waits_for: str) -> list[str]:
    """The KEYS of one service that is withdrawn."""
    status = f"{name}_status"
    keys = [K.service(name), K.tombstone(name), K.standby(waits_for), K.log(status), K.topic(status)]
    return [*keys, K.provides("c"), K.tombstone("any c"), K.group("g")]


def leaving_args(name: str, incarnation: int, reason: str, why: str) -> list[Any]:
    """The ARGV of one service that is withdrawn."""
    status, announced = f"{name}_status", Holding(f'"reason":"{reason}","why":"{why}"')
    args = [name, incarnation, b'["g"]', reason, why, announced, K.channel(status), status, Holding(why)]
    return [*args, 1, 1, "any c"]


EVENTS: Cases = {
    "publish": (
        lambda scripts: scripts.publish_many("p", 7, [ITEM]),  # a batch of one; `publish` leaves out what is only for batches
        {"log": K.log("t"), "head": K.topic("t"), "topics": K.topics, "retained": K.retained("t"), "once": K.sent("p")},
        {"channel": K.channel("t"), "topic": "t", "body": b"body", "lifetime": "5", **LIMITS, "once_ms": SENT_MS, "batch": 7},
    ),
    "publish_many": (
        lambda scripts: scripts.publish_many("p", 7, [ITEM, ITEM]),
        {"sent": K.sent("p"), "topics": K.topics, TAIL: [K.log("t"), K.topic("t"), K.retained("t")]},
        {"batch": 7, "sent_ms": SENT_MS, **LIMITS, "count": 1, TAIL: [K.channel("t"), "t", 1, b"body", 5, 1, b"body", 5]},
    ),
    "read_log": (
        lambda scripts: scripts.read_log("t", after="1-2", count=3),
        {"log": K.log("t"), "head": K.topic("t")},
        {"after": "1-2", "count": 3, "max_bytes": READ_BYTES},
    ),
    "delete_retained": (
        lambda scripts: scripts.delete_retained({"t": b"body", "u": b"other"}),
        {TAIL: [K.retained("t"), K.retained("u")]},
        {TAIL: [b"body", b"other"]},
    ),
    "declare_topic": (lambda scripts: scripts.declare_topic("t"), {"topics": K.topics}, {"topic": "t", "topics_ms": HEAD_MS}),
}
DIRECTORY: Cases = {
    "register": (
        lambda scripts: scripts.register("s", ttl_ms=70, provides=["c"], groups=[], fields={"host": "lab"}, token="secret", after=8),
        {
            **{"services": K.services, "due": K.due, "incarnations": K.incarnation, "service": K.service("s")},
            **{"sweep": K.sweep, "standbys": K.standby("s"), **DIRECTORY_KEYS, TAIL: [K.provides("c")]},
        },
        {
            **{"name": "s", "ttl_ms": 70, **DIRECTORY_ARGS, "available": Holding('"change":"available"'), "after": 8, "token": "secret"},
            "waits_for": "",
            TAIL: ["host", "lab", "provides", '["c"]'],
        },
    ),
    "beat": (
        lambda scripts: scripts.beat([Beat("s", 9, 70)]),
        {
            **{"due": K.due, "suspects": K.suspects, "services": K.services, "sweep": K.sweep, **DIRECTORY_KEYS},
            TAIL: [K.service("s"), K.tombstone("s")],
        },
        {**DIRECTORY_ARGS, "recovered": Holding('"change":"recovered"'), TAIL: ["s", 9, 70]},
    ),
    "regroup": (
        lambda scripts: scripts.regroup(Incarnation("s", 9), "g", joins=True, groups=["g", "h"]),
        {"service": K.service("s"), "group": K.group("g"), **DIRECTORY_KEYS},
        {
            **{"name": "s", "incarnation": 9, "step": "join", "groups": b'["g","h"]', **DIRECTORY_ARGS},
            "regrouped": Holding('"change":"joined"'),
        },
    ),
    "sweep": (
        lambda scripts: scripts.sweep(count=10, settings=SETTINGS),
        {"due": K.due, "sweep": K.sweep, "suspects": K.suspects, **DIRECTORY_KEYS},
        {
            **{"count": 10, "interval_ms": "11", "late_ms": "12", "spacing_ms": "13", "standby_ms": "14", "never_too_many": "15"},
            **{"share": "0.5", "stays": 1, **DIRECTORY_ARGS, "alarm": Holding('"change":"alarm"')},
        },
    ),
    "suspect": (
        lambda scripts: scripts.suspect([Incarnation("s", 9)]),
        {"due": K.due, "service": K.service("s"), "suspects": K.suspects, "sweep": K.sweep, **DIRECTORY_KEYS},
        {"name": "s", "incarnation": 9, **DIRECTORY_ARGS, "suspected": Holding('"change":"suspect"'), "quiet_ttls": QUIET_TTLS},
    ),
    "withdraw": (
        lambda scripts: scripts.withdraw([Incarnation("s", 9)], reason="killed", why="enough", only_if_due=True),
        {
            **{**WITHDRAWING_KEYS, "sweep": K.sweep, **DIRECTORY_KEYS},
            TAIL: [*leaving_keys("s", "s"), *leaving_keys("s-2", "s"), K.requests("s-2#10"), K.promoted("s-2#10")],
        },
        {
            **{"only_if_due": 1, "waiting": "s-2#10", **DIRECTORY_ARGS, "available": Holding('"change":"available"')},
            TAIL: [*leaving_args("s", 9, "killed", "enough"), *leaving_args("s-2", 10, "promoted", "s-2 is s now")],
        },
    ),
    "take_over": (
        lambda scripts: scripts.take_over(
            Incarnation("s", 9), NewService("s", 70, ["c"], [], {"host": "lab"}, "secret", 8), reason="expired", why="enough"
        ),
        {
            **WITHDRAWING_KEYS,
            "service": K.service("s"),
            "sweep": K.sweep,
            **DIRECTORY_KEYS,
            TAIL: [*leaving_keys("s", "s"), K.provides("c")],
        },
        {
            **{"name": "s", "ttl_ms": 70, "after": 8, "token": "secret", **DIRECTORY_ARGS, "available": Holding('"change":"available"')},
            TAIL: [*leaving_args("s", 9, "expired", "enough"), "host", "lab", "provides", '["c"]'],
        },
    ),
}
REQUESTS: Cases = {
    "send": (
        lambda scripts: scripts.send("s", 9, b"request", timeout_s=2),
        {"service": K.service("s"), "requests": K.requests("s#9")},
        {"incarnation": 9, "request": b"request", "begin_ms": 2000, "max_waiting": MAX_WAITING},
    ),
    "take": (
        lambda scripts: scripts.take("s", 9, "1-2", deadline_ms=77, sent_to="r#1"),
        {"service": K.service("s"), "requests": K.requests("r#1"), "promoted": K.promoted("s#9")},
        {"incarnation": 9, "entry": "1-2", "deadline_ms": 77},
    ),
    "answer": (
        lambda scripts: scripts.answer("caller", b"answer", left_s=2, served=Served("s", "m", has_failed=True, seconds=1.5)),
        {"answers": K.answers("caller")},
        {"answer": b"answer", "kept_ms": KEPT_MS + 2000, "max_waiting": MAX_WAITING, **SERVED},
    ),
}
HISTORY: Cases = {"count": (lambda counter: counter.count("topic gaps t", 2), {}, {TAIL: ["topic gaps t", 2]})}
STATE: Cases = {
    "set": (lambda scripts: scripts.set({"f": b"1"}, fences=[FENCE]), STATE_KEYS, {**FENCES, TAIL: ["f", b"1"]}),
    "swap": (
        lambda scripts: scripts.swap("f", b"1", b"2", fences=[FENCE]),
        STATE_KEYS,
        {**FENCES, "field": "f", "present": "1", "old": b"1", "new": b"2"},
    ),
    "delete": (lambda scripts: scripts.delete(["f", "g"], fences=[FENCE]), STATE_KEYS, {**FENCES, TAIL: ["f", "g"]}),
    "increment": (lambda scripts: scripts.increment("f", 3, fences=[FENCE]), STATE_KEYS, {**FENCES, "field": "f", "amount": "3"}),
    "append": (lambda scripts: scripts.append("f", b"3", fences=[FENCE]), STATE_KEYS, {**FENCES, "field": "f", "value": b"3"}),
}
SCRIPTS: dict[str, tuple[Callable[[Any], Any], Cases]] = {
    "notify.events": (EventScripts, EVENTS),
    "notify.directory": (DirectoryScripts, DIRECTORY),
    "notify.requests": (RequestScripts, REQUESTS),
    "notify.history": (Counter, HISTORY),
    "notify.state": (lambda client: StateScripts(client, "s"), STATE),
}
NAMES = [f"{folder}.{name}" for folder, (_, cases) in SCRIPTS.items() for name in cases]


@pytest.mark.parametrize("name", NAMES)
def test_each_value_has_the_name_that_its_script_binds_it_to(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    folder, _, script = name.rpartition(".")
    made, cases = SCRIPTS[folder]
    call, keys, args = cases[script]
    described = DirectoryEntry("alive", ["c"], ["g"], b'["g"]')
    standbys = Standbys(["s-2#10"], Incarnation("s-2", 10), described._replace(standby="s"))
    monkeypatch.setattr(DirectoryScripts, "_describe", lambda _, services: [described for _ in services])
    monkeypatch.setattr(DirectoryScripts, "_standbys", lambda _, services: [standbys for _ in services])
    assert script_call(monkeypatch, lambda: call(made(bus.redis))) == ScriptCall(name, keys, args)


def test_every_script_has_a_typed_method_in_this_test() -> None:
    assert sorted(NAMES) == [file.name for file in lua_files() if file.name.startswith("notify.") and not file.is_part]
