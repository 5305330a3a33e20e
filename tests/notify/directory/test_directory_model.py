"""The directory against a model of it: after any sequence of steps, the server holds and announces what the model predicts."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

import notify
from notify.directory import Upkeep, monitor
from notify.directory.monitor import Monitor
from notify.directory.scripts import Beat, DirectoryScripts, Incarnation
from notify.directory.withdrawal import NewService
from notify.events.scripts import EventScripts
from tests.support.faults import let_pass, server_ms

TTL_S, SUSPECT_S, QUIET_S = 60, 40, 600
NAMES = [f"s{number}" for number in range(9)]
GROUPS = ["one", "two"]
LATE_S, NEVER_TOO_MANY, SHARE = 10.0, 2, 0.4
LOOKS: dict[str, Callable[[notify.Directory, str], set[str]]] = {
    "lookup": lambda directory, name: {name} if name in directory else set(),
    "find": lambda directory, _: {service.name for service in directory.find_all(provides="work")},
    "iterate": lambda directory, _: {service.name for service in directory},
}


class NoSweeps(Upkeep):
    """For looks that change nothing."""

    def sweep_once(self) -> None:
        pass


class Service:
    """A registered service in the model; times in seconds of the model's clock."""

    def __init__(self, incarnation: int, now: float) -> None:
        self.incarnation, self.state, self.flaps = incarnation, "alive", 0
        self.beat, self.due = now, now + SUSPECT_S
        self.announced, self.quiet = -math.inf, False
        self.groups: set[str] = set()


class Directory(RuleBasedStateMachine):
    """Runs each step on the server and on the model. Comparisons have the server on the left and the model on the right."""

    def __init__(self, bus: notify.Bus) -> None:
        super().__init__()
        bus.redis.flushall()
        self.bus, self.scripts, self.monitor = bus, DirectoryScripts(bus.redis), Monitor(bus.redis)
        self.look = notify.Directory(bus.redis, upkeep=NoSweeps(bus.redis))
        self.now, self.swept, self.grace, self.held, self.alarm = 0.0, -math.inf, -math.inf, -math.inf, False
        self.heard = False  # whether a service was heard since the last grace began
        self.services: dict[str, Service] = {}
        self.ended: dict[str, tuple[int, str]] = {}
        self.lasts: dict[str, int] = {}
        self.announced: Counter[tuple[str, Any]] = Counter()

    @initialize()
    def begin_with_most_services(self) -> None:
        for name in NAMES[1:]:
            self.register(name=name, groups={"one"})

    @rule(name=st.sampled_from(NAMES), groups=st.sets(st.sampled_from(GROUPS)))
    def register(self, name: str, groups: set[str]) -> None:
        incarnation = self.scripts.register(name, ttl_ms=TTL_S * 1000, provides=["work"], groups=sorted(groups), fields={})
        assert (incarnation is None) is (name in self.services)
        if incarnation is not None:
            assert incarnation > max(self.lasts.values(), default=0)
            self.services[name] = Service(incarnation, self.now)
            self.services[name].groups = set(groups)
            self.lasts[name], self.heard = incarnation, True
            self._announce("available", name)

    @precondition(lambda self: self.services)
    @rule(data=st.data(), groups=st.sets(st.sampled_from(GROUPS)))
    def restart(self, data: st.DataObject, groups: set[str]) -> None:
        """The process of a service has died and the next one takes its name over, in one step and only once."""
        name = data.draw(st.sampled_from(sorted(self.services)))
        old = Incarnation(name, self.services[name].incarnation)
        new = NewService(name, TTL_S * 1000, ["work"], sorted(groups), {}, "", old.number)
        incarnation = self.scripts.take_over(old, new, reason="expired", why="its process is gone")
        assert incarnation is not None
        assert incarnation > max(self.lasts.values())
        assert self.scripts.take_over(old, new, reason="expired", why="its process is gone") is None
        self._end(name, "expired")
        self.services[name] = Service(incarnation, self.now)
        self.services[name].groups = set(groups)
        self.lasts[name], self.heard = incarnation, True
        self._announce("available", name)

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=8))
    def beat(self, names: list[str]) -> None:
        """Several heartbeats at once, as `Heartbeats` sends them; also of services that are withdrawn or were never registered."""
        answers = self.scripts.beat([Beat(name, self.lasts.get(name, 1), TTL_S * 1000) for name in names])
        assert answers == [self._expected_answer(name) for name in names]

    def _expected_answer(self, name: str) -> str:
        service = self.services.get(name)
        if service is None:
            return self.ended[name][1] if name in self.ended else "gone"
        is_overdue = self._is_overdue(service)
        service.flaps += service.state == "suspect"
        if is_overdue or (service.state == "suspect" and not service.quiet):
            self._announce("recovered", name)
        self.heard = True
        service.state, service.quiet, service.beat, service.due = "alive", False, self.now, self.now + SUSPECT_S
        return "alive"

    @rule(beating=st.sets(st.sampled_from(NAMES)), seconds=st.sampled_from([13, 27, 41, 67, 601]), swept=st.booleans())
    def beat_then_let_time_pass_then_sweep(self, beating: set[str], seconds: int, swept: bool) -> None:
        if beating:
            self.beat(names=sorted(beating))
        self.pass_time(seconds=seconds, swept=swept)
        self.sweep()

    @rule(seconds=st.sampled_from([13, 27]))
    def let_time_pass_then_sweep(self, seconds: int) -> None:
        self.pass_time(seconds=seconds, swept=True)
        self.sweep()

    @rule(seconds=st.sampled_from([13, 27, 41, 67]), swept=st.booleans())
    def pass_time(self, seconds: int, swept: bool) -> None:
        let_pass(self.bus, seconds, swept=swept)
        self.now += seconds
        if swept:
            self.swept = self.now

    @rule()
    def sweep(self) -> None:
        while self.monitor.sweep() == 0.0:
            pass
        while self._sweep_model():
            pass

    @rule(seconds=st.sampled_from([41, 67, 601]), name=st.sampled_from(NAMES), look=st.sampled_from(sorted(LOOKS)))
    def nobody_sweeps_for_a_while_and_somebody_looks(self, seconds: int, name: str, look: str) -> None:
        """An overdue service is not found, and whoever met it sweeps twice at most."""
        self.pass_time(seconds=seconds, swept=False)
        there = {n for n, service in self.services.items() if not self._is_overdue(service)}
        assert LOOKS[look](self.bus.directory, name) == (there if look != "lookup" else there & {name})
        met = self.services.keys() - there
        if met if look != "lookup" else name in met:
            _ = self._sweep_model() and self._sweep_model()

    def _is_overdue(self, service: Service) -> bool:
        return self.now - service.beat >= TTL_S

    def _sweep_model(self) -> bool:
        """Do one round of the sweep in the model. Returns whether a service was due."""
        if self.now - self.swept > LATE_S and (self.heard or self.grace == -math.inf):
            self.grace, self.heard = self.now, False
        self.swept = self.now
        silent = sum(service.state == "suspect" for service in self.services.values())
        too_many = silent > NEVER_TOO_MANY and silent > SHARE * len(self.services)
        if too_many and not self.alarm:
            self.held = self.now
            self.announced["alarm", (silent, len(self.services))] += 1
        self.alarm = too_many
        due = [name for name, service in self.services.items() if service.due <= self.now]
        for name in due:
            (self._suspect if self.services[name].state == "alive" else self._expire)(name)
        return bool(due)

    def _suspect(self, name: str) -> None:
        service = self.services[name]
        if self.grace + SUSPECT_S > self.now:
            service.due = self.grace + SUSPECT_S
            return
        service.state, service.due = "suspect", max(service.beat, self.grace) + TTL_S
        service.quiet = self.now - service.announced < QUIET_S
        if not service.quiet:
            service.announced = self.now
            self._announce("suspect", name)

    def _expire(self, name: str) -> None:
        service = self.services[name]
        deadline = max(service.beat, self.grace, self.held) + TTL_S
        if deadline > self.now:
            service.due = deadline
        else:
            self._end(name, "expired")

    @precondition(lambda self: self.services)
    @rule(data=st.data(), reason=st.sampled_from(["killed", "withdrawn"]))
    def withdraw(self, data: st.DataObject, reason: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.services)))
        assert self.bus.directory.withdraw(name, self.services[name].incarnation, reason=reason)
        self._end(name, reason)

    @rule(name=st.sampled_from(NAMES), before=st.integers(1, 3))
    def act_for_another_incarnation(self, name: str, before: int) -> None:
        other = Incarnation(name, self.lasts.get(name, 1) - before)
        assert self.scripts.beat([Beat(*other, TTL_S * 1000)]) != ["alive"]
        assert self.bus.directory.withdraw(*other, reason="killed") is None
        assert not self.scripts.regroup(other, "one", joins=True, groups=["one"])

    @rule(name=st.sampled_from(NAMES))
    def act_for_a_withdrawn_service(self, name: str) -> None:
        if name not in self.services:
            gone = Incarnation(name, self.lasts.get(name, 1))
            assert self.bus.directory.withdraw(*gone, reason="killed") is None
            assert not self.scripts.regroup(gone, "one", joins=True, groups=["one"])

    @rule(name=st.sampled_from(NAMES))
    def withdraw_too_early(self, name: str) -> None:
        """A sweeper that looked long ago: the deadline has moved since, or a grace holds it."""
        service = self.services.get(name)
        ended = self.bus.directory.withdraw(name, self.lasts.get(name, 1), reason="expired", only_if_due=True)
        if service is not None and (service.due <= self.now or max(service.beat, self.grace, self.held) + TTL_S <= self.now):
            self._expire(name)
        assert bool(ended) is (service is not None and name not in self.services)

    @rule(name=st.sampled_from(NAMES))
    def suspect_too_early(self, name: str) -> None:
        """As `withdraw_too_early`."""
        service = self.services.get(name)
        (done,) = self.scripts.suspect([Incarnation(name, self.lasts.get(name, 1))])
        if service is not None and service.due <= self.now and service.state == "alive":
            self._suspect(name)
            assert done is (service.state == "suspect")
        else:
            assert not done

    @precondition(lambda self: self.services)
    @rule(data=st.data(), group=st.sampled_from(GROUPS), joins=st.booleans())
    def regroup(self, data: st.DataObject, group: str, joins: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.services)))
        service = self.services[name]
        groups = service.groups | {group} if joins else service.groups - {group}
        changed = self.scripts.regroup(Incarnation(name, service.incarnation), group, joins=joins, groups=sorted(groups))
        assert changed is (groups != service.groups)
        service.groups = groups
        if changed:
            self._announce("joined" if joins else "left", name)

    def _end(self, name: str, reason: str) -> None:
        self.ended[name] = (self.services[name].incarnation, reason)
        self._announce("withdrawn", name)
        del self.services[name]

    def _announce(self, change: str, name: str) -> None:
        self.announced[change, (name, self.services[name].incarnation)] += 1

    @invariant()
    def the_directory_lists_the_registered_services(self) -> None:
        found = {s.name: (s.incarnation, s.state, s.flaps, s.groups) for s in self.look.find_all(overdue=True)}
        states = {name: "overdue" if self._is_overdue(s) else s.state for name, s in self.services.items()}
        assert found == {name: (s.incarnation, states[name], s.flaps, s.groups) for name, s in self.services.items()}

    @invariant()
    def every_index_holds_exactly_the_registered_services(self) -> None:
        client, keys = self.bus.redis, self.bus.keys
        in_order = sorted(self.services, key=lambda name: self.services[name].incarnation)
        assert _texts(client.zrange(keys.provides("work"), 0, -1)) == in_order
        for group in GROUPS:
            assert _texts(client.zrange(keys.group(group), 0, -1)) == [name for name in in_order if group in self.services[name].groups]
        suspects = {f"{name}#{s.incarnation}" for name, s in self.services.items() if s.state == "suspect"}
        assert set(_texts(client.smembers(keys.suspects))) == suspects
        assert set(_texts(client.smembers(keys.services))) == set(self.services)

    @invariant()
    def every_deadline_is_as_the_model_predicts(self) -> None:
        rows: Any = self.bus.redis.zrange(self.bus.keys.due, 0, -1, withscores=True)
        left_s = {member.decode(): (score - server_ms(self.bus.redis)) / 1000 for member, score in rows}
        expected = {f"{name}#{s.incarnation}": s.due - self.now for name, s in self.services.items()}
        assert left_s == pytest.approx(expected, abs=6)

    @invariant()
    def every_end_is_kept_and_every_change_announced_once(self) -> None:
        for name, (incarnation, reason) in self.ended.items():
            end = self.bus.directory.last_end(name)
            assert (end.incarnation, end.reason) == (incarnation, reason)
        announced: Counter[tuple[str, Any]] = Counter()
        for _, _, _, data in EventScripts(self.bus.redis).read_log("services", after="0-0", count=10_000).entries:
            change: Any = notify.events.event.decode("services", data)[0].contents
            about = (change["silent"], change["of"]) if change["change"] == "alarm" else (change["service"], change["incarnation"])
            announced[change["change"], about] += 1
        assert announced == self.announced


def _texts(values: Any) -> list[str]:
    return [value.decode() for value in values]


@pytest.mark.timeout(180)
def test_the_directory_behaves_like_its_model(bus, monkeypatch):
    monkeypatch.setattr(monitor, "LATE_S", LATE_S)
    monkeypatch.setattr(monitor, "NEVER_TOO_MANY", NEVER_TOO_MANY)
    monkeypatch.setattr(monitor, "BRAKE_SHARE", SHARE)
    thorough = hypothesis.settings(stateful_step_count=40, max_examples=60, deadline=None)
    run_state_machine_as_test(lambda: Directory(bus), settings=thorough)
    bus.redis.flushall()
