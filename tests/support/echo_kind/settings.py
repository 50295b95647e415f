from __future__ import annotations

from pytest_llamaburn.option import opt
from pytest_llamaburn.settings import Run


class Echo(Run):
    """Settings of `llamaburn echo`."""

    times: int = opt(3, "how often the text is sent", scope="echo", bounds={"ge": 1})
