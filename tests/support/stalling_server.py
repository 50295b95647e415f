"""An Ollama that hangs in the middle of a run and says so: the moment to cut the run."""

from __future__ import annotations

import threading

from support.scripted import Hang, OllamaFacade, Request, Steps

FINISHED = 3  # timed requests it answers first


class Stalling(OllamaFacade):
    """Answers the warm-up and some timed requests, then says that it hangs, and hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.stalled = threading.Event()

    def __call__(self, request: Request) -> Steps:
        if self.chats >= 2 + FINISHED and request.path == "/api/chat":
            self.stalled.set()
            return [Hang()]
        return super().__call__(request)
