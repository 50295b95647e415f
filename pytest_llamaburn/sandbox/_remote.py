"""Lets tests use a program that runs in another process: calls go out, values and errors come back.

Both processes load this file. Plain data is copied; what a call changes in its arguments is changed
for the caller too. Anything else stays where it is and is used through a Proxy. The process of the
tests believes nothing it is sent: it builds plain data only, compares that by itself, and lets the
other side call nothing but the functions that it passed out. The module imports nothing of ours.
"""

from __future__ import annotations

import builtins
import importlib
import json
import operator
import os
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

_MOST_BYTES = 1 << 26  # of one message
_CHUNK = 1 << 16
_SMALL = 1 << 62
_ATOMS = (type(None), bool, float, str)
_READABLE = (
    "__name__",
    "__qualname__",
    "__doc__",
    "__module__",
)  # of a function that was passed out
_SEQUENCES: dict[str, Any] = {t.__name__: t for t in (list, deque, tuple, set, frozenset)}
_MAPPINGS: dict[str, Any] = {t.__name__: t for t in (dict, OrderedDict, Counter, defaultdict)}
_PLAIN_BASES: tuple[Any, ...] = (bool, int, float, str, bytes, tuple, list, dict, set, frozenset)
_BY_TEXT: dict[str, tuple[Any, Any]] = {  # type: how to write it, how to read it back
    "Decimal": (str, Decimal),
    "Fraction": (str, Fraction),
    "complex": (repr, complex),
    "bytes": (bytes.hex, bytes.fromhex),
    "date": (date.isoformat, date.fromisoformat),
    "time": (time.isoformat, time.fromisoformat),
    "datetime": (datetime.isoformat, datetime.fromisoformat),
}
_TEXT_TYPES = {t.__name__: t for t in (Decimal, Fraction, complex, bytes, date, time, datetime)}
_OPERATIONS: dict[str, Any] = {
    "getattr": getattr,
    "setattr": setattr,
    "delattr": delattr,
    "call": lambda f, /, *args, **named: f(*args, **named),
    "isinstance": lambda cls, value: isinstance(value, cls),
    "issubclass": lambda cls, other: issubclass(other, cls),
    "run": lambda coroutine: importlib.import_module("asyncio").run(coroutine),
    "plain": lambda value: _base_value(value),  # noqa: PLW0108 - it is defined below
    "enter": lambda value: type(value).__enter__(value),
    "exit": lambda value, *about: type(value).__exit__(value, *about),
    **{f.__name__: f for f in (len, iter, next, reversed, bool, str, repr, hash, int, float, abs)},
    **{
        name: getattr(operator, name)
        for name in (
            *("eq", "ne", "lt", "le", "gt", "ge", "contains", "getitem", "setitem", "delitem"),
            *("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "lshift"),
            *("rshift", "and_", "or_", "xor", "neg", "pos", "invert", "index"),
        )
    },
}


class GoneError(BaseException):
    """The other process has ended, or closed the line."""


class BrokenError(BaseException):
    """The other process sent what no honest one sends."""


class Link:
    """One end of the line between two processes.

    `common` are the classes that both sides have, by name. A `guarded` end gives the other side
    nothing of its own but plain data and functions to call.
    """

    def __init__(self, reading: int, writing: int, *, guarded: bool) -> None:
        """Take the descriptors to read from and to write to."""
        self.common: dict[str, type] = {}
        self.errors: dict[str, type[BaseException]] = {}
        self.loading = False  # whether the tests take over the program's names
        self.fault = ""  # why the line is of no more use
        self.guarded = guarded
        self._reading, self._writing = reading, writing
        self._unread = bytearray()
        self._lent: list[Any] = []
        self._numbers: dict[int, int] = {}

    def ask(self, operation: str, /, *values: Any, **named: Any) -> Any:
        """Have the other side do something and return what comes of it, or raise what it raised."""
        sent = _Writer(self)
        request: dict[str, Any] = {"do": operation, "with": [sent.node(value) for value in values]}
        request["named"] = {name: sent.node(value) for name, value in named.items()}
        self._send({**request, "heap": sent.heap()})
        reply = self._receive()
        while "do" in reply:
            self._answer(reply)
            reply = self._receive()
        found = self._read(reply, ["is"], sent.objects)[0][0]
        if "raised" in reply:
            raise self._error(reply["raised"], found, str(reply.get("told", "")))
        return found

    def serve(self) -> None:
        """Do what the other side asks for until it is gone."""
        with suppress(GoneError):
            while True:
                self._answer(self._receive())

    def tell(self, **facts: Any) -> None:
        """Send what needs no answer."""
        self._send(facts)

    def heard(self) -> dict[str, Any]:
        """Return what the other side told."""
        return self._receive()

    def lend(self, value: Any) -> int:
        """Return the number by which the other side may use a value of ours."""
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._lent)
            self._lent.append(value)
        return self._numbers[id(value)]

    def borrowed(self, number: int) -> Any:
        """Return the other side's value of a number, to be used from here."""
        return Proxy(self, number)

    def lent(self, number: int) -> Any:
        """Return the value of a number."""
        return self._lent[number]

    def lendable(self, value: Any) -> bool:
        """Return whether the other side may have the use of a value."""
        return not self.guarded or _is_tests_own(value)

    def _answer(self, request: dict[str, Any]) -> None:
        told = ""
        values, named, objects = self._read(request, ["with", "named"], [])
        try:
            raised, found = None, self._done(str(request.get("do")), values, named)
        except (GoneError, BrokenError):
            raise
        except BaseException as err:  # noqa: BLE001 - it is the caller's to handle
            raised, found, told = _kinds(err), _plain_arguments(err), self.describe(err)
        sent = _Writer(self, objects)
        try:
            node = sent.node(found)
        except TypeError as err:
            node, raised = sent.node([str(err)]), ["TypeError"]
        self.settle()
        reply = {"is": [node], "heap": sent.heap()}
        self._send(reply | ({"raised": raised, "told": told} if raised else {}))

    def settle(self) -> None:
        """Do what is to be done before the other side goes on."""

    def describe(self, err: BaseException) -> str:
        """Return an error in words; the process of the program says where in it it was raised."""
        return type(err).__name__

    def _done(self, operation: str, values: list[Any], named: dict[str, Any]) -> Any:
        if self.guarded:
            self._check(operation, values)
        return _OPERATIONS[operation](*values, **named)

    def _check(self, operation: str, values: list[Any]) -> None:
        """Raise for all that the program has no business with in the process of its tests."""
        target = values[0]
        function = isinstance(target, types.FunctionType | types.MethodType)
        if operation in ("getattr", "setattr") and not isinstance(target, type):
            name = values[1]
            public = isinstance(name, str) and not name.startswith("_") and not function
            if not (public or (operation == "getattr" and function and name in _READABLE)):
                raise AttributeError(name)
        elif operation not in ("call", "bool", "str", "repr", "len", "iter", "next", "eq", "hash"):
            raise TypeError(f"{operation} is not to be had")
        if not _is_tests_own(target):
            raise TypeError("only what tests define can be used")

    def _error(self, kinds: list[str], arguments: Any, told: str) -> BaseException:
        """Return an error to raise: of a class that both sides know."""
        known = {**_ERRORS, **self.errors}
        kind = next((known[k] for k in kinds if k in known), Exception)
        err = kind.__new__(kind)
        err.args = tuple(arguments) if isinstance(arguments, list | tuple) else ()
        err.__dict__["told"] = told
        return err

    def _read(self, message: dict[str, Any], fields: list[str], own: list[Any]) -> list[Any]:
        """Return what the fields of a message stand for, and the objects in it.

        `own` are our containers that the message gives new contents.
        """
        try:
            reader = _Reader(self, message["heap"], own)
            return [*(reader.several(message[field]) for field in fields), reader.objects]
        except (GoneError, BrokenError):
            raise
        except Exception as err:  # noqa: BLE001 - whatever is wrong with it
            raise self._broken(f"a message of no known shape: {err}") from None

    def _broken(self, reason: str) -> BaseException:
        self.fault = self.fault or "broken"
        return BrokenError(reason)

    def _send(self, message: dict[str, Any]) -> None:
        text = json.dumps(message).encode()
        left = memoryview(len(text).to_bytes(4, "big") + text)
        try:
            while left:
                left = left[os.write(self._writing, left) :]
        except OSError:
            self._gone()

    def _receive(self) -> dict[str, Any]:
        size = int.from_bytes(self._bytes(4), "big")
        if size > _MOST_BYTES:
            raise self._broken("a message without an end")
        try:
            message = json.loads(self._bytes(size))
        except (ValueError, RecursionError):
            raise self._broken("a message that is not JSON") from None
        if not isinstance(message, dict):
            raise self._broken("a message of no known shape")
        return message

    def _bytes(self, count: int) -> bytes:
        while len(self._unread) < count:
            chunk = os.read(self._reading, max(_CHUNK, count - len(self._unread)))
            if not chunk:
                self._gone()
            self._unread += chunk
        got = bytes(self._unread[:count])
        del self._unread[:count]
        return got

    def _gone(self) -> None:
        self.fault = self.fault or "gone"
        raise GoneError


class Proxy:
    """A value that lives in the other process.

    `_mixed` is one that came of reckoning with plain data of this process, which the other one has
    seen then: nothing plain is taken from it, or `abs(f(x) - 1.5)` could always be 0.
    """

    __slots__ = ("_link", "_mixed", "_number")

    def __init__(self, link: Link, number: int) -> None:
        object.__setattr__(self, "_link", link)
        object.__setattr__(self, "_number", number)
        object.__setattr__(self, "_mixed", False)

    def __getattr__(self, name: str) -> Any:
        return self._link.ask("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._link.ask("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._link.ask("delattr", self, name)

    def __call__(self, /, *args: Any, **named: Any) -> Any:
        return self._link.ask("call", self, *args, **named)

    def __instancecheck__(self, value: Any) -> bool:
        return self._link.ask("isinstance", self, value) is True

    def __subclasscheck__(self, other: Any) -> bool:
        return self._link.ask("issubclass", self, other) is True

    def __hash__(self) -> int:
        found: int = self._link.ask("hash", self)
        return found

    def __exit__(self, kind: type[BaseException] | None, *about: object) -> Any:
        return self._link.ask("exit", self, kind, None, None)

    def __eq__(self, other: object) -> Any:
        return self._compared("eq", other)

    def __ne__(self, other: object) -> Any:
        return self._compared("ne", other)

    def __lt__(self, other: object) -> Any:
        return self._compared("lt", other)

    def __le__(self, other: object) -> Any:
        return self._compared("le", other)

    def __gt__(self, other: object) -> Any:
        return self._compared("gt", other)

    def __ge__(self, other: object) -> Any:
        return self._compared("ge", other)

    def _compared(self, operation: str, other: object) -> Any:
        """Compare two values over there; with plain data here, or every answer could be right."""
        if isinstance(other, Proxy):
            return self._link.ask(operation, self, other)
        if type(other).__module__ == "answer":
            return NotImplemented
        plain = self._plain()
        return NotImplemented if plain is None else getattr(operator, operation)(plain, other)

    def _plain(self) -> Any:
        """Return the plain data that a value of a derived type is, None for any other."""
        return None if self._mixed else self._link.ask("plain", self)

    def _reckoned(self, operation: str, other: object, *, swapped: bool) -> Any:
        """Reckon with plain data here if both are plain, else over there."""
        plain = None if isinstance(other, Proxy) else self._plain()
        own = self if plain is None else plain
        values = (other, own) if swapped else (own, other)
        if plain is not None:
            return _OPERATIONS[operation](*values)
        mixed = self._mixed or not isinstance(other, Proxy) or other._mixed  # noqa: SLF001
        return _taken(self._link.ask(operation, *values), mixed=mixed)


def _taken(found: Any, *, mixed: bool) -> Any:
    """Return what came of reckoning; raise TypeError where plain data came of a mixture."""
    if mixed and isinstance(found, Proxy):
        object.__setattr__(found, "_mixed", True)
    elif mixed and found is not NotImplemented:
        raise TypeError("an object of the program and plain data come to plain data")
    return found


def _forward(operation: str) -> Any:
    def method(self: Proxy, *values: Any) -> Any:
        return self._link.ask(operation, self, *values)

    return method


def _converted(operation: str) -> Any:
    def method(self: Proxy) -> Any:
        return _taken(self._link.ask(operation, self), mixed=self._mixed)

    return method


def _reckoning(operation: str, *, swapped: bool) -> Any:
    def method(self: Proxy, other: object) -> Any:
        return self._reckoned(operation, other, swapped=swapped)

    return method


for _name in ("len", "iter", "next", "reversed", "str", "repr"):
    setattr(Proxy, f"__{_name}__", _forward(_name))
for _name in ("contains", "getitem", "setitem", "delitem", "enter"):
    setattr(Proxy, f"__{_name}__", _forward(_name))
for _name in ("bool", "int", "float", "abs", "neg", "pos", "invert"):
    setattr(Proxy, f"__{_name}__", _converted(_name))
for _name in (
    *("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift"),
    *("and", "or", "xor"),
):
    _known = _name if _name in _OPERATIONS else f"{_name}_"
    setattr(Proxy, f"__{_name}__", _reckoning(_known, swapped=False))
    setattr(Proxy, f"__r{_name}__", _reckoning(_known, swapped=True))


class _Writer:
    """Turns values into a message; each container once, however often it is met."""

    def __init__(self, link: Link, objects: list[Any] | None = None) -> None:
        self.objects = [*(objects or [])]
        self._link = link
        self._places = {id(one): at for at, one in enumerate(self.objects)}

    def node(self, value: Any) -> Any:
        """Return what stands for a value in a message."""
        kind = type(value)
        if kind in _ATOMS or (kind is int and -_SMALL < value < _SMALL):
            return value
        if kind is int:
            return ["int", hex(value)]
        if kind is _TEXT_TYPES.get(kind.__name__):
            return [kind.__name__, _BY_TEXT[kind.__name__][0](value)]
        return ["at", self._place(value)] if self._is_container(value) else self._reference(value)

    def _reference(self, value: Any) -> list[Any]:
        """Return what stands for a value that is not copied."""
        if type(value) is Proxy and value._link is self._link:  # noqa: SLF001
            return ["yours", value._number]  # noqa: SLF001
        if value is NotImplemented or value is Ellipsis:
            return ["name", "builtins", repr(value), 0]
        if name := _importable(value):
            return ["name", *name, self._link.lend(value)]
        if not self._link.lendable(value):
            raise TypeError(f"a {type(value).__name__} cannot be passed to the program")
        about = "coroutine" if isinstance(value, types.CoroutineType) else "mine"
        return [about, self._link.lend(value)]

    def heap(self) -> list[Any]:
        """Return the contents of all containers that were met, by their numbers."""
        heap: list[Any] = []
        while len(heap) < len(self.objects):  # writing one may meet others
            heap.append(self._content(self.objects[len(heap)]))
        return heap

    def _is_container(self, value: Any) -> bool:
        kind = type(value)
        known = (*_SEQUENCES.values(), *_MAPPINGS.values(), bytearray, range, slice, timedelta)
        return kind in known or _is_record(value) or self._shared(value)

    def _shared(self, value: Any) -> bool:
        return type(value).__name__ in self._link.common and hasattr(value, "__dict__")

    def _place(self, value: Any) -> int:
        if id(value) not in self._places:
            self._places[id(value)] = len(self.objects)
            self.objects.append(value)
        return self._places[id(value)]

    def _content(self, value: Any) -> list[Any]:
        kind = type(value).__name__
        if self._shared(value):
            return ["object", kind, [[name, self.node(v)] for name, v in vars(value).items()]]
        if _is_record(value):
            return ["record", kind, [*value._fields], [self.node(one) for one in value]]
        if isinstance(value, dict):
            return [kind, [[self.node(k), self.node(v)] for k, v in value.items()]]
        if isinstance(value, range | slice):
            return [kind, [self.node(v) for v in (value.start, value.stop, value.step)]]
        if isinstance(value, timedelta):
            return [kind, [value.days, value.seconds, value.microseconds]]
        is_bytes = isinstance(value, bytearray)
        return [kind, value.hex() if is_bytes else [self.node(one) for one in value]]


class _Reader:
    """Turns a message into values: plain data, and proxies for the rest.

    `own` are our containers that stand first in it: they get the contents it gives them.
    """

    def __init__(self, link: Link, heap: list[Any], own: list[Any]) -> None:
        self._link, self._heap = link, heap
        self.objects: list[Any] = [*own, *(_UNREAD for _ in heap[len(own) :])]
        for at in range(len(own), len(heap)):
            self.objects[at] = self._shell(heap[at])
        for at in range(len(heap)):
            if self.objects[at] is _UNREAD:
                self._fixed(at)
        for at, entry in enumerate(heap):
            self._fill(self.objects[at], entry)

    def several(self, nodes: Any) -> Any:
        """Return what each of some parts stands for."""
        if isinstance(nodes, dict):
            return {name: self.value(node) for name, node in nodes.items()}
        return [self.value(node) for node in nodes]

    def value(self, node: Any) -> Any:
        """Return what a part of the message stands for."""
        if not isinstance(node, list):
            return node
        kind, what = node[0], node[1]
        if kind in _BY_TEXT:
            return _BY_TEXT[kind][1](what)
        if kind == "at":
            return self.objects[what] if self.objects[what] is not _UNREAD else self._fixed(what)
        if kind == "int":
            return int(what, 16)
        return self._referred(kind, what, *node[2:])

    def _referred(self, kind: str, what: Any, *name: Any) -> Any:
        """Return what a part of the message refers to."""
        if kind == "yours":
            return self._link.lent(what)
        if kind == "name":
            return self._named(what, *name)
        if kind not in ("mine", "coroutine"):
            raise ValueError(kind)
        proxy = Proxy(self._link, what)
        return proxy if kind == "mine" else _awaited(proxy)

    def _named(self, module: str, name: str, number: int) -> Any:
        """Return what both sides have; tests take more than built-in types only while loading."""
        allowed = module == "builtins" and isinstance(getattr(builtins, name), _NAMED[:3])
        package = module.partition(".")[0]
        known = self._link.loading and package in _TAKEN and not name.startswith("_")
        if self._link.guarded and not (allowed or known):
            return Proxy(self._link, number)
        owner = importlib.import_module(module)
        found = getattr(owner, name) if name else owner
        if self._link.guarded and not isinstance(found, _NAMED):
            return Proxy(self._link, number)
        return found

    def _shell(self, entry: list[Any]) -> Any:
        """Return an empty container to be filled, or that it has to be made in one go."""
        kind = entry[0]
        if kind == "object":
            common = self._link.common[entry[1]]
            return object.__new__(common)
        if kind == "bytearray":
            return bytearray()
        made = {**_SEQUENCES, **_MAPPINGS}.get(kind, tuple)
        return _UNREAD if made in (tuple, frozenset) else made()

    def _fixed(self, at: int) -> Any:
        """Make a container that cannot be changed, after those in it."""
        entry = self._heap[at]
        values = [self.value(node) for node in entry[-1]]
        made = {"range": range, "slice": slice, "timedelta": timedelta}.get(entry[0])
        if entry[0] == "record":
            found: Any = namedtuple(entry[1], entry[2])(*values)  # noqa: PYI024 - known only now
        elif made:
            found = made(*values)
        else:
            found = frozenset(values) if entry[0] == "frozenset" else tuple(values)
        self.objects[at] = found
        return found

    def _fill(self, target: Any, entry: list[Any]) -> None:
        """Give a container its contents, in place."""
        kind, parts = entry[0], entry[-1]
        if kind == "object":
            vars(target).clear()
            vars(target).update({str(name): self.value(node) for name, node in parts})
        elif isinstance(target, bytearray):
            target[:] = bytes.fromhex(parts)
        elif isinstance(target, dict):
            items = [(self.value(k), self.value(v)) for k, v in parts]
            target.clear()
            target.update(dict(items))
        elif isinstance(target, list | set | deque):
            values = [self.value(node) for node in parts]
            target.clear()
            getattr(target, "update" if isinstance(target, set) else "extend")(values)


_UNREAD = object()
_NAMED: tuple[type, ...] = (type, type(NotImplemented), type(Ellipsis))
_NAMED += (types.ModuleType, types.FunctionType, types.BuiltinFunctionType)
_TAKEN = sys.stdlib_module_names - {"unittest"}  # whose mocks equal whatever they are told to
_ERRORS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
}


def _kinds(err: BaseException) -> list[str]:
    """Return the names of an error's classes, its own first."""
    return [kind.__name__ for kind in type(err).__mro__]


def _plain_arguments(err: BaseException) -> list[Any]:
    return [one if type(one) in (*_ATOMS, int) else str(one)[:300] for one in err.args]


def _base_value(value: Any) -> Any:
    """Return a value of a type derived from a plain one as that plain one, None for any other."""
    base = next((one for one in _PLAIN_BASES if isinstance(value, one)), None)
    if base is None:
        return None
    if issubclass(base, (bool, int, float, str, bytes)):
        return base(base.__new__(base, value))
    return dict(dict.items(value)) if base is dict else base(base.__iter__(value))


def _is_tests_own(value: Any) -> bool:
    """Return whether a value is a function, a class or an object of a class of the tests."""
    return type(value) is not Proxy and getattr(value, "__module__", None) == "answer"


def _is_record(value: Any) -> bool:
    kind = type(value)
    return kind.__bases__ == (tuple,) and isinstance(getattr(kind, "_fields", None), tuple)


def _importable(value: Any) -> tuple[str, str] | None:
    """Return the module and name by which both sides have a value: a type or function of Python."""
    if isinstance(value, types.ModuleType):
        standard = value.__name__.partition(".")[0] in sys.stdlib_module_names
        return (value.__name__, "") if standard else None
    if not isinstance(value, type | types.BuiltinFunctionType | types.FunctionType):
        return None
    module, name = getattr(value, "__module__", None), value.__name__
    if not isinstance(module, str) or module in ("answer", "__main__", __name__):
        return None
    known = getattr(sys.modules.get(module), name, None)
    return (module, name) if known is value else None


def _awaited(proxy: Proxy) -> Any:
    async def result() -> Any:
        return proxy._link.ask("run", proxy)  # noqa: SLF001

    return result()
