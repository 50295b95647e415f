"""Remote calls from tests to a program in another process; values and errors come back.

Both processes load this file. Plain data is copied; a call's changes to its arguments are copied
back. Other values stay in their process and are used through a Proxy. The tests' process trusts no
message: it builds only plain data, compares values itself, and lets the program call only functions
that the tests passed to it. The module imports nothing else of LlamaBurn, and is one file because
the confined process loads it by its path.
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

_MOST_BYTES = 1 << 26  # size limit of one message
_CHUNK = 1 << 16
_SMALL = 1 << 62
_ATOMS = (type(None), bool, float, str)
_READABLE = (
    "__name__",
    "__qualname__",
    "__doc__",
    "__module__",
)  # attributes of a function passed to the program that it may read
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
    "hold": operator.getitem,
    "kind": lambda value: next((k.__name__ for k in _KINDS if isinstance(value, k)), ""),
    "signature": lambda value: _signature_parts(value),  # noqa: PLW0108 - it is defined below
    "derive": lambda *parts, **named: _derive(*parts, **named),  # noqa: PLW0108
    "super": super,
    "setrecursionlimit": sys.setrecursionlimit,
    "print": lambda stream, text: print(text, end="", file=getattr(sys, stream)),
    "input": lambda prompt: builtins.input(prompt),  # noqa: PLW0108 - a test may replace it
    "read": lambda size: sys.stdin.read(size),  # noqa: PLW0108 - as above
    "readline": lambda size: sys.stdin.readline(size),  # noqa: PLW0108 - as above
    "enter": lambda value: type(value).__enter__(value),
    "exit": lambda value, *error: type(value).__exit__(value, *error),
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


# The operations of the program's streams, and the types of their values.
_STREAMS: dict[str, tuple[type, ...]] = {
    "print": (str, str),
    "input": (str,),
    "read": (int,),
    "readline": (int,),
}
# What the program may do with a value that the tests passed to it.
_ALLOWED = ("call", "bool", "str", "repr", "len", "iter", "next", "eq", "hash", "kind")
# What `isinstance` says of a value that stays in its process.
_KINDS: tuple[type, ...] = (
    *(type, types.FunctionType, types.MethodType, types.GeneratorType),
    *(int, float, str, bytes, tuple, list, dict, set, frozenset),
)
_KIND_NAMED = {kind.__name__: kind for kind in _KINDS}


class GoneError(BaseException):
    """The other process has ended or closed the connection."""


class BrokenError(BaseException):
    """The other process sent an invalid message."""


class Link:
    """One end of the connection between two processes.

    `common` are the classes that both sides have, by name. A `guarded` end passes only plain data
    and callable functions to the other side. `stand_in` is the base of the classes of this side
    that derive from classes of the other side.
    """

    stand_in: type | None = None

    def __init__(self, reading: int, writing: int, *, guarded: bool) -> None:
        """Take the descriptors to read from and to write to."""
        self.common: dict[str, type] = {}
        self.errors: dict[str, type[BaseException]] = {}
        self.loading = False  # True while the tests import the program's names
        self.fault = ""  # why the connection is unusable
        self.guarded = guarded
        self._reading, self._writing = reading, writing
        self._unread = bytearray()
        self._lent: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._functions: dict[int, Any] = {}
        self._called_by: dict[int, Proxy] = {}

    def ask(self, operation: str, /, *values: Any, **named: Any) -> Any:
        """Run an operation on the other side; return its result or raise its error."""
        writer = _Writer(self)
        request: dict[str, Any] = {"do": operation, "with": [writer.node(v) for v in values]}
        request["named"] = {name: writer.node(value) for name, value in named.items()}
        self._write({**request, "heap": writer.heap()})
        reply = self.receive()
        while "do" in reply:
            self._answer(reply)
            reply = self.receive()
        result = self._read(reply, ["is"], writer.objects)[0][0]
        if "raised" in reply:
            raise self._error(reply["raised"], result, str(reply.get("description", "")))
        return result

    def serve(self) -> None:
        """Run the operations that the other side asks for, until it is gone."""
        with suppress(GoneError):
            while True:
                self._answer(self.receive())

    def send(self, **facts: object) -> None:
        """Send a message that needs no answer."""
        self._write(facts)

    def lend(self, value: object) -> int:
        """Return a number by which the other side can use one of our values."""
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._lent)
            self._lent.append(value)
        return self._numbers[id(value)]

    def borrowed(self, number: int) -> Any:
        """Return a proxy for the other side's value with this number."""
        return Proxy(self, number)

    def is_copied(self, value: object) -> bool:
        """Return whether a value that came from the other side is a copy."""
        return type(value) is not Proxy and not isinstance(value, _NAMED)

    def lent(self, number: int) -> Any:
        """Return our value with this number."""
        return self._lent[number]

    def function(self, number: int, name: str, doc: str | None) -> Any:
        """Return a function that calls the other side's function with this number."""
        if number in self._functions:
            return self._functions[number]
        proxy = Proxy(self, number)

        def call(*args: object, **named: object) -> Any:
            return self.ask("call", proxy, *args, **named)

        call.__name__, call.__doc__, call.__module__ = name, doc, "answer"
        self._functions[number] = call
        self._called_by[id(call)] = proxy
        return call

    def called_by(self, value: object) -> Proxy | None:
        """Return what a function of `function` calls; None for any other value."""
        return self._called_by.get(id(value))

    def lendable(self, value: object) -> bool:
        """Return whether the other side may use a value."""
        return not self.guarded or _is_tests_own(value)

    def _answer(self, request: dict[str, Any]) -> None:
        description = ""
        values, named, objects = self._read(request, ["with", "named"], [])
        try:
            operation = str(request.get("do"))
            if self.guarded:
                self._check(operation, values)
            raised, result = None, _OPERATIONS[operation](*values, **named)
        except (GoneError, BrokenError):
            raise
        except BaseException as err:  # noqa: BLE001 - the caller handles it
            raised, result = [kind.__name__ for kind in type(err).__mro__], _plain_arguments(err)
            description = self.describe(err)
        writer = _Writer(self, objects)
        try:
            held = request.get("do") == "hold" and not raised
            node = ["mine", self.lend(result)] if held else writer.node(result)
        except TypeError as err:
            node, raised = writer.node([str(err)]), ["TypeError"]
        self.settle()
        reply = {"is": [node], "heap": writer.heap()}
        self._write(reply | ({"raised": raised, "description": description} if raised else {}))

    def settle(self) -> None:
        """Run before each reply; the program's process flushes its output here."""

    def describe(self, err: BaseException) -> str:
        """Return a description of an error; the program's process adds the line that raised it."""
        return type(err).__name__

    def _check(self, operation: str, values: list[Any]) -> None:
        """Raise an error for an operation that the program may not run in the tests' process."""
        if operation in _STREAMS:
            if tuple(map(type, values)) != _STREAMS[operation]:
                raise TypeError(f"{operation} takes other values")
            if operation == "print" and values[0] not in ("stdout", "stderr"):
                raise ValueError(values[0])
            return
        target = values[0]
        function = isinstance(target, types.FunctionType | types.MethodType)
        if operation in ("getattr", "setattr") and not isinstance(target, type):
            name = values[1]
            public = isinstance(name, str) and not name.startswith("_") and not function
            if not (public or (operation == "getattr" and function and name in _READABLE)):
                raise AttributeError(name)
        elif operation not in _ALLOWED:
            raise TypeError(f"{operation} is not allowed")
        if not _is_tests_own(target):
            raise TypeError("only objects that the tests define can be used")

    def _error(self, kinds: list[str], arguments: object, description: str) -> BaseException:
        """Return an error to raise, of the nearest class that both sides know."""
        known = {**_ERRORS, **self.errors}
        kind = next((known[k] for k in kinds if k in known), Exception)
        err = kind.__new__(kind)
        err.args = tuple(arguments) if isinstance(arguments, list | tuple) else ()
        err.__dict__["remote_message"] = description
        return err

    def _read(self, message: dict[str, Any], fields: list[str], own: list[Any]) -> list[Any]:
        """Return the values of a message's fields, and the objects in it.

        `own` are our containers whose contents the message replaces.
        """
        try:
            reader = _Reader(self, message["heap"], own)
            return [*(reader.several(message[field]) for field in fields), reader.objects]
        except (GoneError, BrokenError):
            raise
        except Exception as err:  # noqa: BLE001 - any defect of the message
            raise self._broken(f"an invalid message: {err}") from None

    def _broken(self, reason: str) -> BaseException:
        self.fault = self.fault or "broken"
        return BrokenError(reason)

    def _write(self, message: dict[str, Any]) -> None:
        text = json.dumps(message).encode()
        left = memoryview(len(text).to_bytes(4, "big") + text)
        try:
            while left:
                left = left[os.write(self._writing, left) :]
        except OSError:
            self._gone()

    def receive(self) -> dict[str, Any]:
        """Return the next message of the other side. Raises GoneError or BrokenError."""
        size = int.from_bytes(self._bytes(4), "big")
        if size > _MOST_BYTES:
            raise self._broken("a message that is too long")
        try:
            message = json.loads(self._bytes(size))
        except (ValueError, RecursionError):
            raise self._broken("a message that is not JSON") from None
        if not isinstance(message, dict):
            raise self._broken("a message that is not an object")
        return message

    def _bytes(self, count: int) -> bytes:
        while len(self._unread) < count:
            chunk = os.read(self._reading, max(_CHUNK, count - len(self._unread)))
            if not chunk:
                self._gone()
            self._unread += chunk
        data = bytes(self._unread[:count])
        del self._unread[:count]
        return data

    def _gone(self) -> None:
        self.fault = self.fault or "gone"
        raise GoneError


class Proxy:
    """A value in the other process.

    `_mixed` is True for the result of a computation with plain data of this process. The other
    process has seen that data, so no plain result is accepted: it could always return 0 for
    `abs(f(x) - 1.5)`.
    """

    __slots__ = ("_link", "_mixed", "_number")

    def __init__(self, link: Link, number: int) -> None:
        object.__setattr__(self, "_link", link)
        object.__setattr__(self, "_number", number)
        object.__setattr__(self, "_mixed", False)

    def __getattr__(self, name: str) -> Any:
        return self._link.ask("getattr", self, name)

    def __setattr__(self, name: str, value: object) -> None:
        self._link.ask("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._link.ask("delattr", self, name)

    def __call__(self, /, *args: object, **named: object) -> Any:
        return self._link.ask("call", self, *args, **named)

    def __instancecheck__(self, value: object) -> bool:
        return self._link.ask("isinstance", self, value) is True

    def __subclasscheck__(self, other: object) -> bool:
        return self._link.ask("issubclass", self, other) is True

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        if self._link.stand_in is None:
            raise TypeError("a class of the program cannot derive from a class of its tests")
        return (self._link.stand_in,)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return _KIND_NAMED.get(self._link.ask("kind", self), Proxy)

    @property
    def __signature__(self) -> Any:
        """The parameters of a function or a class."""
        return _signature(*self._link.ask("signature", self))

    def __hash__(self) -> int:
        value: int = self._link.ask("hash", self)
        return value

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> Any:
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
        """Compare two proxies remotely, but compare with plain data here: the program could lie."""
        if isinstance(other, Proxy):
            return self._link.ask(operation, self, other)
        if type(other).__module__ == "answer":
            return NotImplemented
        plain = self._plain()
        return NotImplemented if plain is None else getattr(operator, operation)(plain, other)

    def _plain(self) -> Any:
        """Return the plain data in a value of a derived type, or None for another type."""
        return None if self._mixed else self._link.ask("plain", self)

    def _computed(self, operation: str, other: object, *, swapped: bool) -> Any:
        """Compute here if both operands are plain data, else remotely."""
        plain = None if isinstance(other, Proxy) else self._plain()
        own = self if plain is None else plain
        values = (other, own) if swapped else (own, other)
        if plain is not None:
            return _OPERATIONS[operation](*values)
        mixed = self._mixed or not isinstance(other, Proxy) or other._mixed  # noqa: SLF001
        return _accepted(self._link.ask(operation, *values), mixed=mixed)


def _accepted(result: object, *, mixed: bool) -> Any:
    """Return the result of a remote computation; raise TypeError if a mixed one is plain data."""
    if mixed and isinstance(result, Proxy):
        object.__setattr__(result, "_mixed", True)
    elif mixed and result is not NotImplemented:
        raise TypeError("an object of the program combined with plain data returned plain data")
    return result


def _forward(operation: str) -> Any:
    def method(self: Proxy, *values: object) -> Any:
        return self._link.ask(operation, self, *values)

    return method


def _converted(operation: str) -> Any:
    def method(self: Proxy) -> Any:
        return _accepted(self._link.ask(operation, self), mixed=self._mixed)

    return method


def _binary(operation: str, *, swapped: bool) -> Any:
    def method(self: Proxy, other: object) -> Any:
        return self._computed(operation, other, swapped=swapped)

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
    setattr(Proxy, f"__{_name}__", _binary(_known, swapped=False))
    setattr(Proxy, f"__r{_name}__", _binary(_known, swapped=True))


Proxy.__doc__ = property(lambda self: self._link.ask("getattr", self, "__doc__"))  # type: ignore[assignment]


class _Writer:
    """Turns values into a message; writes each container once, even if it occurs several times."""

    def __init__(self, link: Link, objects: list[Any] | None = None) -> None:
        self.objects = [*(objects or [])]
        self._link = link
        self._places = {id(value): at for at, value in enumerate(self.objects)}

    def node(self, value: Any) -> Any:
        """Return the form of a value in a message."""
        kind = type(value)
        if kind in _ATOMS or (kind is int and -_SMALL < value < _SMALL):
            return value
        if kind is int:
            return ["int", hex(value)]
        if kind is _TEXT_TYPES.get(kind.__name__):
            return [kind.__name__, _BY_TEXT[kind.__name__][0](value)]
        return ["at", self._place(value)] if self._is_container(value) else self._reference(value)

    def _reference(self, value: object) -> list[Any]:
        """Return the reference to a value that is not copied."""
        if type(value) is Proxy and value._link is self._link:  # noqa: SLF001
            return ["yours", value._number]  # noqa: SLF001
        if (called := self._link.called_by(value)) is not None:
            return self._reference(called)
        if value is NotImplemented or value is Ellipsis:
            return ["name", "builtins", repr(value), 0]
        if name := _importable(value):
            return ["name", *name, self._link.lend(value)]
        if not self._link.lendable(value):
            raise TypeError(f"a {type(value).__name__} cannot be passed to the program")
        if self._link.guarded and isinstance(value, types.FunctionType):
            return ["function", self._link.lend(value), value.__name__, value.__doc__]
        kind = "coroutine" if isinstance(value, types.CoroutineType) else "mine"
        return [kind, self._link.lend(value)]

    def heap(self) -> list[Any]:
        """Return the contents of all containers, by their numbers."""
        heap: list[Any] = []
        while len(heap) < len(self.objects):  # a container may add others
            heap.append(self._content(self.objects[len(heap)]))
        return heap

    def _is_container(self, value: object) -> bool:
        kind = type(value)
        known = (*_SEQUENCES.values(), *_MAPPINGS.values(), bytearray, range, slice, timedelta)
        return kind in known or _is_record(value) or self._shared(value)

    def _shared(self, value: object) -> bool:
        return type(value).__name__ in self._link.common and hasattr(value, "__dict__")

    def _place(self, value: object) -> int:
        if id(value) not in self._places:
            self._places[id(value)] = len(self.objects)
            self.objects.append(value)
        return self._places[id(value)]

    def _content(self, value: Any) -> list[Any]:
        kind = type(value).__name__
        if self._shared(value):
            return ["object", kind, [[name, self.node(v)] for name, v in vars(value).items()]]
        if _is_record(value):
            return ["record", kind, [*value._fields], [self.node(item) for item in value]]
        if isinstance(value, dict):
            return [kind, [[self.node(k), self.node(v)] for k, v in value.items()]]
        if isinstance(value, range | slice):
            return [kind, [self.node(v) for v in (value.start, value.stop, value.step)]]
        if isinstance(value, timedelta):
            return [kind, [value.days, value.seconds, value.microseconds]]
        is_bytes = isinstance(value, bytearray)
        return [kind, value.hex() if is_bytes else [self.node(item) for item in value]]


class _Reader:
    """Turns a message into values: plain data, and proxies for the rest.

    `own` are our containers, the first objects of the message: they receive its contents.
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
        """Return the values of several parts of the message."""
        if isinstance(nodes, dict):
            return {name: self.value(node) for name, node in nodes.items()}
        return [self.value(node) for node in nodes]

    def value(self, node: object) -> Any:
        """Return the value of a part of the message."""
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
        """Return the value that a part of the message refers to."""
        if kind == "yours":
            return self._link.lent(what)
        if kind == "name":
            return self._named(what, *name)
        if kind == "function" and not self._link.guarded:
            return self._link.function(what, *name)
        if kind not in ("mine", "coroutine"):
            raise ValueError(kind)
        proxy = Proxy(self._link, what)
        return proxy if kind == "mine" else _awaited(proxy)

    def _named(self, module: str, name: str, number: int) -> Any:
        """Return an importable value; tests accept only built-in types, except while loading."""
        allowed = module == "builtins" and isinstance(getattr(builtins, name), _NAMED[:3])
        package = module.partition(".")[0]
        known = self._link.loading and package in _TAKEN and not name.startswith("_")
        if self._link.guarded and not (allowed or known):
            return Proxy(self._link, number)
        owner = importlib.import_module(module)
        value = getattr(owner, name) if name else owner
        if self._link.guarded and not isinstance(value, _NAMED):
            return Proxy(self._link, number)
        return value

    def _shell(self, entry: list[Any]) -> Any:
        """Return an empty container to fill later, or _UNREAD for an immutable container."""
        kind = entry[0]
        if kind == "object":
            common = self._link.common[entry[1]]
            return object.__new__(common)
        if kind == "bytearray":
            return bytearray()
        made = {**_SEQUENCES, **_MAPPINGS}.get(kind, tuple)
        return _UNREAD if made in (tuple, frozenset) else made()

    def _fixed(self, at: int) -> Any:
        """Make an immutable container, after the containers in it."""
        entry = self._heap[at]
        values = [self.value(node) for node in entry[-1]]
        made = {"range": range, "slice": slice, "timedelta": timedelta}.get(entry[0])
        if entry[0] == "record":
            container: Any = namedtuple(entry[1], entry[2])(*values)  # noqa: PYI024 - known only now
        elif made:
            container = made(*values)
        else:
            container = frozenset(values) if entry[0] == "frozenset" else tuple(values)
        self.objects[at] = container
        return container

    def _fill(self, target: object, entry: list[Any]) -> None:
        """Replace a container's contents in place."""
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
_TAKEN = sys.stdlib_module_names - {"unittest"}  # its mocks can compare equal to anything
_ERRORS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
}


def _plain_arguments(err: BaseException) -> list[Any]:
    return [arg if type(arg) in (*_ATOMS, int) else str(arg)[:300] for arg in err.args]


def _base_value(value: Any) -> Any:
    """Return a value of a type derived from a plain type as that plain type, else None."""
    base = next((base for base in _PLAIN_BASES if isinstance(value, base)), None)
    if base is None:
        return None
    if issubclass(base, (bool, int, float, str, bytes)):
        return base(base.__new__(base, value))
    return dict(dict.items(value)) if base is dict else base(base.__iter__(value))


def _is_tests_own(value: object) -> bool:
    """Return whether a value is a function, a class or an instance that the tests define."""
    return type(value) is not Proxy and getattr(value, "__module__", None) == "answer"


def _is_record(value: object) -> bool:
    kind = type(value)
    return kind.__bases__ == (tuple,) and isinstance(getattr(kind, "_fields", None), tuple)


def _importable(value: object) -> tuple[str, str] | None:
    """Return (module, name) of a type or function that both sides can import, else None."""
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


def _derive(name: str, bases: list[Any], members: dict[str, list[Any]], **named: object) -> type:
    """Return a new class whose members are given as their kinds and parts."""
    made = {"property": property, "staticmethod": staticmethod, "classmethod": classmethod}
    space = {
        key: made[kind](*parts) if kind else parts[0] for key, (kind, *parts) in members.items()
    }
    space["__module__"] = "answer"
    return types.new_class(name, tuple(bases), named, lambda body: body.update(space))


def _signature_parts(value: object) -> list[Any]:
    """Return the parameters of a function as plain data, and what it returns."""
    inspect = importlib.import_module("inspect")  # here, because it is rarely needed and slow
    found = inspect.signature(value)

    def given(part: object) -> list[Any]:
        return [] if part is inspect.Signature.empty else [part]

    parameters = [
        [one.name, int(one.kind), given(one.default), given(one.annotation)]
        for one in found.parameters.values()
    ]
    return [parameters, given(found.return_annotation)]


def _signature(parameters: list[Any], returns: list[Any]) -> Any:
    """Return the signature of these parts."""
    inspect = importlib.import_module("inspect")
    kinds = {int(kind): kind for kind in type(inspect.Parameter.VAR_KEYWORD)}
    empty = inspect.Signature.empty
    made = [
        inspect.Parameter(
            name, kinds[kind], default=[*default, empty][0], annotation=[*annotation, empty][0]
        )
        for name, kind, default, annotation in parameters
    ]
    return inspect.Signature(made, return_annotation=[*returns, empty][0])
