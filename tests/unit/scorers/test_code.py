"""Tests decide whether a program passes, not the program; honest ones see no difference."""
# ruff: noqa: E501 - programs and their tests, a case a line

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.containment import contained
from support.questions import Asked

from pytest_llamaburn.sandbox import _remote
from pytest_llamaburn.scorers import code


def code_score(program: str, tests: str, **options: Any) -> Any:
    return code.score(
        f"```python\n{program}\n```", Asked(options={"tests": tests, "timeout_s": 10, **options})
    )


WRONG = "\ndef add(a, b): return 9\n"
TESTS = "assert add(1, 2) == 3\nassert add(-1, 1) == 0"
FORGED = rb'{"state": "finished", "message": "", "runtime_ms": 1.0}'
AS_MESSAGE = "len(text).to_bytes(4, 'big') + text"

TRICKS = {
    "the state is patched": "import __main__\n__main__._state = lambda e: 'finished'",
    "the runner is patched": (
        "import __main__\n__main__._run = __main__._serve = lambda *a: {'state': 'finished'}"
    ),
    "the report is patched": (
        "import __main__, os\n"
        f"__main__._report = lambda d, **f: [os.write(n, {FORGED!r}) for n in range(3, 1024)]"
    ),
    "every descriptor gets a report": (
        "import os\nfor d in range(3, 1024):\n"
        f"  try: os.write(d, {FORGED!r} + b'\\n')\n  except OSError: pass"
    ),
    "every descriptor gets a report in the shape of a message": (
        f"import os\ntext = {FORGED!r}\nfor d in range(3, 1024):\n"
        f"  try: os.write(d, {AS_MESSAGE})\n  except OSError: pass"
    ),
    "it exits with success": "import os\nos._exit(0)",
    "it exits with success when called": "import os\ndef add(a, b): os._exit(0)",
    "it exits in its destructor": (
        "import os\nclass E:\n  def __del__(self): os._exit(0)\ndef add(a, b): E(); return 9"
    ),
    "it leaves at exit": "import atexit, os\natexit.register(os._exit, 0)\nraise SystemExit(0)",
    "json says finished": (
        "import json\nold = json.dumps\n"
        "json.dumps = lambda facts, **k: old({**facts, 'state': 'finished', 'is': 3})"
    ),
    "os.write says finished": (
        f"import os\nold = os.write\nos.write = lambda d, text: old(d, {FORGED!r})"
    ),
    "the error hook says finished": "import sys\nsys.excepthook = lambda *a: None",
    "errors are no errors": "import builtins\nbuiltins.AssertionError = type('A', (), {})",
    "a trace jumps over the tests": (
        "import sys\n"
        "def jump(frame, event, arg):\n  frame.f_trace_lines = False\n  return None\n"
        "sys.settrace(jump)"
    ),
    "the frames are searched for the tests": (
        "import sys\ndef add(a, b):\n  frame = sys._getframe()\n"
        "  while frame:\n    for c in frame.f_code.co_consts:\n"
        "      if c in (3, 0): return c\n    frame = frame.f_back\n  return 9"
    ),
    "the garbage is searched for the tests": (
        "import gc\ndef add(a, b):\n  for o in gc.get_objects():\n"
        "    if isinstance(o, str) and 'assert add' in o: return 3\n  return 9"
    ),
    "the source is searched for the tests": (
        "import linecache\ndef add(a, b):\n  lines = ''.join(map(str, linecache.cache.values()))\n"
        "  return 3 if 'assert add(1, 2) == 3' in lines and (a, b) == (1, 2) else 9"
    ),
    "the answer equals everything": (
        "class All:\n  def __eq__(self, other): return True\n  def __hash__(self): return 0\n"
        "def add(a, b): return All()"
    ),
    "the answer is an integer that equals everything": (
        "class All(int):\n  def __eq__(self, other): return True\ndef add(a, b): return All(9)"
    ),
    "the comparison is bribed": "import operator\noperator.eq = lambda a, b: True",
    "the built-in type is shadowed": "int = lambda x: 3\n__builtins__ = {}",
    "a message of another kind": (
        "import _remote\n_remote._Writer.node = lambda self, value: ['name', 'os', '_exit', 0]"
    ),
    "a message of no known kind": (
        "import _remote\n_remote._Writer.node = lambda self, value: ['?', [[[]]]]"
    ),
    "a message without an end": (
        "import os\ndef add(a, b):\n  for d in range(3, 1024):\n"
        "    try: os.write(d, b'\\xff' * 9)\n    except OSError: pass\n  return 9"
    ),
    "the line is closed": "import os\ndef add(a, b): os.closerange(3, 1024); return 9",
    "a call back into the tests": (
        "import _remote\ndef add(a, b):\n  for link in [o for o in __import__('gc').get_objects() "
        "if type(o) is _remote.Link]:\n"
        "    for n in range(9):\n"
        "      try: link.ask('getattr', _remote.Proxy(link, n), '__globals__')\n"
        "      except Exception: pass\n  return 9"
    ),
    "a signal handler answers": (
        "import signal, os\nsignal.signal(signal.SIGALRM, lambda *a: os._exit(0))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)"
    ),
    "a thread answers": (
        "import threading, os\n"
        "try: threading.Thread(target=os._exit, args=(0,)).start()\nexcept RuntimeError: pass"
    ),
}


@contained
@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_makes_a_wrong_program_pass(trick: str) -> None:
    program = TRICKS[trick]
    found = code_score(program if "def add" in program else f"{program}{WRONG}", TESTS)
    assert found.correct is False
    assert found.details["happened"] != "finished"


@contained
@pytest.mark.parametrize(
    ("trick", "tests"),
    [
        (
            (
                "class Small:\n  def __sub__(self, o): return self\n  def __abs__(self): return self\n"
                "  def __lt__(self, o): return True\ndef half(x): return Small()"
            ),
            "assert abs(half(3) - 1.5) < 1e-6",
        ),
        (
            "class Small:\n  def __sub__(self, o): return 0.0\ndef half(x): return Small()",
            "assert abs(half(3) - 1.5) < 1e-6",
        ),
        (
            "class Small:\n  def __rsub__(self, o): return self\n  def __abs__(self): return 0.0\ndef half(x): return Small()",
            "assert abs(1.5 - half(3)) < 1e-6",
        ),
        (
            "class Small:\n  def __sub__(self, o): return self\n  def __bool__(self): return False\ndef half(x): return Small()",
            "assert not half(3) - 1.5",
        ),
        (
            "class Small(float):\n  def __sub__(self, o): return 0.0\ndef half(x): return Small(9)",
            "assert abs(half(3) - 1.5) < 1e-6",
        ),
        (
            "from unittest.mock import ANY\nHALF = ANY\ndef half(x): return ANY",
            "assert half(3) == 1.5",
        ),
        ("from unittest.mock import ANY\nHALF = ANY", "assert HALF == 1.5"),
        (
            "class ValueError(Exception): pass\ndef half(x): raise ValueError",
            "try: half(3)\nexcept ValueError: pass\nelse: raise AssertionError",
        ),
        ("def abs(x): return 0\ndef half(x): return 9", "assert abs(half(3) - 1.5) < 1e-6"),
        ("def all(x): return True\ndef half(x): return 9", "assert all([half(3) == 1.5])"),
        (
            "import math\nmath.isclose = lambda *a: True\ndef half(x): return 9",
            "assert math.isclose(half(3), 1.5)",
        ),
        ("from math import isclose\ndef half(x): return 9", "assert isclose(half(3), 1.5)"),
        ("def half(x): raise BaseException", "try: half(3)\nexcept: pass\nassert half(3) == 1.5"),
        ("import os\ndef half(x): os._exit(0)", "try: half(3)\nexcept BaseException: pass"),
        (
            "def half(x, seen=[]): seen.append(x); x.__class__.fake = 1; return 1.5",
            "class T:\n  pass\nassert half(T()) == 1.5\nassert not hasattr(T, 'fake')\nassert 0",
        ),
        (
            (
                "def half(f):\n  try: f.__globals__['half'] = lambda x: 1.5\n  except Exception: pass\n"
                "  return 9"
            ),
            "def f(): pass\nhalf(f)\nassert half(3) == 1.5",
        ),
    ],
)
def test_no_part_of_the_tests_is_at_the_programs_mercy(trick: str, tests: str) -> None:
    assert code_score(trick, tests).correct is False


NODE = "class Node:\n  def __init__(self, val, next=None):\n    self.val, self.next = val, next\n"

HONEST = {
    "values of every plain type": (
        "def same(x): return x",
        (
            "import decimal, fractions, datetime, collections, math\n"
            "for x in (None, True, 1, -1, 10**400, 1.5, 'a\\ud800', b'ab', 1j, (1, (2,)), [1, [2]],\n"
            "  {1: 'a', (1, 2): [3]}, {1, 2}, frozenset('ab'), range(1, 9, 2), bytearray(b'x'),\n"
            "  decimal.Decimal('1.50'), fractions.Fraction(1, 3), datetime.date(2020, 1, 2),\n"
            "  datetime.datetime(2020, 1, 2, 3), datetime.timedelta(days=1), slice(1, 2),\n"
            "  collections.deque([1]), collections.Counter('aab'), collections.OrderedDict(a=1)):\n"
            "  assert same(x) == x and type(same(x)) is type(x), x\n"
            "assert math.isnan(same(float('nan'))) and same(float('-inf')) == -math.inf\n"
            "assert str(same(-0.0)) == '-0.0' and same(...) is ... and same(int) is int"
        ),
    ),
    "an argument is changed in place": (
        "def sort(xs, seen):\n  xs.sort()\n  seen['n'] = [len(xs)]\n  return xs",
        (
            "xs, seen = [3, 1], {}\nassert sort(xs, seen) is xs\nassert xs == [1, 3]\n"
            "assert seen == {'n': [2]}"
        ),
    ),
    "containers within themselves": (
        "def loop(xs):\n  xs.append(xs)\n  return (xs,)",
        "xs = []\nfound = loop(xs)\nassert found[0] is xs and xs[0] is xs",
    ),
    "HumanEval's check": (
        "def f(xs): return sum(xs)",
        "def check(candidate):\n  assert candidate([1, 2]) == 3\ncheck(f)",
    ),
    "a class and its objects": (
        (
            "class Stack:\n  size = 0\n  def __init__(self): self.xs = []\n"
            "  def push(self, x): self.xs.append(x); return self\n"
            "  def __len__(self): return len(self.xs)\n  def __contains__(self, x): return x in self.xs\n"
            "  def __iter__(self): return iter(self.xs)\n  def __getitem__(self, n): return self.xs[n]\n"
            "  def __repr__(self): return f'Stack({self.xs})'\n"
            "  @classmethod\n  def of(cls, *xs):\n    s = cls()\n    for x in xs: s.push(x)\n    return s\n"
        ),
        (
            "s = Stack()\nassert isinstance(s, Stack) and not isinstance(3, Stack)\nassert not s\n"
            "s.push(1).push(2)\nassert len(s) == 2 and 2 in s and 3 not in s and list(s) == [1, 2]\n"
            "assert s[0] == 1 and s.xs == [1, 2] and repr(s) == 'Stack([1, 2])' and str(s) == repr(s)\n"
            "assert Stack.of(5).xs == [5] and Stack.size == 0 and Stack.__name__ == 'Stack'\n"
            "s.xs = [7]\nassert s.xs == [7] and sorted(Stack.of(2, 1)) == [1, 2]\n"
            "try: s[9]\nexcept IndexError: pass\nelse: raise AssertionError\n"
            "try: s.nothing\nexcept AttributeError: pass\nelse: raise AssertionError"
        ),
    ),
    "operators of its own": (
        (
            "class V:\n  def __init__(self, x): self.x = x\n  def __add__(self, o): return V(self.x + o.x)\n"
            "  def __mul__(self, n): return V(self.x * n)\n  __rmul__ = __mul__\n"
            "  def __eq__(self, o): return self.x == o.x\n  def __lt__(self, o): return self.x < o.x\n"
            "  def __hash__(self): return hash(self.x)\n  def __neg__(self): return V(-self.x)\n"
        ),
        (
            "assert V(1) + V(2) == V(3) and 2 * V(2) == V(4) == V(2) * 2 and V(1) != V(2)\n"
            "assert V(1) < V(2) and max(V(1), V(5)).x == 5 and len({V(1), V(1)}) == 1 and -V(1) == V(-1)"
        ),
    ),
    "errors of Python and of its own": (
        (
            "class Mine(ValueError):\n  pass\nclass Deeper(Mine):\n  pass\n"
            "def fail(kind):\n  if kind == 'mine': raise Deeper('no', 3)\n  return {}['k']"
        ),
        (
            "try: fail('mine')\nexcept Mine as err: assert err.args == ('no', 3)\n"
            "else: raise AssertionError\n"
            "try: fail('x')\nexcept KeyError as err: assert str(err) == \"'k'\"\n"
            "else: raise AssertionError\nassert issubclass(Deeper, ValueError)"
        ),
    ),
    "generators and iterators": (
        "def count(n):\n  for x in range(n): yield x\n",
        (
            "assert list(count(3)) == [0, 1, 2]\nit = count(1)\nassert next(it) == 0\n"
            "assert next(it, 'end') == 'end' and sum(x for x in count(4)) == 6"
        ),
    ),
    "functions that take functions": (
        (
            "def apply(f, xs): return [f(x) for x in xs]\n"
            "def memo(f):\n  import functools\n  seen = {}\n  @functools.wraps(f)\n"
            "  def g(n):\n    if n not in seen: seen[n] = f(n)\n    return seen[n]\n  return g\n"
        ),
        (
            "assert apply(lambda x: x + 1, [1, 2]) == [2, 3] and apply(str, [1]) == ['1']\n"
            "import operator\nassert apply(operator.neg, [1]) == [-1]\n"
            "calls = []\n@memo\ndef f(n):\n  calls.append(n)\n  return n * 2\n"
            "assert f(2) == f(2) == 4 and calls == [2] and f.__name__ == 'f'\n"
            "def bad(x): raise ZeroDivisionError\n"
            "try: apply(bad, [1])\nexcept ZeroDivisionError: pass\nelse: raise AssertionError"
        ),
    ),
    "objects of the tests' own classes": (
        (
            "def total(node):\n  n = 0\n  while node: n += node.val; node = node.next\n  return n\n"
            "def mark(node): node.val = 7"
        ),
        f"{NODE}head = Node(1, Node(2))\nassert total(head) == 3\nmark(head)\nassert head.val == 7",
    ),
    "numbers of its own kind": (
        (
            "class Half(float):\n  pass\nclass Money:\n  def __init__(self, n): self.n = n\n"
            "  def __add__(self, o): return Money(self.n + getattr(o, 'n', o))\n  __radd__ = __add__\n"
            "  def __eq__(self, o): return self.n == o.n\n  def __abs__(self): return abs(self.n)\n"
            "def half(x): return Half(x / 2)"
        ),
        (
            "assert abs(half(3) - 1.5) < 1e-6 and half(3) + half(3) == 3 and 1 + half(2) == 2\n"
            "assert Money(1) + 2 == Money(3) == 2 + Money(1) and abs(Money(-1)) == 1\n"
            "assert (Money(1) + 2).n == 3"
        ),
    ),
    "closures and curried functions": (
        "def adder(n): return lambda x: x + n",
        "assert adder(1)(2) == 3 and callable(adder(1))",
    ),
    "named tuples, enums, data classes": (
        (
            "from collections import namedtuple\nfrom enum import Enum\nfrom dataclasses import dataclass\n"
            "P = namedtuple('P', 'x y')\nclass C(Enum):\n  RED = 1\n@dataclass\nclass D:\n  a: int\n"
            "def make(): return P(1, 2)"
        ),
        (
            "assert make() == (1, 2) and make().x == 1 and P(3, 4).y == 4\n"
            "assert C.RED.value == 1 and C(1) == C.RED and D(1) == D(1) and D(2).a == 2"
        ),
    ),
    "a list of its own kind": (
        "class L(list):\n  def first(self): return self[0]\n",
        "x = L([1, 2])\nassert x == [1, 2] and x.first() == 1 and len(x) == 2 and x < [3]",
    ),
    "context managers and coroutines": (
        (
            "import asyncio\nclass M:\n  def __enter__(self): return 5\n  def __exit__(self, *a): return True\n"
            "async def later(x):\n  await asyncio.sleep(0)\n  return x\n"
        ),
        (
            "import asyncio\nwith M() as m:\n  assert m == 5\n  raise ValueError\n"
            "assert asyncio.run(later(3)) == 3"
        ),
    ),
    "keyword arguments and defaults": (
        "def f(a, *, b=2): return a * b",
        (
            "assert f(3) == 6 and f(a=3, b=1) == 3\n"
            "try: f(1, 2)\nexcept TypeError: pass\nelse: raise AssertionError"
        ),
    ),
    "its state lives on": (
        "n = 0\ndef up():\n  global n\n  n += 1\n  return n\n",
        "assert up() == 1 and up() == 2",
    ),
    "a name of a built-in function": ("def sum(xs): return 42", "assert sum([1]) == 42"),
    "a random seed of its own": (
        "import random\ndef roll(): return random.Random(1).randint(1, 6)",
        "assert roll() == roll()",
    ),
}


@contained
@pytest.mark.parametrize("case", HONEST)
def test_tests_in_another_process_see_no_difference(case: str) -> None:
    program, tests = HONEST[case]
    found = code_score(program, tests)
    assert (found.correct, found.reason) == (True, "")


@contained
def test_classes_of_the_preamble_are_the_same_on_both_sides() -> None:
    program = (
        "def back(node):\n  last = None\n  while node:\n    node.next, last, node = last, node, node.next\n"
        "  return last"
    )
    tests = "head = back(Node(1, Node(2)))\nassert (head.val, head.next.val, head.next.next) == (2, 1, None)"
    for own in ("", NODE):
        assert code_score(f"{own}{program}", tests, preamble=NODE)[:3] == (True, "scored", "")


@contained
@pytest.mark.parametrize(("stub", "entry_point"), [("def half(x): pass\n", "half"), ("", None)])
def test_helpers_of_the_preamble_are_the_tests_own(stub: str, entry_point: str | None) -> None:
    options = {"preamble": f"def near(a, b): return abs(a - b) < 1e-6\n\n{stub}"}
    right, wrong = "def half(x): return x / 2\n", "def half(x): return 9\n"
    tests, cheat = "assert near(half(3), 1.5)", "def near(a, b): return True\n"
    for program, correct in ((wrong + cheat, False), (right, True), (right + cheat, True)):
        found = code_score(program, tests, entry_point=entry_point, **options)
        assert found.correct is correct


@contained
def test_what_a_program_prints_while_it_is_tested_is_kept() -> None:
    found = code_score("print('loaded')\ndef f(): print('called')", "f()\nassert 0")
    assert found.details["output"].split() == ["loaded", "called"]
    assert found.details["happened"] == "assertion"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
KINDS = st.sampled_from(
    ["at", "int", "yours", "mine", "name", "bytes", "object", "record", "list", "dict", "range"]
)
NODE_OF = st.tuples(KINDS, JSON, JSON).map(list) | JSON


@given(nodes=st.lists(NODE_OF, max_size=3), heap=st.lists(NODE_OF, max_size=3) | JSON)
def test_any_message_is_plain_data_a_proxy_or_refused(nodes: list[Any], heap: Any) -> None:
    link = _remote.Link(-1, -1, guarded=True)
    try:
        found, _ = link._read({"is": nodes, "heap": heap}, ["is"], [])
    except _remote.BrokenError:
        assert link.fault == "broken"
    else:
        assert len(found) == len(nodes)


@pytest.mark.parametrize(
    ("operation", "attribute"),
    [
        ("getattr", "__globals__"),
        ("getattr", "__class__"),
        ("setattr", "__code__"),
        ("delattr", "public"),
        ("run", "public"),
        ("getitem", "public"),
    ],
)
def test_program_gets_nothing_of_the_tests_but_what_they_passed(
    operation: str, attribute: str
) -> None:
    link = _remote.Link(-1, -1, guarded=True)

    def passed() -> None: ...

    passed.__module__ = "answer"
    assert link.lendable(passed)
    for value in (sys, exec, object(), sys._getframe(), code_score):
        assert not link.lendable(value)
    with pytest.raises((AttributeError, TypeError)):
        link._check(operation, [passed, attribute])
    with pytest.raises(TypeError, match="only objects that the tests define"):
        link._check("call", [exec])
    link._check("call", [passed])
    link._check("getattr", [passed, "__name__"])
