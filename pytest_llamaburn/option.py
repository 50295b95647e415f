"""`Option`, which declares one setting, and what is derived from a class of settings.

Each setting is declared once: in `settings.py`, or in `settings.py` of its kind of run. From that
declaration, `options.py` derives the flag of the command, the pytest option, the environment
variable, the `llamaburn.toml` key, the `config` block of a result file and the docs table. The
classes are plain, because pytest imports them in every session of the environment. `model_of`
builds the pydantic model that checks the values when it is first needed.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from pytest_llamaburn import files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

P = ParamSpec("P")
Checked = TypeVar("Checked")  # a settings class, or the model that was made of it
MOST = 2**31 - 1  # the highest value of any number; servers use 32-bit integers
MOST_S = 366 * 86_400.0


class Option:
    """One setting: its default, its help, and its name as a flag, variable and file key."""

    def __init__(  # noqa: PLR0913 - each is one fact of the declaration
        self,
        default: Any,
        help: str,  # noqa: A002 - the name that argparse uses
        *,
        group: str = "",
        short: str | None = None,
        scope: str | None = None,
        toml: str | None = None,
        join: str = "",
        example: Any = "",
        env: tuple[str, ...] = (),
        bounds: dict[str, float] | None = None,
        choices: Callable[[], tuple[str, ...]] | None = None,
        unit: str | None = None,
        bare: str | None = None,
        on: str = "",
        modes: tuple[str, ...] = (),
        unless: tuple[str, ...] = (),
        record: bool = True,
        resume: bool = False,
        path: bool = False,
        keys: str = "",
        listed: bool = False,
    ) -> None:
        """Declare an option.

        - `default`, `help`: the default value, and one line of help.
        - `group`: its heading in the help. By default, the name of its settings class.
        - `short`: a short flag.
        - `scope`: a prefix of the name, everywhere except in the command's flag. It keeps apart
          two kinds of run that use one name for different things.
        - `toml`: its key in `llamaburn.toml`. `table.*` is a whole table; each entry becomes the
          key, `join` and the value in one text, as in `example`.
        - `example`: a valid value, for an option without a default.
        - `env`: more environment variables, read after `LLAMABURN_<NAME>`.
        - `bounds`: pydantic's ge, gt, le, lt and min_length.
        - `choices`: a function that returns the valid words.
        - `unit`: the unit. With "s", the option also accepts 90s, 15m and 1h.
        - `bare`: the value of a flag that is given without one.
        - `on`: a prefix of the flag that turns a switch on.
        - `modes`: the modes that use it.
        - `unless`: the options that replace it.
        - `record=False`: it is not part of `config` in a result file.
        - `resume=True`: a resumed run may change it.
        - `path`: it names a file or directory; a leading `~` is expanded.
        - `keys`: it may name a server, which is sent the keys in variables of this pattern.
        - `listed`: its text may be a list, separated by commas; a repeated flag adds to the list.
        """
        self.default, self.help, self.group = default, help, group
        self.short, self.scope, self.env = short, scope, env
        self.toml, self.join, self.example = toml, join, example
        self.bounds, self.choices, self.unit = bounds or {}, choices, unit
        self.bare, self.on, self.modes, self.unless = bare, on, modes, unless
        self.record, self.resume, self.path, self.keys = record, resume, path, keys
        self.listed = listed
        self.name = self.annotation = ""  # `options_of` sets them

    @property
    def repeats(self) -> bool:
        """Whether the option may be given more than once."""
        return self.annotation.startswith("tuple[")

    @property
    def switch(self) -> bool:
        """Whether the option is a switch: either on or off."""
        return self.annotation == "bool"

    @property
    def key(self) -> str:
        """The name with its scope. It is unique over all kinds of run."""
        return f"{self.scope}_{self.name}" if self.scope else self.name

    @property
    def spelling(self) -> str:
        """The name with hyphens, as flags contain it."""
        return self.name.replace("_", "-")

    @property
    def flag(self) -> str:
        """The long flag that sets the option, without dashes and prefix."""
        return self.on + self.spelling

    @property
    def toml_key(self) -> str:
        """The dotted key in `llamaburn.toml`; `table.*` stands for all keys of a table."""
        return self.toml or f"defaults.{self.key}"

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that set it; the first one that is set wins."""
        return (f"LLAMABURN_{self.key.upper()}", *self.env)


def _untyped(make: Callable[P, object]) -> Callable[P, Any]:
    """Return `make` typed as returning Any, so that its result may be assigned to any attribute."""
    return make


opt = _untyped(Option)


def words(*valid: str) -> Callable[[], tuple[str, ...]]:
    """Return a function that returns these words, for `choices`."""
    return lambda: valid


def compared(scope: str | None = None, alike: str = "the model") -> Any:
    """Return the option --compare of a kind; `last` is the newest file of the `alike` ones."""
    return opt(
        None,
        f"compare with this result file or run id; last: the newest earlier file of {alike}",
        scope=scope,
        bare="last",
        record=False,
        path=True,
        example="last",
    )


def gates_on_change(example: str, scope: str | None = None) -> Any:
    """Return the option --fail-if of a kind, with an example of a gate."""
    return opt(
        (),
        f"with --compare, a gate on the change, such as '{example}'; repeatable",
        scope=scope,
        record=False,
    )


def budgeted(scope: str, example: str = "3m", **more: Any) -> Any:
    """Return the option --budget of a kind."""
    return opt(
        None,
        f"end the run before this time is over, such as {example}",
        scope=scope,
        unit="s",
        bounds={"gt": 0},
        example=example,
        **more,
    )


@cache
def options_of(kind: type) -> tuple[Option, ...]:
    """Return the options of a settings class, inherited ones first."""
    declared: dict[str, Option] = {}
    for base in reversed(kind.__mro__):
        for name, annotation in getattr(base, "__annotations__", {}).items():
            option = base.__dict__[name]
            option.name, option.annotation = name, annotation
            option.group = option.group or base.__name__
            option.bounds = {**_most(option), **option.bounds}
            declared[name] = option
    return tuple(declared.values())


@cache
def model_of(kind: type) -> type[BaseModel]:
    """Return the frozen pydantic model that checks the values of a settings class."""
    from typing import get_type_hints

    from pydantic import ConfigDict, create_model

    hints = get_type_hints(kind)
    fields: dict[str, Any] = {o.name: _field(o, hints[o.name]) for o in options_of(kind)}
    config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    return create_model(kind.__name__, __config__=config, __doc__=kind.__doc__, **fields)


def changed(settings: Checked, values: Mapping[str, Any]) -> Checked:
    """Return checked settings with other values, which are not checked."""
    model = cast("BaseModel", settings)
    return cast("Checked", model.model_copy(update=values))


def _field(option: Option, hint: Any) -> tuple[Any, Any]:
    from typing import Annotated

    from pydantic import AfterValidator, BeforeValidator, Field

    bounds = cast("Any", option.bounds)
    field: Any = Field(default=option.default, description=option.help, **bounds)
    if option.unit == "s":
        hint = Annotated[hint, BeforeValidator(seconds)]
    if "str" in option.annotation:
        hint = Annotated[hint, AfterValidator(_at_home if option.path else _readable)]
    if option.choices:
        hint = Annotated[hint, AfterValidator(lambda word: _chosen(word, option))]
    return hint, field


def _most(option: Option) -> dict[str, float]:
    """Return the highest value that servers, clocks, files and random generators accept.

    It holds for a number whose declaration has no upper bound.
    """
    if option.annotation.startswith("int"):
        return {"le": MOST}
    if option.annotation.startswith("float"):
        return {"le": MOST_S if option.unit == "s" else MOST}
    return {}


def _readable(value: Any) -> Any:
    """Return text unchanged; raises ValueError if its bytes were not valid in the locale."""
    for text in value if isinstance(value, tuple) else (value or "",):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("it is not text in this locale's encoding") from None
    return value


def _at_home(value: Any) -> Any:
    """Return paths with `~` expanded; a shell does not expand it in `--flag=~/path`."""
    if isinstance(value, tuple):
        return tuple(map(_at_home, value))
    in_home = isinstance(value, str) and value.startswith("~")
    return str(files.home(value)) if in_home else value


def _chosen(word: str | None, option: Option) -> str | None:
    valid = option.choices() if option.choices else ()
    if word is not None and word not in valid:
        msg = f"must be one of {', '.join(valid)}"
        raise ValueError(msg)
    return word


def seconds(value: Any) -> Any:
    """Return a duration such as 90s, 15m, 1h or 250ms in seconds; other values unchanged."""
    text = str(value).strip().lower()
    for suffix, scale in (("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)):
        if text.endswith(suffix):
            try:
                return float(text.removesuffix(suffix)) * scale
            except ValueError:
                break
    return value
