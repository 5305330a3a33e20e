"""The requirements of a job: needs, policy and times."""

from typing import Any

import msgspec
import pytest

import notify
from workers import JobDefinitionError
from workers.jobs.requirements import LONGEST_S, Requirements, need_of, read_needs, target_of


def test_needs_are_a_name_a_capability_or_several() -> None:
    cap = notify.provides("print")
    assert Requirements.of("svc").needs == {"svc"}
    assert Requirements.of(cap).needs == {"any print"}
    assert Requirements.of(["svc", cap, "svc"]).needs == {"svc", "any print"}
    assert Requirements.of().needs == frozenset()


@pytest.mark.parametrize("target", ["svc", notify.provides("print")])
def test_a_need_is_written_and_read_again(target: Any) -> None:
    assert target_of(need_of(target)) == target
    assert Requirements.of(target) == Requirements.of(need_of(target))


def test_no_service_has_the_name_of_a_capability(bus: notify.Bus) -> None:
    with pytest.raises(notify.InvalidServiceError), bus.service("any print"):
        pass


@pytest.mark.parametrize(
    "needs",
    [3, [None], b"svc", {"svc": 1}, "", "two words", "any two words", "x" * 257, notify.provides("two words"), notify.provides("")],
)
def test_an_invalid_need_is_refused(needs: Any) -> None:
    with pytest.raises(JobDefinitionError, match="needs"):
        Requirements.of(needs)


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        ({"on_loss": "shrug"}, "choose one of cancel, hold, drain, ignore"),
        ({"on_loss": "cancel", "max_hold_s": 5}, "max_hold_s is for on_loss='hold', not for 'cancel': leave it out, or give grace_s"),
        ({"on_loss": "drain", "max_hold_s": 5}, "max_hold_s is for"),
        ({"on_loss": "ignore", "grace_s": 5}, "grace_s has no effect with on_loss='ignore': leave it out"),
        ({"on_loss": "hold", "max_hold_s": 0}, "would never be held: give more seconds, or on_loss='cancel'"),
    ],
)
def test_contradicting_requirements_are_refused_with_a_remedy(values: Any, remedy: str) -> None:
    with pytest.raises(JobDefinitionError, match=remedy):
        Requirements.of("svc", **values)


@pytest.mark.parametrize("value", [-1, -0.5, float("nan"), float("inf"), LONGEST_S + 1, "5", True, [5]])
@pytest.mark.parametrize("name", ["max_hold_s", "grace_s"])
def test_an_invalid_time_is_refused(name: str, value: Any) -> None:
    with pytest.raises(JobDefinitionError, match=f"{name} is {value!r}".replace("[", r"\[").replace("]", r"\]")):
        Requirements.of("svc", "hold", **{name: value})


@pytest.mark.parametrize(
    "requirements",
    [
        Requirements.of("svc"),
        Requirements.of(["svc", notify.provides("print")], "drain", grace_s=0.25),
        Requirements.of("svc", "hold", max_hold_s=LONGEST_S, grace_s=1.5),
        Requirements.of("svc", "hold"),
        Requirements.of("svc", "ignore"),
        Requirements.of(),
    ],
)
def test_requirements_survive_the_hash_of_a_job(requirements: Requirements) -> None:
    kept = {name.encode(): str(value).encode() for name, value in requirements.fields().items()}
    needs = {b"needs": msgspec.json.encode(dict.fromkeys(requirements.needs, 7))} if requirements.needs else {}
    assert Requirements.read({**kept, **needs}) == requirements
    assert read_needs(needs) == dict.fromkeys(requirements.needs, 7)


@pytest.mark.parametrize(
    "fields",
    [
        {b"needs": b"not json"},
        {b"needs": b'["svc"]'},
        {b"needs": b'{"svc": "x"}'},
        {b"on_loss": b"shrug"},
        {b"max_hold_ms": b"soon"},
        {b"grace_ms": b"0.5"},
    ],
)
def test_fields_of_another_program_raise_an_error_the_worker_handles(fields: Any) -> None:
    with pytest.raises((JobDefinitionError, ValueError, msgspec.DecodeError)):
        Requirements.read(fields)


def test_but_replaces_the_given_values_and_keeps_the_rest() -> None:
    defined = Requirements.of("svc", "hold", max_hold_s=5, grace_s=2)
    assert defined.but() == defined
    assert defined.but(needs="other") == Requirements.of("other", "hold", max_hold_s=5, grace_s=2)
    assert defined.but(needs=[]) == Requirements.of([], "hold", max_hold_s=5, grace_s=2)
    assert defined.but(max_hold_s=7) == Requirements.of("svc", "hold", max_hold_s=7, grace_s=2)
    assert defined.but(grace_s=0) == Requirements.of("svc", "hold", max_hold_s=5)


def test_but_with_another_policy_drops_times_that_mean_nothing_with_it() -> None:
    defined = Requirements.of("svc", "hold", max_hold_s=5, grace_s=2)
    assert defined.but(on_loss="cancel") == Requirements.of("svc", "cancel", grace_s=2)
    assert defined.but(on_loss="ignore") == Requirements.of("svc", "ignore")
    with pytest.raises(JobDefinitionError, match="max_hold_s is for"):
        defined.but(on_loss="cancel", max_hold_s=7)


def test_needs_of_a_capability_survive_another_policy() -> None:
    assert Requirements.of(notify.provides("print")).but(on_loss="drain") == Requirements.of(notify.provides("print"), "drain")
