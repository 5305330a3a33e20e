"""The services a job requires, and what happens to the job when one of them is withdrawn."""

import math
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from notify.directory import Provider, Target, check_name
from notify.errors import InvalidServiceError
from notify.keys import any_provider
from notify.server import whole
from workers.errors import JobDefinitionError

__all__ = ["Needs", "Policy", "Requirements", "check_need", "check_policy", "need_of", "read_needs", "target_of"]

Policy: TypeAlias = Literal["cancel", "hold", "drain", "ignore"]
"""The effect of a loss on a job.

``cancel``: a waiting job is cancelled, a running job is stopped. ``hold``: a waiting job is held, a running job is stopped and held;
held jobs return to the queue in their old order when the service is back. ``drain``: a waiting job is cancelled, a running job may
finish. ``ignore``: no effect.
"""

Needs: TypeAlias = Target | Collection[Target]
"""The name of a service, ``notify.provides("capability")``, or several of these."""

LONGEST_S: Final = 365 * 86_400.0
_ANY: Final = any_provider("")
_counts: Final = msgspec.json.Decoder(dict[str, int])


class Requirements(msgspec.Struct, frozen=True):
    """The services a job requires, and what their loss does. Made by `Requirements.of`.

    Args:
        needs: the required services and capabilities, as texts of `need_of`.
        on_loss: the effect of a loss.
        max_hold_s: seconds for which the job may be held; ``None`` for no limit.
        grace_s: seconds within which a service may return without being lost.
    """

    needs: frozenset[str] = frozenset()
    on_loss: Policy = "cancel"
    max_hold_s: float | None = None
    grace_s: float = 0.0

    @classmethod
    def of(cls, needs: Needs = (), on_loss: str = "cancel", *, max_hold_s: float | None = None, grace_s: float = 0.0) -> "Requirements":
        """Return checked requirements.

        Raises:
            JobDefinitionError: a value is invalid, or two contradict each other; the message says which and why.
        """
        policy = check_policy(on_loss)
        if max_hold_s is not None and policy != "hold":
            raise JobDefinitionError(f"max_hold_s is for on_loss='hold', not for {policy!r}: leave it out, or give grace_s")
        if grace_s and policy == "ignore":
            raise JobDefinitionError("grace_s has no effect with on_loss='ignore': leave it out")
        for name, value in (("max_hold_s", max_hold_s), ("grace_s", grace_s)):
            _check_time(name, value)
        if max_hold_s == 0:
            raise JobDefinitionError("max_hold_s is 0, so the job would never be held: give more seconds, or on_loss='cancel'")
        return cls(_check_needs(needs), policy, max_hold_s, grace_s)

    def but(
        self, *, needs: Needs | None = None, on_loss: str | None = None, max_hold_s: float | None = None, grace_s: float | None = None
    ) -> "Requirements":
        """Return a copy with the given values replaced. Errors as for `of`.

        If the policy changes, a time that has no effect with the new policy is dropped.
        """
        if needs is None and on_loss is None and max_hold_s is None and grace_s is None:
            return self
        policy = self.on_loss if on_loss is None else on_loss
        kept_hold_s = self.max_hold_s if policy == "hold" else None
        kept_grace_s = self.grace_s if policy != "ignore" else 0.0
        return Requirements.of(
            [*map(target_of, self.needs)] if needs is None else needs,
            policy,
            max_hold_s=kept_hold_s if max_hold_s is None else max_hold_s,
            grace_s=kept_grace_s if grace_s is None else grace_s,
        )

    def fields(self) -> dict[str, Any]:
        """Return the fields of a job's hash for the policy and the times. Not the field ``needs``: that holds serials too."""
        if not self.needs:
            return {}
        times = {"max_hold_ms": self.max_hold_s, "grace_ms": self.grace_s or None}
        return {"on_loss": self.on_loss, **{name: round(time_s * 1000) for name, time_s in times.items() if time_s is not None}}

    @classmethod
    def read(cls, raw: Mapping[bytes, bytes]) -> "Requirements":
        """Read the requirements from the hash of a job.

        Raises:
            JobDefinitionError, ValueError, msgspec.DecodeError: a field is invalid, so another program wrote it.
        """
        held_ms, grace_ms = raw.get(b"max_hold_ms"), raw.get(b"grace_ms")
        policy = raw.get(b"on_loss")
        return cls(
            frozenset(read_needs(raw)),
            check_policy(policy.decode()) if policy else "cancel",
            _seconds(held_ms) if held_ms else None,
            _seconds(grace_ms) if grace_ms else 0.0,
        )


def _seconds(milliseconds: bytes) -> float:
    ms = whole(milliseconds, None, most=round(LONGEST_S * 1000))
    if ms is None:
        raise ValueError(f"{milliseconds[:20]!r} is no whole number of milliseconds of at most a year")
    return ms / 1000


def read_needs(raw: Mapping[bytes, bytes]) -> dict[str, int]:
    """Return the needs in the hash of a job, each with the serial of its last loss when the job was enqueued.

    The serial is a number that grows with each loss of the need, 0 before the first. A loss with a higher serial affects the job.
    Errors as for `Requirements.read`.
    """
    needs = raw.get(b"needs")
    return _counts.decode(needs) if needs else {}


def need_of(target: Target) -> str:
    """Return a need as text: the name of the service, or ``any <capability>``."""
    return any_provider(target.capability) if isinstance(target, Provider) else target


def target_of(need: str) -> Target:
    """Return the target for a text of `need_of`."""
    return Provider(need.removeprefix(_ANY)) if need.startswith(_ANY) else need


def check_policy(policy: str) -> Policy:
    """Return the policy if it exists.

    Raises:
        JobDefinitionError: there is no such policy.
    """
    for known in get_args(Policy):
        if policy == known:
            checked: Policy = known
            return checked
    raise JobDefinitionError(f"on_loss is {policy!r}: choose one of {', '.join(get_args(Policy))}")


def _check_needs(needs: Needs) -> frozenset[str]:
    if not isinstance(needs, str | Provider | tuple | list | set | frozenset):
        raise JobDefinitionError(f"needs is {needs!r}: give the name of a service, notify.provides(capability), or several of these")
    return frozenset(map(check_need, [needs] if isinstance(needs, str | Provider) else needs))


def check_need(need: object) -> str:
    """Return one need as text, see `need_of`.

    Raises:
        JobDefinitionError: the need is not the name of a service or capability.
    """
    target = target_of(need) if isinstance(need, str) else need
    try:
        if isinstance(target, Provider):
            return any_provider(check_name(target.capability, what="a capability"))
        return check_name(target)
    except InvalidServiceError as exc:
        raise JobDefinitionError(f"needs names no service: {exc}") from exc


def _check_time(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_S or math.isnan(value):
        raise JobDefinitionError(f"{name} is {value!r}: give a number of seconds, 0 to {LONGEST_S:g}")
