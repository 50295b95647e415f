"""Music in ABC notation: whether it can be read, and whether it keeps to what was asked for.

An answer is right if it is valid ABC and keeps to each of these options of the question that is
set: `seconds`, the duration, from which it may differ by the share `within` (a tenth by default);
`key`, such as "Em": it must be the key of the tune, and nine of ten notes must be in its scale;
`metre`, such as "3/4": it must be that of the tune, and nine of ten bars must have its length;
`bars`, the number of bars as they are played.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn.notation import keys, reading
from pytest_llamaburn.notation.playing import AbcError
from pytest_llamaburn.scorers import _base, _text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.notation.tune import Tune
    from pytest_llamaburn.scorers._base import Question, Score

NEEDS = ()
RATES = ("parse_rate", "key_obeyed", "metre_obeyed")
_WITHIN: Final = 0.1
_MOST_OF: Final = 0.9  # of the notes, or of the bars


def score(answer: str, question: Question) -> Score:
    """Return the score; its details are what was asked for, what was found, and counts of both."""
    said = _text.spoken(answer)
    asked = {f"{n}s_asked": int(n in question.options) for n in ("key", "metre")}
    details: dict[str, Any] = {"parsed": 0, "keys_right": 0, "metres_right": 0, **asked}
    if not said:
        return _base.empty()._replace(details=details)
    try:
        tune = reading.tune_in(said)
    except AbcError as err:
        return _base.unparsable(f"it is no ABC: {err}")._replace(details=details)
    broken = dict(_broken(tune, question))
    details |= {"parsed": 1, **_facts(tune)}
    details |= {
        f"{n}s_right": int(asked[f"{n}s_asked"] and n not in broken) for n in ("key", "metre")
    }
    words = "; ".join(broken.values())
    return _base.scored(not broken, reading.text_in(said), words, **details)


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason of a wrong option."""
    yield from _base.bad_figures(question, "seconds", "within", "bars")
    key = question.options.get("key")
    if key is not None and not (isinstance(key, str) and keys.key_of(key)):
        yield "key", f"{key!r} is no key: write G, Em or Bb"
    metre = question.options.get("metre")
    if metre is not None and not isinstance(metre, str):
        yield "metre", f"{metre!r} is no metre: write 3/4"


def _facts(tune: Tune) -> dict[str, Any]:
    return {
        "seconds": tune.seconds,
        "key": str(tune.key),
        "metre": tune.metre_text,
        "tempo": tune.tempo,
        "notes": len(tune.notes),
        "bars": tune.bars,
        "bars_right": tune.bars_right,
        "in_scale": tune.share_in(tune.key),
    }


def _broken(tune: Tune, question: Question) -> Iterator[tuple[str, str]]:
    """Yield the name of each option that a tune does not keep to, and why."""
    options = question.options
    if "seconds" in options:
        asked, within = float(options["seconds"]), float(options.get("within", _WITHIN))
        if abs(tune.seconds - asked) > asked * within:
            yield "seconds", f"it lasts {tune.seconds:g} s instead of {asked:g} s"
    if "bars" in options and tune.bars != options["bars"]:
        yield "bars", f"it has {tune.bars} bars instead of {options['bars']}"
    if "key" in options:
        yield from _of_key(tune, str(options["key"]))
    if "metre" in options:
        yield from _of_metre(tune, str(options["metre"]))


def _of_key(tune: Tune, asked: str) -> Iterator[tuple[str, str]]:
    wanted = keys.key_of(asked)
    if wanted is None or tune.key != wanted:
        yield "key", f"its key is {tune.key} instead of {wanted or asked}"
    elif (share := tune.share_in(wanted)) < _MOST_OF:
        yield "key", f"{share:.0%} of its notes are in the scale of {wanted}"


def _of_metre(tune: Tune, asked: str) -> Iterator[tuple[str, str]]:
    if tune.metre_text != asked:
        yield "metre", f"its metre is {tune.metre_text} instead of {asked}"
    elif not tune.bars or tune.bars_right / tune.bars < _MOST_OF:
        yield "metre", f"{tune.bars_right} of {tune.bars} bars have the length of {asked}"
