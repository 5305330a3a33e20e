"""The methods that an object exports."""

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
        raise AssertionError("not exported")

    def _private(self) -> None:
        raise AssertionError("not exported")

    @property
    def secret(self) -> str:
        raise AssertionError("a property must not be read")

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


def test_N13_only_the_public_methods_of_an_object_are_exported():
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
        (Later(), "whose methods read are asynchronous: only plain methods can be exported"),
    ],
)
def test_an_object_that_cannot_be_exported_is_refused_with_the_reason(exports, message):
    with pytest.raises(InvalidServiceError, match=message.replace("()", r"\(\)")):
        exported_methods(exports)
