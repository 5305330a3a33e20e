"""On what terms a job is there: what it needs, and what the loss of that does to it."""

import math
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from notify.directory import Provider, Target, check_name
from notify.errors import InvalidServiceError
from notify.keys import any_provider
from workers.errors import JobDefinitionError

__all__ = ["Needs", "Policy", "Requirements", "check_need", "check_policy", "need_of", "read_needs", "target_of"]

Policy: TypeAlias = Literal["cancel", "hold", "drain", "ignore"]
"""What a loss of something that it needs does to a job.

``cancel``: a waiting one is cancelled, a running one is stopped. ``hold``: a waiting one is held, a running one is stopped and held;
all come back, in their old order, when what they need is there again. ``drain``: a waiting one is cancelled, a running one may finish.
``ignore``: nothing.
"""

Needs: TypeAlias = Target | Collection[Target]
"""The name of a service, ``notify.provides("capability")``, or several of these."""

LONGEST_S: Final = 365 * 86_400.0
_ANY: Final = any_provider("")
_counts: Final = msgspec.json.Decoder(dict[str, int])


class Requirements(msgspec.Struct, frozen=True):
    """What a job needs, in the words of `need_of`, and what the loss of that does. Made by `Requirements.of`.

    Args:
        needs: what it needs.
        on_loss: what a loss does.
        max_hold_s: seconds for which it may be held; ``None``: however long it takes.
        grace_s: seconds in which what was lost may come back.
    """

    needs: frozenset[str] = frozenset()
    on_loss: Policy = "cancel"
    max_hold_s: float | None = None
    grace_s: float = 0.0

    @classmethod
    def of(cls, needs: Needs = (), on_loss: str = "cancel", *, max_hold_s: float | None = None, grace_s: float = 0.0) -> "Requirements":
        """Return the terms.

        Raises:
            JobDefinitionError: they cannot be; the message says which and why.
        """
        policy = check_policy(on_loss)
        if max_hold_s is not None and policy != "hold":
            raise JobDefinitionError(f"max_hold_s is for on_loss='hold', not for {policy!r}: leave it out, or say grace_s")
        if grace_s and policy == "ignore":
            raise JobDefinitionError("grace_s means nothing with on_loss='ignore': leave it out")
        for name, value in (("max_hold_s", max_hold_s), ("grace_s", grace_s)):
            _check_time(name, value)
        if max_hold_s == 0:
            raise JobDefinitionError("max_hold_s is 0: say on_loss='cancel' if it is not to be held")
        return cls(_check_needs(needs), policy, max_hold_s, grace_s)

    def but(
        self, *, needs: Needs | None = None, on_loss: str | None = None, max_hold_s: float | None = None, grace_s: float | None = None
    ) -> "Requirements":
        """Return the same terms but for what is given. Errors as for `of`."""
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
        """Return what the hash of a job holds of them, but for the needs themselves, which know more."""
        if not self.needs:
            return {}
        times = {"max_hold_ms": self.max_hold_s, "grace_ms": self.grace_s or None}
        return {"on_loss": self.on_loss, **{name: round(time_s * 1000) for name, time_s in times.items() if time_s is not None}}

    @classmethod
    def read(cls, raw: Mapping[bytes, bytes]) -> "Requirements":
        """Read them from the hash of a job.

        Raises:
            JobDefinitionError, ValueError, msgspec.DecodeError: a stranger wrote it.
        """
        held_ms, grace_ms = raw.get(b"max_hold_ms"), raw.get(b"grace_ms")
        policy = raw.get(b"on_loss")
        return cls(
            frozenset(read_needs(raw)),
            check_policy(policy.decode()) if policy else "cancel",
            int(held_ms) / 1000 if held_ms else None,
            int(grace_ms) / 1000 if grace_ms else 0.0,
        )


def read_needs(raw: Mapping[bytes, bytes]) -> dict[str, int]:
    """Read the needs from the hash of a job, each with the serial of its last loss at enqueue; errors as for `Requirements.read`."""
    needs = raw.get(b"needs")
    return _counts.decode(needs) if needs else {}


def need_of(target: Target) -> str:
    """Return how a need is written: as the name of the service, or as ``any <capability>``."""
    return any_provider(target.capability) if isinstance(target, Provider) else target


def target_of(need: str) -> Target:
    """Return what `need_of` wrote."""
    return Provider(need.removeprefix(_ANY)) if need.startswith(_ANY) else need


def check_policy(policy: str) -> Policy:
    """Return the policy, else raise `JobDefinitionError`."""
    for known in get_args(Policy):
        if policy == known:
            checked: Policy = known
            return checked
    raise JobDefinitionError(f"on_loss is {policy!r}: choose one of {', '.join(get_args(Policy))}")


def _check_needs(needs: Needs) -> frozenset[str]:
    if not isinstance(needs, str | Provider | tuple | list | set | frozenset):
        raise JobDefinitionError(f"needs is the name of a service, notify.provides(capability), or several, not {needs!r}")
    return frozenset(map(check_need, [needs] if isinstance(needs, str | Provider) else needs))


def check_need(need: object) -> str:
    """Return one need, as `need_of` writes it, else raise `JobDefinitionError`."""
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
