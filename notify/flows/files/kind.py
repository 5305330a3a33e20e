"""The base of the kinds of nodes that a flow file may name, and what they get to be built with."""

import importlib
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from notify.bus import Bus
from notify.errors import FlowFileError
from notify.flows.policy import OnError, retry
from notify.flows.wiring import MAX_ITEMS

__all__ = ["Above0", "Kind", "Name", "Reference", "Site"]

Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
Above0: TypeAlias = Annotated[float, msgspec.Meta(gt=0)]
Reference: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$", description="module:name, such as lab:parse")
]
"""What a module defines: ``module:name``."""


class Site:
    """What nodes are built with.

    Args:
        folder: the folder of the file, in which modules are found as well.
        bus: returns the bus; called if a node needs it.
        show: what a node of the kind ``print`` calls with each item.
    """

    def __init__(self, folder: Path, bus: Callable[[], Bus], show: Callable[[Any], object]) -> None:
        self.folder, self.bus, self.show = folder, bus, show

    def find(self, reference: str) -> Any:
        """Return what a module defines.

        Raises:
            FlowFileError: the module cannot be imported, or does not define it.
        """
        module, _, name = reference.partition(":")
        if str(self.folder) not in sys.path:
            sys.path.append(str(self.folder))
        try:
            found: Any = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except AttributeError:
            raise FlowFileError(f"{reference!r} is not there: {module!r} defines no {name!r}") from None
        except Exception as exc:
            raise FlowFileError(f"{reference!r} cannot be imported: {type(exc).__name__}: {exc}") from exc
        return found

    def function(self, reference: str) -> Callable[..., Any]:
        """Return a function that a module defines; raise `FlowFileError`."""
        found = self.find(reference)
        if not callable(found):
            raise FlowFileError(f"{reference!r} is a {type(found).__name__}, and no function")
        call: Callable[..., Any] = found
        return call


def kind_name(name: str) -> str:
    """Return the name of a kind in the file: ``tcp_server`` for ``TcpServer``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Attempt an item again."""

    retries: Annotated[int, msgspec.Meta(ge=1)]
    backoff_s: Above0 = 0.1
    then: Literal["raise", "skip"] = "raise"


class Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag=kind_name):
    """A kind of node. Its fields are the keys in the file, and those here are for every kind."""

    on_error: Literal["raise", "skip"] | Retry = "raise"
    max_items: Annotated[int, msgspec.Meta(ge=1)] = MAX_ITEMS
    gaps: bool = False

    @property
    def policy(self) -> OnError:
        """What is done when the node raises."""
        if isinstance(self.on_error, Retry):
            return retry(self.on_error.retries, self.on_error.backoff_s, then=self.on_error.then)
        return self.on_error

    @property
    def outlets_given(self) -> list[str] | None:
        """The outlets of a function, if the file names them."""
        return None

    def work(self, site: Site) -> Any:
        """Return the source, stage or sink."""
        raise NotImplementedError


def value_of(site: Site, reference: str | None, field: str | None) -> Callable[[Any], Any] | None:
    """Return the function that gets a value out of an item: a given one, or one that takes a field."""
    if reference is not None and field is not None:
        raise FlowFileError("a function and a field are given: give one of them")
    if field is not None:
        return partial(_field_of, field)
    return None if reference is None else site.function(reference)


def _field_of(field: str, item: Any) -> Any:
    found = getattr(item, "contents", item)
    return found[field]
