"""``notify demo``: the lab end to end."""

import json
import re
import signal
from itertools import pairwise
from pathlib import Path

import pytest

import notify
from notify.testing import PrivateServer
from tests.cli.conftest import PASSWORD, Shell
from tests.support.commands import Done
from tests.support.faults import everything

EVENT = re.compile(r"New event\nTopic: storage_status\nTime: \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\nstorage killed")
"""Row L8 of the parity list: %c in the C locale."""
SUMMARY = ("logged", "stopped while running", "cancelled while queued", "ms from kill to last stop")


def check_maps(lines: list[str]) -> None:
    """Check that each map has the readings of the previous map and one more."""
    maps = [json.loads(line)["temperatures"] for line in lines]
    assert [len(each) for each in maps] == list(range(1, len(maps) + 1))
    for smaller, larger in pairwise(maps):
        assert smaller.items() <= larger.items()
    for time, text in maps[-1].items():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", time)
        assert re.fullmatch(r"the temperature is -?\d+°C", text)


def check_numbers(logged: int, stopped: int, cancelled: int, ms: int | None, *, workers: int, lines: int) -> None:
    assert logged == lines
    assert 1 <= stopped <= workers
    assert cancelled >= 1
    assert ms is not None
    assert 0 <= ms < 2000


def private_socket(done: Done) -> Path:
    """The socket of the demo's own server."""
    found = re.search(r"unix://(/tmp/notify-\S+/redis\.sock)", done.err)
    assert found is not None
    return Path(found[1])


def nothing_left(socket: Path) -> None:
    assert not socket.parent.exists()
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(socket).encode() in _read(path)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # the process ended meanwhile


def test_L24_maps_grow_by_one_reading_until_the_storage_is_killed_and_a_sum_follows(alone: Shell) -> None:
    done = alone.run("demo", "--lab", "--seconds", "2")
    assert done.code == 0
    logged, event, summary = re.split(r"\n(?=New event)|\n\n", done.out)
    check_maps(logged.splitlines())
    assert EVENT.fullmatch(event)
    told = dict(line.split(": ") for line in summary.splitlines())
    assert tuple(told) == SUMMARY
    check_numbers(*map(int, told.values()), workers=2, lines=len(logged.splitlines()))
    assert done.err.count("\n") == 1
    nothing_left(private_socket(done))


def test_L24_as_json_on_a_server_with_other_peoples_keys(alone: Shell, url_with_password: str) -> None:
    with notify.connect(url_with_password) as bus, bus.service("storage", ttl_s=60) as storage:
        bus.state("storage")["temperatures"] = {"mine": "hands off"}
        bus.publish("temperature", {"celsius": 1}, retain_s=-1)
        bus.redis.rpush("rq:queue:temperature", "mine")
        bus.redis.sadd("rq:queues", "rq:queue:temperature")
        bus.redis.hset("rq:job:mine", "data", "mine")
        before = everything(bus.redis)
        arguments = ("--lab", "--seconds", "1", "--workers", "1", "--json", "--namespace", "notify")
        done = alone.run("demo", *arguments, NOTIFY_URL=url_with_password)
        after = everything(bus.redis)

        assert done.code == 0
        assert PASSWORD not in done.out + done.err
        *_, event, summary = done.records
        check_maps(done.lines[:-2])
        assert EVENT.fullmatch(event["event"])
        assert tuple(summary) == tuple(name.replace(" ", "_") for name in SUMMARY)
        check_numbers(*summary.values(), workers=1, lines=len(done.lines) - 2)

        assert storage.info.state == "alive"
        beating = {bus.keys.service("storage").encode(), bus.keys.due.encode()}
        assert {key: after.get(key) for key in before.keys() - beating} == {key: before[key] for key in before.keys() - beating}
        assert not [key for key in after.keys() - before.keys() if bus.redis.ttl(key) == -1]


LINE = re.compile(r" *\d+\.\d s  (logged|stopped|cancelled)  +job \w{8}  the temperature is -?\d+°C(: .+)?")


def test_the_demo_says_how_each_job_ended_in_a_line_and_counts_them(alone: Shell) -> None:
    done = alone.run("demo", "--seconds", "2")
    assert done.code == 0
    shown, _, summary = done.out.partition("\n\n")
    lines = shown.splitlines()
    killed = next(place for place, line in enumerate(lines) if line.endswith("s  storage killed"))
    ends = [match for line in lines if (match := LINE.fullmatch(line))]
    assert len(ends) == len(lines) - 1
    told = dict(line.split(": ") for line in summary.splitlines())
    assert tuple(told) == SUMMARY
    counted = {word: sum(match[1] == word for match in ends) for word in ("logged", "stopped", "cancelled")}
    assert list(counted.values()) == [int(told[name]) for name in SUMMARY[:3]]
    check_numbers(*map(int, told.values()), workers=2, lines=counted["logged"])
    assert all(LINE.fullmatch(line) and " logged " in line for line in lines[:killed])
    why = {match[1]: match[2] for match in ends}
    assert why["logged"] is None
    assert why["cancelled"] == ": before it started"
    assert re.fullmatch(r": while it ran, \d+ ms after the kill", why["stopped"])
    nothing_left(private_socket(done))


def test_the_demo_as_json_is_one_object_a_job(alone: Shell) -> None:
    done = alone.run("demo", "--seconds", "1", "--json")
    assert done.code == 0
    *ends, summary = done.records
    statuses = [end["status"] for end in ends]
    assert statuses.count("killed") == 1
    assert all(end["job"] and end["reading"].startswith("the temperature is") for end in ends if end["status"] != "killed")
    assert [statuses.count(word) for word in ("logged", "stopped", "cancelled")] == list(summary.values())[:3]


def test_ctrl_c_twice_in_the_middle_leaves_nothing(shell: Shell, bus: notify.Bus) -> None:
    demo = shell.start("demo")
    demo.printed()
    demo.interrupt()
    demo.interrupt()
    done = demo.end()
    assert done.code == 130
    assert "Traceback" not in done.err
    assert not shell.processes
    assert not [key for key in bus.redis.scan_iter() if bus.redis.ttl(key) == -1]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_its_start_leaves_nothing(alone: Shell, signum: signal.Signals) -> None:
    demo = alone.start("demo")
    demo.said("starting")
    demo.signal(signum)
    done = demo.end()
    assert (done.code, done.out, done.err.splitlines()[1:]) == (128 + signum, "", [])
    nothing_left(private_socket(done))


def test_who_reads_the_output_may_leave(alone: Shell) -> None:
    done = alone.start_program("bash", "-c", "set -o pipefail; python -m cli demo | head -1").end(timeout_s=30)
    assert (done.code, len(done.lines), done.err.count("\n")) == (0, 1, 1)
    nothing_left(private_socket(done))


def test_a_server_that_dies_meanwhile_is_told(alone: Shell, own_server: PrivateServer) -> None:
    demo = alone.start("demo", "--seconds", "1", NOTIFY_URL=own_server.url)
    demo.printed()
    own_server.kill()
    done = demo.end(timeout_s=30)
    assert done.code == 3
    assert done.err.splitlines()[-1].startswith(f"notify: no answer from unix://{own_server.directory}")
    assert not alone.processes
