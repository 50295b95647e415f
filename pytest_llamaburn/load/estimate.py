"""What judging an exam would take, told before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import judges
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.load import papers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.datasets import Question
    from pytest_llamaburn.judges import Case, Estimate, Panel

_TYPICAL = 1200 * "x"  # for an answer that is not there yet: some 300 tokens


def lines(settings: Any) -> Iterator[str]:
    """Yield a sentence for each judge: its calls, tokens and cost for one model under test.

    Raises SettingsError where no judge is named.
    """
    if not settings.judge:
        raise SettingsError("--dry-run: nothing is judged without --judge: add --judge claude")
    panel = judges.Panel.of(settings)
    for name in settings.set:
        asked = papers.paper(settings, name).questions
        texts = papers.texts(settings) if settings.answers else {}
        for found in _estimates(panel, [(q, texts.get(q.id, _TYPICAL)) for q in asked], settings):
            yield _sentence(found, name, len(asked)) + _condition(found, settings)


def _estimates(
    panel: Panel, answered: Sequence[tuple[Question, str]], settings: Any
) -> Iterator[Estimate]:
    """Yield what each judge takes; questions with other criteria are added up."""
    if settings.pairwise:
        pairs = [judges.Pair(q.prompt, a, _TYPICAL, q.reference, q.rubric) for q, a in answered]
        yield from panel.estimate_pairs(pairs)
        return
    groups: dict[tuple[str, ...], list[Case]] = {}
    for q, text in answered:
        case = judges.Case(q.prompt, text, q.reference, q.rubric)
        groups.setdefault(q.criteria, []).append(case)
    each = [panel.estimate(cases, criteria) for criteria, cases in groups.items()]
    for of_judge in zip(*each, strict=True):
        yield judges.total(of_judge)


def _sentence(found: Estimate, name: str, questions: int) -> str:
    price = "at an unknown price"
    if found.cost_usd is not None:
        price = f"about {found.cost_usd:.2f} USD, at most {found.most_usd:.2f} USD"
    return (
        f"{found.judge}: {found.calls} calls for the {questions} questions of {name}, about "
        f"{found.input_tokens} tokens in and {found.output_tokens} out, {price}"
    )


def _condition(found: Estimate, settings: Any) -> str:
    """Return under which condition the most holds, if one is told."""
    if found.most_usd is None:
        return ""
    if settings.answers and not settings.pairwise:
        return " if no call fails"
    return f" if no call fails and answers have up to {len(_TYPICAL)} characters"
