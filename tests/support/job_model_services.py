"""The services of the model of jobs: they come, fall silent, are withdrawn by somebody or by a sweep, or send a heartbeat late."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import notify
from notify.directory.scripts import Beat, DirectoryScripts
from notify.keys import due_member
from tests.support.faults import server_ms
from tests.support.job_model import HOUR_MS, NEEDS, SERVICES, Model
from workers.loss.overdue import OverdueServices

__all__ = ["ServiceSteps"]

TTL_MS = 10 * HOUR_MS


class ServiceSteps(RuleBasedStateMachine):
    """Takes each step of a service on the server and in the model."""

    bus: notify.Bus
    client: Any
    model: Model
    directory: DirectoryScripts

    def __init__(self) -> None:
        super().__init__()
        self.incarnations: dict[str, int] = {}

    @initialize(names=st.sets(st.sampled_from(sorted(SERVICES))))
    def begin_with_services(self, names: set[str]) -> None:
        for name in sorted(names):
            self.come(name)

    @precondition(lambda self: self.registered < SERVICES.keys())
    @rule(data=st.data())
    def a_service_comes(self, data: st.DataObject) -> None:
        self.come(data.draw(st.sampled_from(sorted(SERVICES.keys() - self.registered))))

    @property
    def registered(self) -> set[str]:
        return self.model.there | self.model.overdue

    def come(self, name: str) -> None:
        fields = {"provides": notify.values.encode_json(sorted(SERVICES[name]), what="x").decode()}
        found = self.directory.register(name, ttl_ms=TTL_MS, provides=sorted(SERVICES[name]), groups=[], fields=fields)
        assert found is not None
        self.incarnations[name] = found
        self.model.there.add(name)

    def go(self, name: str, *, kills: bool) -> None:
        if kills:
            self.bus.directory.kill(name)
        else:
            assert self.bus.directory.withdraw(name, self.incarnations[name], reason="expired")
        self.note_end({name})

    @precondition(lambda self: self.model.there)
    @rule(data=st.data(), swept=st.booleans())
    def nobody_sweeps_for_a_while(self, data: st.DataObject, swept: bool) -> None:
        """Some services send no heartbeat for more than their ttl. With ``swept`` the last sweep was just before that."""
        self.fall_silent(data.draw(st.sets(st.sampled_from(sorted(self.model.there)), min_size=1)), swept=swept)

    def fall_silent(self, silent: set[str], *, swept: bool = False) -> None:
        for name in silent:
            self.client.hincrby(self.bus.keys.service(name), "beat_ms", -TTL_MS - HOUR_MS)
            self.client.zincrby(self.bus.keys.due, -TTL_MS - HOUR_MS, due_member(name, self.incarnations[name]))
        self.client.hdel(self.bus.keys.sweep, "at_ms", "grace_ms")
        if swept:
            self.client.hset(self.bus.keys.sweep, "at_ms", server_ms(self.client))
        self.model.there -= silent
        self.model.overdue |= silent

    @precondition(lambda self: self.model.overdue)
    @rule(data=st.data())
    def a_heartbeat_comes_late(self, data: st.DataObject) -> None:
        self.beat(data.draw(st.sampled_from(sorted(self.model.overdue))))

    def beat(self, name: str) -> None:
        assert self.directory.beat([Beat(name, self.incarnations[name], TTL_MS)]) == ["alive"]
        self.model.overdue.discard(name)
        self.model.there.add(name)

    @precondition(lambda self: self.model.overdue)
    @rule()
    def sweep(self) -> None:
        assert OverdueServices(self.client).settle()
        self.note_withdrawals()

    def note_withdrawals(self) -> None:
        """Note which of the overdue services the sweep has withdrawn; the others have a grace."""
        self.note_end({name for name in self.model.overdue if not self.client.sismember(self.bus.keys.services, name)})

    def note_end(self, names: set[str]) -> None:
        before = {need: self.model.is_gone(need) for need in NEEDS}
        self.model.there -= names
        self.model.overdue -= names
        for need, was_gone in before.items():
            serial = int(self.client.hget(self.bus.keys.losses, need) or 0)
            assert (serial > self.model.serials.get(need, 0)) is (not was_gone and self.model.is_gone(need))
            if serial:
                self.model.serials[need] = serial
