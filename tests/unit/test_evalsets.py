"""Eval sets of one's own: read from JSON and JSONL, or refused with the place."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.refusals import refusal

from pytest_llamaburn import evalsets, registry
from pytest_llamaburn.criteria import USUAL
from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.evalsets import Question, builtin_eval_sets, builtin_media_sets, load_eval_set


def entry(**fields: Any) -> dict[str, Any]:
    return {"id": "one", "prompt": "Who?", **fields}


def eval_set(*entries: Any, **fields: Any) -> dict[str, Any]:
    return {"name": "mine", "questions": list(entries), **fields}


def saved(directory: Path, content: Any, name: str = "mine.json") -> Path:
    path = directory / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def lines(*entries: Any) -> str:
    return "".join(json.dumps(one) + "\n" for one in entries)


def file_refusal(name: str | Path) -> str:
    return refusal(DatasetError, load_eval_set, name)


def test_what_is_not_given_has_its_default(tmp_path: Path) -> None:
    (question,) = load_eval_set(saved(tmp_path, eval_set(entry()))).questions
    assert question == Question("one", "Who?", None, "custom", options={})
    assert question.criteria == USUAL == ("accuracy", "completeness", "coherence")
    assert question.scorer is question.rubric is None
    assert question.allow_web_search is False


def test_what_only_a_scorer_reads_becomes_its_options(tmp_path: Path) -> None:
    given = {
        "accept": ["I"],
        "choices": ["x", "y"],
        "tolerance": 0.5,
        "pattern": " a+",
        "schema": {"type": "null", "default": None},
        "entry_point": "f",
        "tests": ["assert f()"],
        "audio": "a.wav",
    }
    asked = entry(**given, reference="x", rubric="Be strict.", criteria=["accuracy"] * 2)
    asked["options"] = {"volume": 11}
    (question,) = load_eval_set(saved(tmp_path, eval_set(asked))).questions
    assert question.options == {**given, "volume": 11}
    assert (question.reference, question.rubric) == ("x", "Be strict.")
    assert question.criteria == ("accuracy",)


def test_the_scorer_judge_is_no_scorer(tmp_path: Path) -> None:
    path = saved(tmp_path, eval_set(entry(scorer="judge")))
    assert load_eval_set(str(path)).questions[0].scorer is None


def test_schema_is_not_checked_at_load_without_jsonschema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    path = saved(tmp_path, eval_set(entry(scorer="json-schema", schema={"type": "nonsense"})))
    assert len(load_eval_set(path).questions) == 1


@pytest.mark.parametrize("name", ["mine.json", "mine.jsonl"])
def test_a_byte_order_mark_is_no_part_of_a_set(tmp_path: Path, name: str) -> None:
    content = json.dumps(eval_set(entry())) if name.endswith("json") else lines(entry())
    assert load_eval_set(saved(tmp_path, "\ufeff" + content, name)).questions[0].id == "one"


def test_jsonl_has_a_question_a_line(tmp_path: Path) -> None:
    path = saved(tmp_path, "\n" + lines(entry(), entry(id="two", prompt="a\u2028b")), "mine.jsonl")
    found = load_eval_set(path)
    assert (found.name, found.version, found.path) == ("mine", "1.0", path)
    assert [question.prompt for question in found.questions] == ["Who?", "a\u2028b"]


def test_a_digest_is_of_what_is_asked_and_not_of_the_layout(tmp_path: Path) -> None:
    content = eval_set(entry(reference="me", scorer=None), version="7")
    plain = load_eval_set(saved(tmp_path, content))
    pretty = load_eval_set(saved(tmp_path, json.dumps(content, indent=4), "pretty.json"))
    assert plain.sha256 == pretty.sha256
    assert plain.version == "7"
    other = load_eval_set(saved(tmp_path, eval_set(entry(reference="you")), "other.json"))
    assert plain.sha256 != other.sha256


@pytest.mark.parametrize("field", ["prompt", "reference", "rubric", "options"])
def test_a_question_s_digest_changes_with_what_counts_as_its_answer(field: str) -> None:
    question = Question("one", "Who?", "me", "custom", rubric="Be kind.", options={"accept": ["I"]})
    other: dict[str, Any] = {field: {"accept": []} if field == "options" else "other"}
    assert question.sha256 != question._replace(**other).sha256
    assert question.sha256 == question._replace(id="two", category="other").sha256
    assert len(question.sha256) == 16


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("", "is not JSON"),
        ("[]", "questions: there is none"),
        (eval_set(), "questions: there is none"),
        ({"name": "mine"}, "questions: field required"),
        ({"questions": [entry()]}, "name: field required"),
        (eval_set(entry(prompt=" ")), "questions[0] (id 'one'): prompt: string should have at"),
        (eval_set(entry(), {"prompt": "x"}), "questions[1]: id: field required"),
        (eval_set(entry(), "Who?"), 'questions[1]: "Who?" is not an object with fields'),
        (eval_set(entry(id=True)), "questions[0]: id: input should be a valid string"),
        (eval_set(entry(refrence="x")), "questions[0] (id 'one'): refrence: extra inputs are"),
        (eval_set(entry(reference=True)), "questions[0] (id 'one'): reference: input should be a"),
        (
            eval_set(entry(criteria=["beauty"])),
            "questions[0] (id 'one'): criteria: unknown criterion",
        ),
        (eval_set(entry(criteria=[])), "questions[0] (id 'one'): criteria: "),
        (eval_set(entry(choices=["a"])), "questions[0] (id 'one'): choices: list should have"),
        (eval_set(entry(tolerance=-1)), "questions[0] (id 'one'): tolerance: input should be"),
        (eval_set(entry(entry_point="f()")), "questions[0] (id 'one'): entry_point: string"),
        (eval_set(entry(), entry()), "questions[1] (id 'one'): id: questions[0] (id 'one') has it"),
        (eval_set(entry(prompt="\ud800")), "questions[0] (id 'one'): prompt: "),
    ],
)
def test_an_unsound_file_is_refused_by_file_entry_and_field(
    tmp_path: Path, content: Any, where: str
) -> None:
    path = saved(tmp_path, content)
    assert file_refusal(path).startswith(f"{path}: {where}")


DEEP: dict[str, Any] = {}
for _ in range(300):
    DEEP = {"not": DEEP}
LOCAL = {"$id": "https://a/b", "$defs": {"c": {"$id": "c"}, "d": {"$anchor": "e"}}}
SCORED = [
    ({"scorer": "choice", "choices": ["x", "y"], "reference": "C"}, "reference: 'C' is not one of"),
    ({"scorer": "number", "reference": "many"}, "reference: 'many' is not a number"),
    ({"scorer": "choice", "options": {"choices": 5}, "reference": "A"}, "choices: 'choices' are"),
    ({"scorer": "number", "reference": "1/0"}, "reference: '1/0' is not a number"),
    ({"scorer": "number", "reference": "1", "accept": ["2", "x"]}, "accept: 'x' is not a number"),
    ({"scorer": "regex", "pattern": "("}, "pattern: is not a regular expression: "),
    ({"scorer": "code", "tests": ["assert (", "x"]}, "tests: is not Python: SyntaxError: "),
    ({"scorer": "code", "options": {"tests": [5]}}, "tests: is not a text"),
    (
        {"scorer": "code", "tests": ["1"], "options": {"preamble": "def"}},
        "preamble: is not Python: SyntaxError: ",
    ),
    (
        {"scorer": "code", "tests": ["1"], "options": {"timeout_s": "x"}},
        "timeout_s: 'x' is not a number from 0 on",
    ),
    (
        {"scorer": "code", "tests": ["1"], "options": {"timeout_s": -5}},
        "timeout_s: -5 is not a number from 0 on",
    ),
    (
        {"scorer": "code", "tests": ["1"], "options": {"memory_mb": True}},
        "memory_mb: True is not a number from 0 on",
    ),
    (
        {"scorer": "wer", "reference": "a", "options": {"max_wer": "x"}},
        "max_wer: 'x' is not a number",
    ),
    ({"scorer": "json-schema", "schema": {"type": "nonsense"}}, "schema: is not a JSON Schema: "),
    ({"scorer": "json-schema", "schema": {"pattern": "("}}, "schema: is not a JSON Schema: "),
    (
        {"scorer": "json-schema", "schema": {"$schema": 5}},
        "schema: is not a JSON Schema: its $schema",
    ),
    ({"scorer": "json-schema", "schema": DEEP}, "schema: is not a JSON Schema: it is nested too"),
    (
        {"scorer": "json-schema", "schema": {"allOf": [{"$ref": "https://a/b"}]}},
        "schema: has a reference to something outside it: https://a/b",
    ),
    (
        {"scorer": "json-schema", "schema": {"properties": {"a": {"$ref": "#/$defs/b"}}}},
        "schema: has a reference to something outside it: #/$defs/b",
    ),
]


@pytest.mark.parametrize(("fields", "where"), SCORED)
def test_a_question_that_cannot_be_scored_is_refused(
    tmp_path: Path, fields: dict[str, Any], where: str
) -> None:
    path = saved(tmp_path, eval_set(entry(**fields)))
    assert file_refusal(path).startswith(f"{path}: questions[0] (id 'one'): {where}")


@pytest.mark.skipif("code" not in registry.own("scorers"), reason="there is no such scorer yet")
@pytest.mark.parametrize(
    ("scorer", "field"), [("code", "tests"), ("exact", "reference"), ("choice", "choices")]
)
def test_a_scorer_without_what_it_needs_is_refused(tmp_path: Path, scorer: str, field: str) -> None:
    fields = {"reference": "A", "entry_point": "f", "tests": ["1"], "choices": ["x", "y"]}
    fields[field] = []
    given = {key: value for key, value in fields.items() if value}
    path = saved(tmp_path, eval_set(entry(scorer=scorer, **given)))
    where = f"{path}: questions[0] (id 'one'): {field}"
    assert file_refusal(path) == f"{where}: the scorer {scorer} needs it"


@pytest.mark.parametrize(
    "fields",
    [
        {"scorer": "choice", "choices": ["x", "y"], "reference": "B"},
        {"scorer": "choice", "choices": ["x", "y"], "reference": "y"},
        {"scorer": "number", "reference": "-1,200.5"},
        {"scorer": "number", "reference": "3/4"},
        {"scorer": "regex", "pattern": "^a"},
        {"scorer": "code", "tests": ["assert f() == 1"], "options": {"timeout_s": 0.5}},
        {"scorer": "wer", "reference": "a", "options": {"max_wer": 0.2}},
        {"scorer": "json-schema", "schema": {**LOCAL, "allOf": [{"$ref": "c"}, {"$ref": "#e"}]}},
        {"scorer": "json-schema", "schema": {"enum": [{"$ref": "https://a/b"}]}},
        {"scorer": "json-schema", "schema": {"properties": {"$ref": {"type": "null"}}}},
    ],
)
def test_a_question_that_can_be_scored_is_taken(tmp_path: Path, fields: dict[str, Any]) -> None:
    path = saved(tmp_path, eval_set(entry(**fields)))
    assert load_eval_set(path).questions[0].scorer == fields["scorer"]


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (lines(entry()) + "{", "line 2: is not JSON: "),
        (lines(entry(), "x"), 'line 2: "x" is not an object with fields'),
        (lines(entry()) + "\n" + lines(entry(id="two", prompt="")), "line 3 (id 'two'): prompt: "),
        (lines(entry(), entry()), "line 2 (id 'one'): id: line 1 (id 'one') has it already"),
        ("", "questions: there is none"),
    ],
)
def test_an_unsound_line_is_refused_by_its_number(tmp_path: Path, content: str, where: str) -> None:
    path = saved(tmp_path, content, "mine.jsonl")
    assert file_refusal(path).startswith(f"{path}: {where}")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(b"\xff\x00")
    assert file_refusal(path).startswith(f"{path}: cannot be read: ")


def test_an_unknown_set_is_refused_with_the_nearest_and_all(tmp_path: Path) -> None:
    message = file_refusal("reasonning")
    assert message.startswith("unknown eval set 'reasonning'; did you mean 'reasoning'?")
    assert message.endswith(
        f"Known: {', '.join((*builtin_eval_sets(), *builtin_media_sets()))}, or a .json, .jsonl or "
        ".csv file"
    )
    path = tmp_path / "none.jsonl"
    assert file_refusal(path) == f"eval set: {path} does not exist"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
scorers = st.sampled_from(["exact", "number", "choice", "regex", "code", "judge"])
fields = ["rubric", "reference", "criteria", "accept", "choices", "tolerance", "schema", "tests"]
entries = st.fixed_dictionaries(
    {"id": st.just("one") | values, "prompt": st.just("Who?") | values},
    optional={"scorer": scorers | values, **dict.fromkeys([*fields, "options"], values)},
)


@given(st.lists(entries | values, max_size=3))
def test_whatever_a_file_holds_is_a_set_or_refused(questions: list[Any]) -> None:
    with contextlib.suppress(DatasetError):
        found = evalsets.eval_set(eval_set(*questions), Path("mine.json")).questions
        assert [len(question.sha256) for question in found] == [16] * len(questions)


texts = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: text.strip())


@given(st.lists(texts, min_size=1, max_size=4, unique_by=str.strip))
def test_json_and_jsonl_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, prompts: list[str]
) -> None:
    asked = [entry(id=str(count), prompt=text) for count, text in enumerate(prompts)]
    folder = tmp_path_factory.mktemp("sets")
    whole = load_eval_set(saved(folder, eval_set(*asked)))
    plain = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in asked)
    assert load_eval_set(saved(folder, plain, "mine.jsonl")).sha256 == whole.sha256


def test_the_only_document_of_a_question_may_be_a_text_also_in_a_table(tmp_path: Path) -> None:
    listed = saved(tmp_path, eval_set(entry(context=["A note."]), entry(id="two")))
    (tmp_path / "rows.csv").write_text("prompt,context\nWho?,A note.\nWho else?,\n")
    text = saved(tmp_path, eval_set(entry(context="A note."), entry(id="two")), "text.json")
    for path in (listed, text, tmp_path / "rows.csv"):
        contexts = [question.context for question in load_eval_set(path).questions]
        assert contexts == [("A note.",), ()]


def test_a_set_is_read_once_until_its_content_changes(tmp_path: Path) -> None:
    path = saved(tmp_path, eval_set(entry()))
    first = load_eval_set(path)
    assert load_eval_set(path) is first
    saved(tmp_path, eval_set(entry(prompt="Why?")))
    assert load_eval_set(path).questions[0].prompt == "Why?"


CLOCK = {"name": "clock", "description": "", "parameters": {"type": "object", "properties": {}}}


def test_a_question_names_tools_of_its_set_or_has_its_own(tmp_path: Path) -> None:
    own = {"name": "own", "description": "mine", "parameters": {"type": "object"}}
    asked = entry(scorer="tool-call", reference=[], tools=["clock", own])
    (question,) = load_eval_set(saved(tmp_path, eval_set(asked, tools=[CLOCK]))).questions
    assert question.options["tools"] == [CLOCK, own]
    assert question.reference == "[]"


def test_a_tool_that_the_set_does_not_define_is_told(tmp_path: Path) -> None:
    asked = entry(scorer="tool-call", reference=[], tools=["clok"])
    words = "questions[0] (id 'one'): tools: the set defines no tool 'clok'"
    assert words in file_refusal(saved(tmp_path, eval_set(asked, tools=[CLOCK])))


def test_a_reference_may_be_json(tmp_path: Path) -> None:
    asked = entry(reference={"b": [1, "ü"], "a": None}, accept=[[1], "x"])
    (question,) = load_eval_set(saved(tmp_path, eval_set(asked))).questions
    assert question.reference == '{"b": [1, "ü"], "a": null}'
    assert question.options["accept"] == ["[1]", "x"]
