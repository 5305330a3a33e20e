"""A standby runs under a name with a suffix, and gets the name that it waits for in the step that withdraws the holder."""

import itertools
import os
import threading
from contextlib import ExitStack

import pytest

import notify
from notify import Available, FencedError, InvalidServiceError, ServiceKilledError, ServiceNameTakenError, SettingsError, Withdrawn
from notify.service import heartbeat
from notify.service.registration import Registration
from notify.testing import wait_until
from tests.support.faults import beat, let_pass


class Desk:
    """Answers when it is let to."""

    def __init__(self) -> None:
        self.begun, self.release = threading.Event(), threading.Event()

    def slow(self) -> str:
        self.begun.set()
        assert self.release.wait(10)
        return "done"

    def quick(self) -> str:
        return "done"


@pytest.fixture
def rare(monkeypatch):
    """Standbys send heartbeats as rarely as other services: what they find out, they find out in other ways."""
    monkeypatch.setattr(heartbeat, "STANDBY_S", 3600.0)


@pytest.fixture
def pair(bus, another_bus):
    """A holder of the name ``s``, and a standby."""
    with bus.service("s", ttl_s=3600, provides={"work"}) as holder, another_bus.service("s", ttl_s=3600, provides={"work"}) as standby:
        yield holder, standby


def test_a_standby_is_registered_serves_and_tells_what_it_waits_for(bus):
    with bus.service("s"), bus.service("s", exports=Desk()) as standby:
        assert (standby.name, standby.standby_for, standby.info.standby) == ("s-2", "s", "s")
        assert bus.call("s-2", "quick") == bus.call(notify.provides("quick"), "quick") == "done"
        assert not standby.wait_for_name(0)


def test_a_service_that_has_its_name_waits_for_none(bus):
    service = bus.service("s")
    assert service.standby_for == ""
    with service:
        assert (service.standby_for, service.info.standby, service.wait_for_name()) == ("", "", True)
    with pytest.raises(notify.ServiceWithdrawnError):
        service.wait_for_name()


@pytest.mark.parametrize("end", ["kill", "close", "killed by name", "expired"])
def test_a_standby_has_the_name_whoever_withdraws_the_holder(bus, pair, end):
    """A kill ends the process that had the name for good; the name lives on."""
    holder, standby = pair
    if end == "killed by name":
        bus.directory.kill("s")
    elif end == "expired":
        bus.directory.withdraw("s", holder.incarnation, reason="expired")
    else:
        getattr(holder, end)()
    registered = bus.directory.lookup("s")
    assert (registered.pid, registered.standby, "s-2" in bus.directory) == (os.getpid(), "", False)
    assert standby.wait_for_name(5)
    assert (standby.name, standby.incarnation, standby.standby_for) == ("s", registered.incarnation, "")
    if end == "killed by name":
        beat(holder)
        with pytest.raises(ServiceKilledError):
            holder.report("too late")
    if end != "expired":
        assert [service.name for service in bus.directory] == ["s"]


def test_the_changes_of_a_promotion_are_announced_in_an_order_without_a_gap(bus, pair):
    """There is always a service with the capability, and never two with the name."""
    holder, standby = pair
    old, before = holder.incarnation, standby.incarnation
    with bus.directory.watch(provides="work") as changes:
        assert {changes.get(5), changes.get(5)} == {Available("s", old), Available("s-2", before)}
        holder.kill("enough")
        new = bus.directory.lookup("s").incarnation
        assert [changes.get(5) for _ in range(3)] == [
            Withdrawn("s", old, "killed", "enough"),
            Available("s", new),
            Withdrawn("s-2", before, "promoted", "s-2 is s now"),
        ]
        assert changes.get(0.05) is None
    assert old < before < new


def test_a_capability_that_a_standby_provides_is_not_lost(bus, pair):
    """The name was lost: jobs that ran with its holder must stop. Any service with the capability was always there."""
    pair[0].kill()
    assert bus.redis.hkeys(bus.keys.losses) == [b"s", b"s-2"]
    assert bus.redis.zrange(bus.keys.provides("work"), 0, -1) == [b"s"]
    assert bus.redis.smembers(bus.keys.services) == {b"s"}
    assert not bus.redis.exists(bus.keys.standby("s"))
    assert len(bus.redis.zrange(bus.keys.due, 0, -1)) == 1


def test_the_end_of_the_suffix_is_no_failure(bus, pair, collect):
    """A fatal event on a status would cancel what depends on it."""
    with bus.subscribe("s_status", "s-2_status") as events:
        pair[0].kill()
        ended, promoted = collect(events, 2)
    assert (str(ended.contents), ended.contents.fatal) == ("s killed", True)
    assert promoted.contents == "s-2 is s now"


def test_a_state_goes_with_the_name(bus, pair):
    holder, standby = pair
    holder.state["n"] = 1
    state = standby.state
    state["own"] = 2
    holder.kill()
    assert standby.wait_for_name(5)
    assert state.snapshot() == standby.state.snapshot() == {"n": 1}
    assert state.increment("n") == 2
    assert bus.state("s-2").snapshot() == {"own": 2}


@pytest.mark.parametrize(
    "write",
    [
        lambda state: state.update(n=2),
        lambda state: state.increment("n"),
        lambda state: state.append("list", 1),
        lambda state: state.add("new", 1),
        lambda state: state.clear(),
        lambda state: state.modify("n", lambda n: n + 1),
    ],
    ids=["update", "increment", "append", "add", "clear", "modify"],
)
def test_a_write_right_after_the_promotion_goes_to_the_state_of_the_name(bus, rare, pair, write):
    """The process does not know yet that it was promoted."""
    pair[0].state.update({"n": 1, "list": []})
    state = pair[1].state
    state.update({"n": 7, "list": [7]})
    bus.directory.kill("s")
    write(state)
    assert pair[1].name == "s"
    assert bus.state("s").snapshot() != {"n": 1, "list": []}
    assert bus.state("s-2").snapshot() == {"n": 7, "list": [7]}


def test_the_twin_that_does_not_follow_its_name_is_refused_its_write(bus, rare, pair, monkeypatch):
    monkeypatch.setattr(Registration, "follow", lambda _: False)
    bus.directory.kill("s")
    with pytest.raises(FencedError):
        pair[1].state["n"] = 2
    bus.redis.flushall()


def test_a_state_that_its_fence_guards_for_jobs_follows_the_name(bus, pair):
    state = bus.state("s", fenced=True)
    pair[0].kill()
    state["n"] = 1
    pair[1].close()
    with pytest.raises(FencedError):
        state["n"] = 2


def test_a_standby_that_closes_right_after_its_promotion_gives_the_name_up(bus, rare, pair):
    bus.directory.kill("s")
    pair[1].close()
    assert list(bus.directory) == []
    assert bus.directory.last_end("s").reason == "withdrawn"


def test_a_standby_that_is_killed_right_after_its_promotion_ends(bus, rare, pair):
    bus.directory.kill("s")
    bus.directory.kill("s", why="both")
    beat(pair[1])
    beat(pair[1])
    with pytest.raises(ServiceKilledError, match="s killed: both"):
        pair[1].check()


def test_a_group_that_is_joined_right_after_the_promotion_counts(bus, rare, another_bus):
    with bus.service("s", ttl_s=3600) as holder, another_bus.service("s", groups={"old"}, ttl_s=3600) as standby:
        holder.kill()
        standby.join("new")
        standby.leave("old")
        beat(standby)
        assert (standby.name, standby.groups, bus.directory.lookup("s").groups) == ("s", {"new"}, {"new"})
        assert [service.name for service in bus.directory.find_all(group="new")] == ["s"]
        assert bus.directory.find_all(group="old") == []


def test_requests_to_a_standby_are_answered_across_its_promotion(bus, another_bus, rare):
    """One runs, one waits in the stream of the old name, and one comes for the new name before the process knows of it."""
    desk, answers = Desk(), []
    with bus.service("s", ttl_s=3600) as holder, another_bus.service("s", exports=desk, ttl_s=3600) as standby, ExitStack() as calls:

        def call(name, method):
            thread = threading.Thread(target=lambda: answers.append(bus.call(name, method, timeout_s=10)))
            thread.start()
            calls.callback(thread.join)

        stream = bus.keys.requests(f"s-2#{standby.incarnation}")
        call("s-2", "slow")
        assert desk.begun.wait(5)
        call("s-2", "quick")
        wait_until(lambda: bus.redis.xlen(stream) == 1)
        holder.kill()
        call("s", "quick")
        wait_until(lambda: bus.redis.xlen(bus.keys.requests(f"s#{bus.directory.lookup('s').incarnation}")) == 1)
        assert answers == []
        desk.release.set()
        wait_until(lambda: answers == ["done"] * 3)
        assert standby.name == "s"
        assert bus.call("s", "quick", timeout_s=5) == "done"


def test_an_idle_standby_serves_its_name_at_once(bus, another_bus, rare):
    """It is woken through the stream that it waits at."""
    with bus.service("s", ttl_s=3600) as holder, another_bus.service("s", exports=Desk(), ttl_s=3600):
        assert bus.call("s-2", "quick") == "done"
        holder.kill()
        assert bus.call("s", "quick", timeout_s=0.8) == "done"


def test_a_call_ends_when_the_promoted_service_is_withdrawn(bus, another_bus):
    desk, errors = Desk(), []
    with bus.service("s", ttl_s=3600) as holder, another_bus.service("s", exports=desk, ttl_s=3600) as standby:

        def call():
            try:
                bus.call("s-2", "slow", timeout_s=10)
            except ServiceKilledError as exc:
                errors.append(exc)

        thread = threading.Thread(target=call)
        thread.start()
        assert desk.begun.wait(5)
        holder.close()
        assert standby.wait_for_name(5)
        bus.directory.kill("s")
        wait_until(lambda: errors)
        desk.release.set()
        thread.join()


def test_of_several_standbys_the_one_that_waits_longest_comes_first(bus, another_bus):
    with ExitStack() as stack:
        services = [stack.enter_context((bus, another_bus)[n % 2].service("s", ttl_s=3600)) for n in range(4)]
        assert [service.name for service in services] == ["s", "s-2", "s-3", "s-4"]
        for holder, following in itertools.pairwise(services):
            holder.close()
            assert following.wait_for_name(5)
        assert (services[3].name, len(bus.directory.find_all())) == ("s", 1)


def test_a_standby_whose_heartbeats_are_overdue_is_passed_over(bus, another_bus, rare):
    with bus.service("s", ttl_s=3600) as holder, bus.service("s", ttl_s=60), another_bus.service("s", ttl_s=3600) as second:
        let_pass(bus, 70)
        holder.close()
        assert second.wait_for_name(0) or beat(second) or second.name == "s"


def test_a_standby_that_ends_waits_no_longer(bus, pair):
    holder, standby = pair
    standby.close()
    assert not bus.redis.exists(bus.keys.standby("s"))
    holder.close()
    assert list(bus.directory) == []


def test_the_name_goes_on_without_standbys_that_disappeared(bus, another_bus, rare):
    """Their descriptions were deleted by hand, or the list was written by hand."""
    with bus.service("s", ttl_s=3600) as holder, another_bus.service("s", ttl_s=3600) as lost, another_bus.service("s", ttl_s=3600) as last:
        bus.redis.zadd(bus.keys.standby("s"), {"nonsense": 1, "x#y": 2})
        bus.redis.delete(bus.keys.service(lost.name))
        holder.close()
        beat(last)
        assert last.name == "s"


def test_a_standby_takes_a_name_that_was_freed_by_hand(bus, pair):
    bus.redis.srem(bus.keys.services, "s")
    bus.redis.delete(bus.keys.service("s"))
    assert pair[1].wait_for_name(5)
    assert (pair[1].name, "s-2" in bus.directory) == ("s", False)
    assert bus.redis.hget(bus.keys.losses, "any work") is None


def test_a_promoted_service_that_the_directory_loses_registers_under_its_name(bus, pair):
    holder, standby = pair
    holder.kill()
    assert standby.wait_for_name(5)
    bus.redis.flushall()
    beat(standby)
    assert (standby.name, standby.standby_for) == ("s", "")


def test_a_holder_that_comes_back_after_its_expiry_waits_behind_its_successor(bus, pair):
    holder, standby = pair
    bus.directory.withdraw("s", holder.incarnation, reason="expired")
    assert standby.wait_for_name(5)
    beat(holder)
    assert (holder.name, holder.standby_for) == ("s-2", "s")
    standby.close()
    assert holder.wait_for_name(5)


def test_many_services_that_come_and_go_at_once_leave_one_with_the_name(bus, another_bus):
    together, services = threading.Barrier(8), [(bus, another_bus)[n % 2].service("s", ttl_s=3600) for n in range(8)]

    def run(number: int) -> None:
        together.wait()
        services[number].open()
        if number % 2:
            services[number].close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: any(service.wait_for_name(0) for service in services[::2]))
    assert sorted(service.standby_for for service in services[::2]) == ["", "s", "s", "s"]
    for service in services:
        service.close()
    assert list(bus.directory) == []


def test_an_exclusive_service_waits_for_its_name(bus, another_bus):
    holder = bus.service("s", ttl_s=3600).open()
    waiting = another_bus.service("s", exclusive=True, wait_s=10)
    thread = threading.Thread(target=waiting.open)
    thread.start()
    holder.close()
    thread.join()
    assert waiting.name == "s"
    with pytest.raises(ServiceNameTakenError, match="'s' is held by another service"):
        bus.service("s", exclusive=True, wait_s=0.2).open()
    waiting.close()


def test_a_service_that_is_closed_while_it_waits_for_its_name_does_not_open(bus, another_bus):
    with bus.service("s", ttl_s=3600):
        waiting, errors = another_bus.service("s", exclusive=True, wait_s=60), []

        def open_it():
            try:
                waiting.open()
            except notify.ClosedError as exc:
                errors.append(exc)

        thread = threading.Thread(target=open_it)
        thread.start()
        wait_until(thread.is_alive)
        waiting.close()
        thread.join()
        assert errors


def test_instances_keep_the_names_that_they_have(bus, another_bus):
    with bus.service("s", instances=True, ttl_s=3600) as first, another_bus.service("s", instances=True, ttl_s=3600) as second:
        assert (second.name, second.standby_for, second.info.standby) == ("s-2", "", "")
        first.close()
        beat(second)
        assert (second.name, "s" in bus.directory) == ("s-2", False)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"standby": "hope"}, InvalidServiceError),
        ({"exclusive": True, "instances": True}, InvalidServiceError),
        ({"exclusive": True, "standby": "suffix"}, InvalidServiceError),
        ({"instances": True, "standby": "refuse"}, InvalidServiceError),
        ({"wait_s": 1}, InvalidServiceError),
        ({"exclusive": True, "wait_s": 0}, SettingsError),
        ({"exclusive": True, "wait_s": "1"}, SettingsError),
    ],
    ids=str,
)
def test_arguments_that_contradict_each_other_are_refused(bus, arguments, error):
    with pytest.raises(error):
        bus.service("s", **arguments)
