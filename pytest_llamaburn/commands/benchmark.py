"""Measure how fast a model answers: one pytest session, then the table of its result file."""

from functools import partial

from pytest_llamaburn.commands import _session
from pytest_llamaburn.session import KINDS

HELP = "measure how fast a model answers"
EXAMPLE = "llamaburn benchmark llama3.1:8b --iterations 20 --prompts coding -o report.md"

add = partial(_session.add, kind=KINDS["llm"])
run = partial(_session.run, kind=KINDS["llm"])
