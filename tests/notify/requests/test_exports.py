"""Which methods others may call."""

from functools import cache

import pytest

from notify import InvalidServiceError
from notify.requests.exports import exported_methods

pytestmark = pytest.mark.any_server


class Base:
    def inherited(self) -> str:
        return "inherited"


class Desk(Base):
    callback = str
    kind = "desk"

    class Drawer:
        pass

    def __init__(self) -> None:
        self.attribute = self.write
        self.name = "desk"

    def __call__(self) -> None:
        raise AssertionError("nobody may call this")

    def _private(self) -> None:
        raise AssertionError("nobody may call this")

    @property
    def secret(self) -> str:
        raise AssertionError("nobody may ask for this")

    def write(self, text: str) -> str:
        return f"{self.name}: {text}"

    @cache  # noqa: B019  # one desk
    def remembered(self) -> int:
        return 7

    @classmethod
    def made(cls) -> str:
        return cls.__name__

    @staticmethod
    def add(a: int, b: int) -> int:
        return a + b


def test_N13_the_public_methods_of_an_object_are_exported_and_nothing_else():
    methods = exported_methods(Desk())
    assert sorted(methods) == ["add", "inherited", "made", "remembered", "write"]
    assert methods["write"]("hello") == "desk: hello"
    assert (methods["made"](), methods["add"](1, 2), methods["inherited"](), methods["remembered"]()) == ("Desk", 3, "inherited", 7)


class Silent:
    name = "silent"


class Later:
    async def read(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("exports", "message"),
    [
        (Silent(), "no public method"),
        (Silent, "the class Silent: give an object of it, Silent()"),
        (Later(), "read of .* is asynchronous, which is not supported"),
    ],
)
def test_what_cannot_be_called_is_refused_with_its_reason(exports, message):
    with pytest.raises(InvalidServiceError, match=message.replace("()", r"\(\)")):
        exported_methods(exports)
