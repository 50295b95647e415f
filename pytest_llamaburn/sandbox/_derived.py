"""Classes of tests that derive from classes of the program, which is in another process.

The confined process loads this file by its path. Such a class is made in the program's process. Its
methods stay here: there they are functions that call back.
"""

from __future__ import annotations

import builtins
import sys
from typing import Any

# What Python puts into the body of a class, besides its members.
_NO_MEMBERS = {
    *("__module__", "__qualname__", "__classcell__", "__orig_bases__", "__firstlineno__"),
    *("__static_attributes__", "__annotations__", "__annotate__", "__annotate_func__"),
    "__conditional_annotations__",
}


class _Deriving(type):
    """The class of a stand-in: whatever derives from the stand-in is made by the program."""

    link: Any

    def __new__(
        cls, name: str, bases: tuple[object, ...], space: dict[str, Any], **named: object
    ) -> Any:
        """Return a proxy for a new class of the program."""
        link = next(base.link for base in bases if type(base) is _Deriving)
        members = {key: _member(value) for key, value in space.items() if key not in _NO_MEMBERS}
        made = link.ask("derive", name, list(space["__orig_bases__"]), members, **named)
        if "__classcell__" in space:
            space["__classcell__"].cell_contents = made
        return made


def stand_in(link: object) -> type:
    """Return the class that stands for all classes of the program as the base of a class."""
    made: type = type.__new__(_Deriving, "ClassOfTheProgram", (), {"link": link})
    return made


def parent(link: Any, proxy: type) -> Any:
    """Return what `super` is in tests: also for classes that the program has made."""

    def find(*of: Any) -> Any:
        owner, value = of or _place(sys._getframe(1))  # noqa: SLF001
        if type(owner) is not proxy:
            return builtins.super(owner, value)
        above = link.ask("super", owner, value)
        return _Parent(lambda name: link.ask("getattr", above, name))

    return find


class _Parent:
    """An object as its class inherits it: `attribute` gets an attribute of that."""

    def __init__(self, attribute: object) -> None:
        object.__setattr__(self, "attribute", attribute)

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, "attribute")(name)


def _place(frame: Any) -> tuple[Any, Any]:
    """Return the class and the object of the method that a frame runs."""
    return frame.f_locals["__class__"], frame.f_locals[frame.f_code.co_varnames[0]]


def _member(value: object) -> list[Any]:
    """Return the kind of a member of a class, and its parts."""
    if isinstance(value, property):
        return ["property", value.fget, value.fset, value.fdel]
    if isinstance(value, staticmethod | classmethod):
        return [type(value).__name__, value.__func__]
    return ["", value]
