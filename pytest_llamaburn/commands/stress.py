"""Load a model until it bends and breaks: one pytest session, then the table of its result file."""

from functools import partial

from pytest_llamaburn.commands import _session
from pytest_llamaburn.session import KINDS

HELP = "find where a model's server bends and where it breaks"
EXAMPLE = "llamaburn stress llama3.1:8b --mode ramp --max-concurrency 20"

add = partial(_session.add, kind=KINDS["llm_under_load"])
run = partial(_session.run, kind=KINDS["llm_under_load"])
