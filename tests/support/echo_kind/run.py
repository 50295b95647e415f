from __future__ import annotations

from typing import Any

from pytest_llamaburn.kinds._run import Run, row_of

from . import KIND


class EchoRun(Run):
    kind = KIND

    async def echo(self, text: str, key: str) -> list[dict[str, Any]]:
        self.write("planned", {"items": {key: self.settings.times}})
        rows = []
        for number in range(self.settings.times):
            trace = await self.send_untimed(text)
            rows.append({"iteration": number, **row_of(trace, text)})
            self.write("request", rows[-1])
        return rows
