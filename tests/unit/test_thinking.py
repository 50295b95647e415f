"""Thinking and answer are told apart in one way, for scorers, judges and stored answers alike."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_llamaburn import judges
from pytest_llamaburn.evalsets import Question
from pytest_llamaburn.kinds.benchmark import number_words
from pytest_llamaburn.scorers import _text, includes
from pytest_llamaburn.thinking import split_thinking

HARMONY = (
    "<|channel|>analysis<|message|>hm<|end|>"
    "<|start|>assistant<|channel|>final<|message|>{}<|return|>"
)
SHAPES = (
    "<think>hm</think>{}",
    "<THINK>hm</THINK>\n\n{}",
    "<thinking>hm</thinking>{}",
    "<thought>hm</thought>{}",
    "<thoughts>hm</thoughts>{}",
    "<reasoning>hm</reasoning>\n{}",
    "<seed:think>hm</seed:think>{}",
    "<mm:think>hm</mm:think>{}",
    "[THINK]hm[/THINK]{}",
    "◁think▷hm◁/think▷{}",
    "<|begin_of_thought|>hm<|end_of_thought|>\n<|begin_of_solution|>{}<|end_of_solution|>",
    "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>{}<|END_RESPONSE|>",
    "<|inner_prefix|>hm<|inner_suffix|>{}",
    HARMONY,
    "<|channel|>analysis<|message|>hm<|channel|>final<|message|>{}",
    (
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final"
        " <|constrain|>json<|message|>{}<|return|>"
    ),
    "analysisHmassistantfinal{}",
    "<|channel>thought\nhm<channel|>{}",
    "Here is my thought process:\nhm\nHere is my response:\n{}",
    "hm</think>{}",
    "hm[/THINK]\n{}",
    "\ufeff<think>hm</think>\ufeff{}",
)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_models_thinking_is_kept_apart(shape: str) -> None:
    answer, thought = split_thinking(shape.format("Paris"))
    assert (answer, thought.lower()) == ("Paris", "hm")
    assert _text.spoken(shape.format("Paris")) == "Paris"
    verdict = number_words.score(shape.format("seven"), number_words.Item("1", "7", "0-20"), "en")
    assert verdict.correct


@pytest.mark.parametrize("shape", SHAPES)
def test_thinking_alone_is_an_empty_answer_to_scorers_and_judges(shape: str) -> None:
    only = shape.format(" \n")
    assert not _text.spoken(only)
    ruled = judges.by_rule(judges.Case("?", only), "accuracy")
    assert ruled is not None
    assert ruled.score == 1


@pytest.mark.parametrize(
    ("text", "answer", "thinking"),
    [
        ("Paris", "Paris", ""),
        ("\ufeffParis", "Paris", ""),
        ("\n<thinking>a</thinking>\n<think>b</think> Paris", "Paris", "a\nb"),
        ("<think>never ends", "", "never ends"),
        ("<|channel|>analysis<|message|>never ends", "", "never ends"),
        ("Paris\n<think>or Rome", "Paris", "or Rome"),
        ("<think></think>\n<think>b", "", "b"),
        ("Paris <think>x</think>it is", "Paris it is", "x"),
        ("<think>a <think> b</think> c</think>18", "18", "a <think> b\nc"),
        ("Use <think> as a tag.", "Use <think> as a tag.", ""),
        ("Between `<think>` and `</think>`.", "Between `<think>` and `</think>`.", ""),
        ('text.split("</think>")', 'text.split("</think>")', ""),
        ("[Think] of it", "[Think] of it", ""),
        ("analysis of the text", "analysis of the text", ""),
        ("The assistantfinal marker", "The assistantfinal marker", ""),
        ("i think 18 < 19 and 20 > 19", "i think 18 < 19 and 20 > 19", ""),
    ],
)
def test_a_tag_begins_or_ends_thinking_only_where_it_is_meant_to(
    text: str, answer: str, thinking: str
) -> None:
    assert split_thinking(text) == (answer, thinking)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("<answer>B</answer>", "B"),
        ("So:\n<ANSWER>\nB\n</ANSWER> Done.", "B"),
        ("<answer>A</answer>, no: <final_answer>B", "B"),
        ("B <answer></answer>", "B <answer></answer>"),
        ("B</answer>", "B</answer>"),
    ],
)
def test_of_an_answer_between_tags_what_is_between_them_counts(answer: str, said: str) -> None:
    assert _text.spoken(answer) == said


TAGS = (
    *("<think>", "</think>", "<thinking>", "</thinking>", "[THINK]", "[/THINK]"),
    *("◁think▷", "◁/think▷", "<|begin_of_thought|>", "<|end_of_thought|>", "<|channel>thought"),
    *("<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "<|end|>", "<|return|>"),
    *("analysis", "assistantfinal", "<channel|>", "Here is my thought process:", "<answer>"),
    *(
        "Here is my response:",
        "<thi",
        "nk>",
        "<",
        ">",
        "`",
        '"',
        "**",
        "\n",
        " ",
        "\u200b",
        "seven",
    ),
)
TEXTS = st.text(st.characters()) | st.lists(st.sampled_from((*SHAPES, *TAGS)), max_size=12).map(
    "".join
)


def is_empty_to_a_scorer(answer: str) -> bool:
    question = Question("q", "?", "seven", "c", scorer="includes")
    return includes.score(answer, question).state == "empty"


def is_empty_to_a_judge(answer: str) -> bool:
    ruled = judges.by_rule(judges.Case("?", answer, "seven"), "grade")
    return ruled is not None and ruled.verdict == "not_attempted"


def is_empty_as_number_words(answer: str) -> bool:
    return number_words.score(answer, number_words.Item("1", "7", "0-20"), "en").reason == "empty"


@example("◁/think▷<think>")
@example("**")
@example("\u200b \u200b \u200b")
@given(TEXTS)
def test_all_agree_whether_an_answer_is_empty_before_and_after_it_is_stored(text: str) -> None:
    stored, thinking = split_thinking(text)
    assert len(stored) + len(thinking) <= len(text)
    assert split_thinking(stored) == (stored, "")
    for answer in (text, stored):
        assert is_empty_to_a_scorer(answer) == (not stored)
        assert is_empty_to_a_judge(answer) == (not stored)
        assert is_empty_as_number_words(answer) == (not stored)


@pytest.mark.parametrize(
    "scrap",
    [
        *("<think>", " <think>", "</think>", "<think>a</think>", "<|channel|>analysis", "<", "`"),
        *("◁/think▷<think>", "\u200b ", "<thi</think>nk>"),
    ],
)
def test_a_long_text_is_split_in_time(scrap: str) -> None:
    start = time.process_time()
    split_thinking(scrap * (200_000 // len(scrap)))
    assert time.process_time() - start < 2
