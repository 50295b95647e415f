"""Prompt sets: where they are, whether they are sound, and which prompts a run uses."""

from __future__ import annotations

import hashlib
import json
import random
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import BaseModel, ValidationError


class Prompt(NamedTuple):
    """One prompt of a set."""

    id: str
    category: str
    text: str

    @property
    def sha256(self) -> str:
        """Return a short digest of the text: the same prompt in another run has the same."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


class Planned(NamedTuple):
    """A prompt and how many timed requests it gets."""

    prompt: Prompt
    iterations: int


def data_dir(folder: str) -> Path:
    """Return a folder of shipped data: inside the package in a wheel, beside it in a clone."""
    package = Path(__file__).parent
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


def builtin_sets() -> list[str]:
    """Return the names of the built-in prompt sets."""
    return sorted(path.stem for path in data_dir("prompts").glob("*.json"))


def load_prompts(names: Iterable[str]) -> list[Prompt]:
    """Return the prompts of several sets, each a built-in name or a JSON file.

    Raises DatasetError naming the file, the entry and the field that is wrong.
    """
    found: dict[str, Prompt] = {}
    for name in names:
        path = _find(name)
        for prompt in _read(path):
            if prompt.id in found and found[prompt.id] != prompt:
                raise DatasetError(f"{path}: id '{prompt.id}' is also in another prompt set")
            found[prompt.id] = prompt
    return list(found.values())


def number_prompts(count: int, seed: int, lang: str) -> list[Prompt]:
    """Return the questions of the correctness mode; their categories are magnitudes."""
    from pytest_llamaburn import correctness

    items = correctness.numbers(count, seed)
    return [Prompt(i.id, i.magnitude, correctness.prompt(i, lang)) for i in items]


def plan(prompts: Sequence[Prompt], iterations: int, seed: int) -> list[Planned]:
    """Return the prompts to use with their share of `iterations`.

    With fewer iterations than prompts, a choice fixed by the seed takes one prompt of each
    category in turn; otherwise the iterations are spread evenly.
    """
    if iterations < len(prompts):
        return [Planned(p, 1) for p in _stratified(prompts, iterations, seed)]
    each, extra = divmod(iterations, len(prompts))
    return [Planned(p, each + (i < extra)) for i, p in enumerate(prompts)]


def _stratified(prompts: Sequence[Prompt], count: int, seed: int) -> list[Prompt]:
    rng = random.Random(seed)  # noqa: S311 - a reproducible choice, not a secret
    groups: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        groups.setdefault(prompt.category, []).append(prompt)
    for group in groups.values():
        rng.shuffle(group)
    rounds = max(map(len, groups.values()))
    in_turn = [g[i] for i in range(rounds) for g in groups.values() if i < len(g)]
    return in_turn[:count]


def _find(name: str) -> Path:
    if name in builtin_sets():
        return data_dir("prompts") / f"{name}.json"
    path = Path(name).expanduser()
    if path.suffix.lower() != ".json":
        raise DatasetError(unknown("prompt set", name, builtin_sets()) + ", or a .json file")
    if not path.is_file():
        raise DatasetError(f"--prompts: {name} does not exist")
    return path


def _read(path: Path) -> list[Prompt]:
    from pydantic import ValidationError

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        checked: Any = prompt_set_model().model_validate(content)
    except (OSError, ValueError, RecursionError) as err:
        reason = _located(err) if isinstance(err, ValidationError) else f"is not JSON: {err}"
        raise DatasetError(f"{path}: {reason}") from None
    entries = [Prompt(e.id, e.category, e.prompt) for e in checked.prompts]
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            raise DatasetError(f"{path}: id '{entry.id}' is given twice")
        seen.add(entry.id)
    return entries


def _located(err: ValidationError) -> str:
    first = err.errors()[0]
    where = ".".join(f"[{p}]" if isinstance(p, int) else str(p) for p in first["loc"])
    return f"{where.replace('.[', '[') or 'the whole file'}: {first['msg'].lower()}"


@cache
def prompt_set_model() -> type[BaseModel]:
    """Return the model of a prompt set file, from which its JSON Schema is made."""
    from typing import Annotated, Literal

    from pydantic import BaseModel, ConfigDict, Field, StringConstraints

    text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

    class PromptEntry(BaseModel):
        """One prompt; `expected_length` says how long an answer it asks for."""

        model_config = ConfigDict(extra="forbid")
        id: text
        category: text = "custom"
        expected_length: Literal["short", "medium", "long"] | None = None
        prompt: text

    class PromptSet(BaseModel):
        """A set of prompts for `--prompts`."""

        model_config = ConfigDict(extra="forbid")
        name: text
        version: str = "1.0"
        description: str = ""
        prompts: Annotated[list[PromptEntry], Field(min_length=1)]

    return PromptSet
