"""Routes that read what there is to measure with: sets, models, this machine."""

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel

from pytest_llamaburn import datasets, evalsets
from pytest_llamaburn.web import child
from pytest_llamaburn.web.refusals import Problem, Refusal
from pytest_llamaburn.web.service import Using

_REFUSED = {"model": Problem}

router = APIRouter(responses={404: _REFUSED, 422: _REFUSED})


class PromptSet(BaseModel):
    """A set of prompts that a run may name."""

    name: str
    prompts: int
    categories: list[str]


class EvalSet(BaseModel):
    """A set of questions that an eval may name."""

    name: str
    version: str
    questions: int
    categories: list[str]
    sha256: str


class Models(BaseModel):
    """Models by where they are; `complaint` says why those of the server are missing."""

    models: list[dict[str, Any]]
    complaint: str | None


@router.get("/prompts", tags=["sets"])
async def prompts() -> list[PromptSet]:
    """Return the sets of prompts that are shipped."""
    return await asyncio.to_thread(_prompts)


def _prompts() -> list[PromptSet]:
    found = {name: datasets.load_prompts([name]) for name in datasets.shipped("prompts")}
    return [
        PromptSet(name=name, prompts=len(them), categories=sorted({one.category for one in them}))
        for name, them in found.items()
    ]


@router.get("/eval-sets", tags=["sets"])
async def eval_sets() -> list[EvalSet]:
    """Return the sets of questions that are shipped."""
    return await asyncio.to_thread(_eval_sets)


def _eval_sets() -> list[EvalSet]:
    found = {name: evalsets.load_eval_set(name) for name in evalsets.builtin_eval_sets()}
    return [
        EvalSet(
            name=name,
            version=one.version,
            questions=len(one.questions),
            categories=sorted({question.category for question in one.questions}),
            sha256=one.sha256,
        )
        for name, one in found.items()
    ]


@router.get("/models", tags=["models"], responses={503: _REFUSED})
async def models() -> Models:
    """Return the models of the server under test and of the embedded catalogue."""
    said = await child.run(["models", "list", "--output=json"])
    return Models(models=_answer(said), complaint=said.sentence or None)


@router.get("/system/status", tags=["system"], responses={503: _REFUSED})
async def status() -> dict[str, Any]:
    """Return the server, its loaded models and this machine's load, with reasons for nulls."""
    found: dict[str, Any] = _answer(await child.run(["status", "--output=json"]))
    return found


@router.get("/system/history", tags=["system"])
async def history(service: Using) -> list[dict[str, Any]]:
    """Return what the last `system` events said: at most ten minutes, while somebody listened."""
    return [*service.sampler.history]


class Check(BaseModel):
    """A check of what would distort a measurement: `ok`, `warn` or `fail`, and how to mend it."""

    id: str
    level: str
    finding: str
    fix: str


@router.get("/system/doctor", tags=["system"], responses={503: _REFUSED})
async def doctor() -> list[Check]:
    """Return what `llamaburn doctor` says of the server and this machine."""
    said = await child.run(["doctor", "--output=json"])
    return [Check(**one) for one in _answer(said._replace(code=0 if said.stdout else said.code))]


def _answer(said: child.Said) -> Any:
    """Return what a command printed as JSON; raises Refusal where it could not."""
    if said.code:
        raise Refusal(503, said.sentence)
    return msgspec.json.decode(said.stdout)
