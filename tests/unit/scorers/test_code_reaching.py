"""Tests that read, replace and extend parts of a program work from another process, and hold."""
# ruff: noqa: E501 - programs and their tests, a case a line

from __future__ import annotations

from typing import Any

import pytest
from support.containment import contained
from support.questions import Asked

from pytest_llamaburn.sandbox import _remote
from pytest_llamaburn.scorers import code

WRONG = "class Shape:\n  def area(self): return 9\ndef main(): print(9)\ndef add(a, b): return 9\n"
# Each of its three tests fails with WRONG.
REACHING = (
    "import contextlib, io\n"
    "from unittest.mock import patch\n"
    "class Square(Shape):\n  def side(self): return 3\n"
    "Shape.side = lambda self: 4\n"
    "failed = 0\n"
    "def test(f):\n"
    "  global failed\n"
    "  try: f()\n"
    "  except AssertionError: failed += 1\n"
    "def derived(): assert Square().area() == 9 * Square().side()\n"
    "def printed():\n"
    "  with contextlib.redirect_stdout(io.StringIO()) as out: main()\n"
    "  assert out.getvalue() == '3\\n'\n"
    "def given():\n"
    "  with patch('builtins.input', return_value='3'): assert add(1, 2) == 3\n"
    "for f in (derived, printed, given): test(f)\n"
    "assert not failed\n"
)
SHARED = "import _remote, gc\nlink = next(o for o in gc.get_objects() if type(o) is _remote.Link)\n"

FORGERIES = {
    "the state is patched": "import __main__\n__main__._state = lambda e: 'finished'",
    "the runner is patched": "import __main__\n__main__._run = lambda *a: {'state': 'finished'}",
    "it exits with success": "import os\ndef main(): os._exit(0)",
    "it leaves at exit": "import atexit, os\natexit.register(os._exit, 0)",
    "builtins are patched": (
        "import builtins\nbuiltins.AssertionError = type('A', (Exception,), {})\n"
        "builtins.print = builtins.exec = builtins.compile = lambda *a, **k: None"
    ),
    "helpers of assertions are patched": (
        "import unittest.mock, contextlib, io\nio.StringIO.getvalue = None\n"
        "contextlib.redirect_stdout = unittest.mock.patch = unittest.mock.MagicMock()"
    ).replace("io.StringIO.getvalue = None\n", ""),
    "the verdict is written to every descriptor": (
        "import os\nfor d in range(3, 64):\n"
        '  try: os.write(d, b\'{"state": "finished", "message": "", "runtime_ms": 1.0}\\n\')\n'
        "  except OSError: pass"
    ),
    "the verdict is printed": (
        'def main(): print(\'{"state": "finished", "message": "", "runtime_ms": 1.0}\')'
    ),
    "the frames are searched": (
        "import sys\ndef main():\n  frame = sys._getframe()\n  while frame:\n"
        "    frame.f_globals['failed'] = 0\n    frame = frame.f_back"
    ),
    "the streams are replaced": "import sys\nsys.stdout = sys.stderr = sys.stdin = None",
    "the streams equal everything": (
        "class All(str):\n  def __eq__(self, o): return True\ndef main(): print(All('x'))"
    ),
    "a signal handler answers": (
        "import signal, os\nsignal.signal(signal.SIGALRM, lambda *a: os._exit(0))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)"
    ),
    "a child answers later": (
        "import os, time\ntry:\n  if os.fork() == 0:\n    time.sleep(0.1)\n    os._exit(0)\n"
        "except OSError: pass"
    ),
    "the garbage is searched for a secret": (
        "import gc\ndef add(a, b):\n"
        "  return next((3 for o in gc.get_objects() if isinstance(o, dict) and 'failed' in o), 9)"
    ),
    "the parent class rewrites its children": (
        "class Shape:\n  def area(self): return 9\n  def __init_subclass__(cls):\n"
        "    for name in list(vars(cls)): setattr(cls, name, lambda *a: 1)"
    ),
    "it asks the tests' streams for more": (
        f"{SHARED}def main():\n"
        "  for ask in (('print', 'modules', 'x'), ('print', 'stdout', ['x']), ('input', 1, 2),\n"
        "      ('read', '__class__'), ('hold', 0, 'failed'), ('derive', 'X', [], {}), ('super', 0, 1)):\n"
        "    try: link.ask(*ask)\n    except Exception: pass"
    ),
    "functions of the tests are opened": (
        f"{SHARED}class Shape:\n  def area(self):\n    f = type(self).side\n"
        "    for name in ('__globals__', '__code__', '__closure__'):\n"
        "      try: link.ask('getattr', link.called_by(f), name)['failed'] = 0\n      except Exception: pass\n"
        "    return 9"
    ),
}


def scored(program: str, tests: str) -> Any:
    asked = Asked(options={"tests": tests, "timeout_s": 10})
    assert not [*code.faults(asked)]
    return code.score(f"```python\n{program}\n```", asked)


@contained
@pytest.mark.parametrize("forgery", FORGERIES)
def test_no_forgery_passes_tests_that_reach_into_the_program(forgery: str) -> None:
    found = scored(f"{WRONG}{FORGERIES[forgery]}", REACHING)
    assert found.correct is False
    assert found.details["happened"] != "finished"


SHAPE = (
    "from abc import ABC, abstractmethod\nclass Shape(ABC):\n"
    "  def __init__(self, name): self.name = name\n  @abstractmethod\n  def area(self): ...\n"
    "  def describe(self): return f'{self.name} {self.area()}'\n"
)
COUNTER = (
    "counter, LOG, CONF = 0, [], {'by': 1}\ndef up():\n  global counter\n"
    "  counter += CONF['by']\n  LOG.append(counter)\n  return counter\n"
)
SUM = (
    "import sys\nread = sys.stdin.readline\ndef main():\n  n = int(read())\n"
    "  print(sum(map(int, sys.stdin.read().split())) * n)\n"
    "def lines(): return [line.strip() for line in sys.stdin.buffer]\n"
    "def numbers(): return [int(line) for line in sys.stdin], sys.stdin.buffer.read(1)\n"
)

HONEST = {
    "a class derives from a class of the program": (
        SHAPE,
        (
            "class Square(Shape):\n  kind = 'square'\n"
            "  def __init__(self, n):\n    super().__init__('sq')\n    self.n = n\n"
            "  def area(self): return self.n ** 2\n"
            "  @property\n  def twice(self): return 2 * self.n\n"
            "  @classmethod\n  def unit(cls): return cls(1)\n  @staticmethod\n  def five(): return 5\n"
            "  def describe(self): return super(Square, self).describe() + '!'\n"
            "s = Square(3)\nassert s.describe() == 'sq 9!' and s.twice == 6 and s.kind == 'square'\n"
            "assert Square.unit().n == 1 and Square.five() == 5\n"
            "assert isinstance(s, Shape) and isinstance(s, Square) and issubclass(Square, Shape)\n"
            "try: Shape('x')\nexcept TypeError: pass\nelse: raise AssertionError"
        ),
    ),
    "a class of the tests alone uses super": (
        "def f(x): return x * 2",
        (
            "import unittest\nclass T(unittest.TestCase):\n"
            "  def setUp(self):\n    super().setUp()\n    self.n = 3\n"
            "  def test_it(self): self.assertEqual(f(self.n), 6)\n"
            "load = unittest.defaultTestLoader.loadTestsFromTestCase\n"
            "assert unittest.TextTestRunner().run(load(T)).wasSuccessful()"
        ),
    ),
    "what it prints is read": (
        "import sys\ndef f(n):\n  print('é' * n, end='')\n  print('no', file=sys.stderr)",
        (
            "import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()) as out, "
            "contextlib.redirect_stderr(io.StringIO()) as err: f(9000)\n"
            "assert out.getvalue() == 'é' * 9000 and err.getvalue() == 'no\\n'"
        ),
    ),
    "its input is replaced": (
        SUM,
        (
            "import io, sys\nsys.stdin = io.StringIO('2\\n3 4\\n')\n"
            "old, sys.stdout = sys.stdout, io.StringIO()\nmain()\n"
            "out, sys.stdout = sys.stdout.getvalue(), old\nassert out == '14\\n'\n"
            "sys.stdin = io.StringIO('a\\nb')\nassert lines() == [b'a', b'b']\n"
            "sys.stdin = io.StringIO('1\\n2')\nassert numbers() == ([1, 2], b'')"
        ),
    ),
    "its questions are answered": (
        "ask = input\ndef f(): return ask('Name? ')\ndef g():\n  try: return input()\n  except EOFError: return 'end'",
        (
            "from unittest.mock import patch\n"
            "with patch('builtins.input', side_effect=['x', 'y']) as asked: assert f() + f() == 'xy'\n"
            "asked.assert_called_with('Name? ')\nassert g() == 'end'"
        ),
    ),
    "its parameters are looked at": (
        "def f(a: int, *, b=2) -> str:\n  'Say.'\nclass C:\n  def m(self, x): pass",
        (
            "import inspect\ns = inspect.signature(f)\nb = s.parameters['b']\n"
            "assert s.parameters['a'].annotation is int and s.return_annotation is str\n"
            "assert b.default == 2 and b.kind is b.KEYWORD_ONLY and f.__doc__ == 'Say.'\n"
            "assert [*inspect.signature(C().m).parameters] == ['x'] and C.__doc__ is None"
        ),
    ),
    "its values have their kinds": (
        "def gen():\n  yield 1\nclass L(list): pass\ndef make(): return L([1])",
        (
            "import inspect, types\nassert inspect.isgenerator(gen()) and inspect.isfunction(gen)\n"
            "assert isinstance(make(), list) and not isinstance(make(), dict)\n"
            "assert inspect.isclass(L) and issubclass(L, list) and not inspect.isclass(gen)"
        ),
    ),
    "its class gets a method and a value": (
        "class A:\n  def go(self): return self.helper(2) + self.n\n  def helper(self, n): return n",
        "A.helper, A.n = (lambda self, n: n + 5), 1\nassert A().go() == 8",
    ),
    "its data changes": (
        COUNTER,
        (
            "assert counter == 0 and LOG == []\nup()\nassert counter == 1\n"
            "CONF['by'] = 5\nassert up() == 6 == counter\nassert LOG == [1, 6] and len(LOG) == 2\n"
            "LOG.clear()\nup()\nassert LOG == [11]"
        ),
    ),
    "its data changes within a class of the tests": (
        COUNTER,
        "class T:\n  before = counter\n  def now(self): return counter\nup()\nassert (T.before, T().now()) == (0, 1)",
    ),
    "it may recurse as deep as its tests say": (
        "def f(n): return 0 if n == 0 else 1 + f(n - 1)",
        "import sys\nsys.setrecursionlimit(5000)\nassert f(3000) == 3000",
    ),
    "it is imported": (
        "def f(): return 1\ndef g(): return 2",
        "import answer\nfrom answer import f\nassert (f(), answer.g()) == (1, 2)",
    ),
    "it asks what the tests' values are": (
        "def f(x, g): return isinstance(x, int), callable(g), g is g, g.__name__, g(1)",
        "class X: pass\ndef g(n): return n\nassert f(X(), g) == (False, True, True, 'g', 1)",
    ),
    "it prints while it loads and has no input then": (
        "import sys\nprint('loaded')\nfound = sys.stdin.read()\ntry: input()\nexcept EOFError: found += 'end'",
        "assert found == 'end'",
    ),
}


@contained
@pytest.mark.parametrize("case", HONEST)
def test_tests_reach_into_an_honest_program(case: str) -> None:
    found = scored(*HONEST[case])
    assert (found.correct, found.reason) == (True, "")


@contained
def test_program_that_derives_from_a_class_of_its_tests_is_told_so() -> None:
    found = scored("def f(c):\n  class D(c): pass\n  return D", "class C: pass\nf(C)")
    assert "a class of the program cannot derive from a class of its tests" in found.reason


@contained
def test_endless_output_within_a_test_is_cut() -> None:
    found = scored("def f():\n  while True: print('x' * 999)", "f()")
    assert found.details["happened"] == "output"


@pytest.mark.parametrize(
    ("tests", "part"),
    [
        ("import inspect\nassert 'for' not in inspect.getsource(f)", "getsource"),
        ("from inspect import getsource\nassert getsource(f)", "getsource"),
        ("assert f.__code__.co_argcount == 2", "__code__"),
        ("from unittest.mock import patch\nwith patch('time.sleep'): f()", "time.sleep"),
        ("from unittest import mock\n@mock.patch('answer.helper')\ndef t(h): f()", "answer.helper"),
        (
            "import random\nfrom unittest.mock import patch\nwith patch.object(random, 'random'): f()",
            "random.random",
        ),
        ("import time\ntime.sleep = lambda s: None\nf()", "time.sleep"),
        ("import answer\nanswer.helper = 1", "answer.helper"),
        ("import os\nos.environ['HOME'] = '/'\nf()", "os.environ"),
    ],
)
def test_tests_that_need_the_programs_process_are_the_sets_fault(tests: str, part: str) -> None:
    [(field, reason)] = code.faults(Asked(options={"tests": tests}))
    assert (field, reason.partition(" of ")[0]) == ("tests", f"use {part}")
    assert reason.endswith("test what it returns, prints or raises")


@pytest.mark.parametrize(
    "tests",
    [
        "import sys, io\nsys.stdin = io.StringIO('3')",
        "client.patch('/users/1')",
        "from unittest.mock import patch\nwith patch('sys.stdout', new=1): f()",
        "A.x = 1\nb.patch(1, 2)\npatch(f(1))",
    ],
)
def test_tests_that_replace_what_is_theirs_have_no_fault(tests: str) -> None:
    assert not [*code.faults(Asked(options={"tests": tests}))]


@pytest.mark.parametrize(("value", "fault"), [(True, []), (False, ["isolated"]), (1, ["isolated"])])
def test_tests_cannot_share_the_programs_process(value: object, fault: list[str]) -> None:
    asked = Asked(options={"tests": "", "isolated": value})
    assert [field for field, _ in code.faults(asked)] == fault


@pytest.mark.parametrize(
    ("operation", "values"),
    [
        ("print", ["stdout", 1]),
        ("print", ["modules", "x"]),
        ("print", []),
        ("input", [None]),
        ("read", ["1"]),
        ("readline", [True]),
    ],
)
def test_streams_of_the_tests_take_plain_values_only(operation: str, values: list[Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        _remote.Link(-1, -1, guarded=True)._check(operation, values)
