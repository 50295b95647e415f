"""A card to share: the headline numbers of one result, with nothing that names person or machine.

Only the facts listed here leave the file. A model that was named by a path keeps its file name, and
addresses are left out of every text. The same facts as JSON can be collected and compared.
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.charts import Card
from pytest_llamaburn.errors import MissingExtraError, ResultsError
from pytest_llamaburn.reports import _defaults
from pytest_llamaburn.reports._svg import text
from pytest_llamaburn.store import results
from pytest_llamaburn.tables import ABSENT, room

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.documents import Document

SCHEMA = "llamaburn/card"
SUFFIXES = (".svg", ".png", ".md", ".json")
_MOST = 9  # headline numbers in a picture
_COLUMNS, _WIDTH, _PAD, _CELL = 3, 720, 28, 76
_INK, _MUTED, _PAPER, _LINE = "#16181d", "#5b6270", "#ffffff", "#d5d9e0"
_ADDRESS = re.compile(r"\w+://\S+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b")
_PATH = re.compile(r"^(?:[/~.\\]|[A-Za-z]:[\\/])")


class Text(NamedTuple):
    """A text of the picture: its place (left, baseline), its size in pixels and its colour."""

    x: float
    y: float
    size: int
    words: str
    colour: str = _INK
    bold: bool = False


class Picture(NamedTuple):
    """A card as texts and the places of its lines, in pixels from the top left."""

    height: int
    texts: list[Text]
    lines: list[int]


def facts(document: Document) -> Document:
    """Return the facts of a card; `measures` has every number of the file with its interval."""
    if "model" not in document:
        kind = str(document["schema"]).removeprefix(results.PREFIX)
        raise ResultsError(f"results card: a {kind} has no card: name a result of a run")
    model, machine = document["model"], document["environment"]
    known = [card for card in _defaults.cards(document) if card.value != ABSENT]
    return {
        "schema": SCHEMA,
        "schema_version": 1,
        "kind": document["schema"].removeprefix(results.PREFIX),
        "status": document["status"],
        "date": document["timestamp"][:10],
        "model": {
            "id": _model(model["id"]),
            **{k: model[k] for k in ("quantization", "parameter_size", "family", "digest")},
        },
        "server": {k: document["server"][k] for k in ("kind", "version")},
        "machine": {
            **{k: machine.get(k) for k in ("os", "cpu", "cores_logical", "ram_mb")},
            "gpus": [gpu["name"] or gpu["vendor"] for gpu in machine["gpus"]],
            "usable": room(machine),
        },
        "headlines": [_public(card)._asdict() for card in known][:_MOST],
        "measures": dict(_measures(document)),
        "llamaburn": machine["llamaburn"],
    }


def rendered(document: Document, suffix: str) -> bytes:
    """Return the card of a result in the format of a file name's suffix.

    Raises ResultsError for another suffix, and for a comparison, which has no card.
    """
    about = facts(document)
    if suffix == ".svg":
        return svg(about).encode()
    if suffix == ".png":
        return png(about)
    if suffix == ".md":
        return markdown(about).encode()
    if suffix == ".json":
        return (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode()
    known = ", ".join(SUFFIXES)
    raise ResultsError(f"results card: '{suffix}' is no format of cards; known: {known}")


def markdown(about: Document) -> str:
    """Return the card as Markdown."""
    rows = [_cells(Card(**card)) for card in about["headlines"]]
    table = "".join(f"| {label} | {value} | {note} |\n" for label, value, note in rows)
    facts = "".join(f"{_escaped(line)}  \n" for line in _lines(about))
    return f"**{_escaped(_title(about))}**\n\n{facts}\n| | | |\n| --- | ---: | --- |\n{table}"


def svg(about: Document) -> str:
    """Return the card as a picture of its own."""
    picture = _laid_out(about)
    size = f'width="{_WIDTH}" height="{picture.height}"'
    lines = "".join(
        f'<path d="M{_PAD} {y}H{_WIDTH - _PAD}" stroke="{_LINE}"/>' for y in picture.lines
    )
    texts = "".join(map(_text, picture.texts))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {_WIDTH} {picture.height}" '
        f'font-family="system-ui, sans-serif" role="img"><title>{text(_title(about))}</title>'
        f'<rect {size} fill="{_PAPER}"/>{lines}{texts}</svg>\n'
    )


def _text(one: Text) -> str:
    weight = 600 if one.bold else 400
    return (
        f'<text x="{one.x:g}" y="{one.y:g}" font-size="{one.size}" font-weight="{weight}" '
        f'fill="{one.colour}">{text(one.words)}</text>'
    )


def png(about: Document) -> bytes:
    """Return the card as a PNG of twice its size; raises MissingExtraError without Pillow."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        raise MissingExtraError("image", "results card: a PNG") from None

    picture, scale = _laid_out(about), 2
    image = Image.new("RGB", (_WIDTH * scale, picture.height * scale), _PAPER)
    pen = ImageDraw.Draw(image)
    for y in picture.lines:
        ends = (_PAD * scale, y * scale, (_WIDTH - _PAD) * scale, y * scale)
        pen.line(ends, fill=_LINE, width=scale)
    for t in picture.texts:
        font = ImageFont.load_default(t.size * scale)
        place, stroke = (t.x * scale, t.y * scale), 0.6 if t.bold else 0
        pen.text(place, t.words, t.colour, font, "ls", stroke_width=stroke, stroke_fill=t.colour)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _laid_out(about: Document) -> Picture:
    """Return the texts of the picture: the model, the facts, then the numbers in columns."""
    texts = [Text(_PAD, 46, 24, _title(about), bold=True)]
    y = 46
    for line in _lines(about):
        y += 21
        texts.append(Text(_PAD, y, 14, line, _MUTED))
    top = y + 22
    cards = [Card(**card) for card in about["headlines"]]
    wide = (_WIDTH - 2 * _PAD) / _COLUMNS
    for index, card in enumerate(cards):
        row, column = divmod(index, _COLUMNS)
        x, y = _PAD + column * wide, top + 30 + row * _CELL
        label, value, note = _cells(card)
        texts += [
            Text(x, y, 12, _fitted(label, wide, 12), _MUTED),
            Text(x, y + 24, 19, _fitted(value, wide, 19), bold=True),
            Text(x, y + 41, 12, _fitted(note, wide, 12), _MUTED),
        ]
    bottom = top + 20 + -(-len(cards) // _COLUMNS) * _CELL
    words = f"LlamaBurn {about['llamaburn']} · {about['date']} · {about['status']}"
    texts.append(Text(_PAD, bottom + 24, 12, words, _MUTED))
    return Picture(bottom + 44, texts, [top, bottom])


def _cells(card: Card) -> tuple[str, str, str]:
    """Return the label, the value with its unit, and the interval with its note."""
    value = f"{card.value} {card.unit}".strip()
    return card.label, value, ", ".join(filter(None, (card.spread, card.note)))


def _title(about: Document) -> str:
    model = about["model"]
    details = ", ".join(filter(None, (model["quantization"], model["parameter_size"])))
    return f"{model['id']} ({details})" if details else str(model["id"])


def _lines(about: Document) -> Iterator[str]:
    """Yield the lines below the title: what was measured, on what."""
    machine, server, model = about["machine"], about["server"], about["model"]
    digest = f" · digest {model['digest'][:12]}" if model["digest"] else ""
    engine = f"{server['kind']} {server['version'] or ''}".strip()
    yield f"{about['kind'].replace('-', ' ')} · {engine}{digest}"
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    yield f"{machine['cpu']} · {machine['usable']} · {gpus} · {machine['os']}"


def _measures(document: Document) -> Iterator[tuple[str, Any]]:
    """Yield every measure of the file that has a value, those of distributions as their mean."""
    for name, measure, statistic, seen in _defaults.values(document):
        interval = None if seen.interval is None else list(seen.interval)
        unit = measure.unit_of(statistic)
        yield name, {"value": seen.value, "unit": unit, "ci95": interval}


def _public(card: Card) -> Card:
    """Return a card whose texts have no addresses."""
    return Card(*(_ADDRESS.sub("…", words) for words in card))


def _model(name: str) -> str:
    """Return the name of a model; of a path only its last part."""
    return re.split(r"[\\/]", name)[-1] if _PATH.match(name) else _ADDRESS.sub("…", name)


def _fitted(words: str, width: float, size: int) -> str:
    """Return words that fit into a column, by the usual width of letters."""
    most = int((width - 10) / (size * 0.54))
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def _escaped(words: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", words)
