"""The pydantic model of an eval set file, from which its JSON Schema is made."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import criteria, datasets

if TYPE_CHECKING:
    from pydantic import BaseModel

NO_CATEGORY: Final = "custom"  # the category of a question without one
_TEXT_OR_JSON: Final = {
    "anyOf": [*datasets.TEXT_OR_NUMBER["anyOf"], {"type": "object"}, {"type": "array"}]
}


def as_text(value: object) -> Any:
    """Return a reference as text: an object or a list as JSON, a whole number as its digits."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return datasets.as_text(value)


@cache
def eval_set_model() -> type[BaseModel]:
    """Return the pydantic model of an eval set file; its JSON Schema is made from this model."""
    from typing import Annotated, Literal, Self

    from pydantic import (
        BaseModel,
        BeforeValidator,
        ConfigDict,
        Field,
        FiniteFloat,
        StringConstraints,
        WithJsonSchema,
        model_validator,
    )
    from pydantic_core import PydanticCustomError

    text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    identifier = Annotated[
        text, BeforeValidator(datasets.as_text), WithJsonSchema(datasets.TEXT_OR_NUMBER)
    ]
    right = Annotated[text, BeforeValidator(as_text), WithJsonSchema(_TEXT_OR_JSON)]
    documents = Annotated[
        list[text],
        Field(min_length=1),
        BeforeValidator(lambda given: [given] if isinstance(given, str) else given),
        WithJsonSchema(datasets.TEXT_OR_TEXTS),
    ]
    code = Annotated[str, StringConstraints(min_length=1)]

    class CriterionEntry(BaseModel):
        """A criterion of your own: name, description for judges, and the meaning of each score.

        With the scale `yes/no`, judges answer yes, which counts as 1, or no, which counts as 0.
        """

        model_config = ConfigDict(extra="forbid")
        name: text
        description: text
        anchors: (
            Annotated[dict[Literal["1", "2", "3", "4", "5"], text], Field(min_length=5)] | None
        ) = None
        scale: Literal["1 to 5", "yes/no"] = "1 to 5"

        @model_validator(mode="after")
        def _anchored(self) -> Self:
            if self.anchors and self.scale == "yes/no":
                raise PydanticCustomError("anchors", "anchors belong to the scale 1 to 5")
            return self

    class MadeMedium(BaseModel):
        """A medium that is made from its description at first use; `sha256` is of its content."""

        model_config = ConfigDict(extra="forbid")
        make: dict[str, Any]
        sha256: str

    class Case(BaseModel):
        """What a program gets as its standard input, and what it prints."""

        model_config = ConfigDict(extra="forbid")
        input: str
        output: str

    class Tool(BaseModel):
        """A tool that a model may call; `parameters` is the JSON Schema of its arguments."""

        model_config = ConfigDict(extra="forbid")
        name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w-]{0,63}$")]
        description: str = ""
        parameters: dict[str, Any] = {"type": "object", "properties": {}}

    class EvalQuestion(BaseModel):
        """One question; the fields from `accept` on are for its scorer.

        Without a scorer, or with `judge`, only judges can score the answer. `accept` lists other
        right answers, `choices` the texts of A, B, C … in the prompt, `tests` Python statements
        that call `entry_point`, `cases` what a whole program in `language` prints for an input.
        `audio` is the path of a recording, `options` has other settings of the scorer. `context`
        has the documents that the model gets with the question. `media` has the paths of images,
        recordings or videos, relative to the directory of the set. `tools` has the tools that the
        model may call, or the names of tools of the set. A reference may be JSON.
        """

        model_config = ConfigDict(extra="forbid")
        id: identifier
        prompt: text
        reference: right | None = None
        category: text = NO_CATEGORY
        allow_web_search: bool = False
        rubric: text | None = None
        scorer: text | None = None
        criteria: Annotated[tuple[text, ...], Field(min_length=1)] = criteria.USUAL
        context: documents | None = None
        accept: list[right] | None = None
        choices: Annotated[list[text], Field(min_length=2, max_length=10)] | None = None
        tolerance: Annotated[FiniteFloat, Field(ge=0)] | None = None
        pattern: code | None = None
        schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
        entry_point: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")] | None = None
        tests: list[code] | None = None
        language: Literal["python", "javascript", "c"] | None = None
        cases: Annotated[list[Case], Field(min_length=1)] | None = None
        audio: text | None = None
        media: list[text | MadeMedium] = []
        tools: Annotated[list[Tool | text] | None, Field(min_length=1)] = None
        options: dict[str, Any] = {}

    class SolvedExample(BaseModel):
        """A solved question that `--few-shot` shows before those of its category, or before all."""

        model_config = ConfigDict(extra="forbid")
        prompt: text
        answer: text
        category: text | None = None

    class EvalSetFile(BaseModel):
        """A set of questions for `llamaburn eval --set`.

        `system_prompt` is sent with each question; `--few-shot` shows the `examples`. `modality` is
        that of the media. `input` has default values for the fields of questions about the media of
        `--input`. `tools` has the tools that questions name.
        """

        model_config = ConfigDict(extra="forbid")
        name: text
        version: str = "1.0"
        description: str = ""
        system_prompt: text | None = None
        examples: list[SolvedExample] = []
        criteria: list[CriterionEntry] = []
        modality: text | None = None
        input: dict[str, Any] = {}
        tools: list[Tool] = []
        questions: Annotated[list[EvalQuestion], Field(min_length=1)]

    return EvalSetFile
