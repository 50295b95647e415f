"""Write the eval sets with images: `python scripts/draw_media_sets.py`.

Each image is described in the set and drawn at first use. The digests of the pixels are those of
this machine's Pillow; a test draws the images again and compares.
"""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

from pytest_llamaburn.modalities import _drawing

FOLDER = Path(__file__).parent.parent / "media_sets"
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "black", "gray")
SHAPES = ("circle", "square", "triangle", "star", "diamond", "hexagon")
PLACES = {
    "upper left": (80, 80),
    "upper right": (240, 80),
    "lower left": (80, 240),
    "lower right": (240, 240),
}
SHORT = "Answer with one word or a short phrase."
WORDS = (
    *("river", "market", "winter", "garden", "letter", "silver", "bridge", "window", "orange"),
    *("travel", "forest", "summer", "dinner", "bottle", "candle", "island", "mirror", "ticket"),
)
Spec = dict[str, Any]


def medium(spec: Spec) -> Spec:
    """Return a description with the digest of its pixels."""
    pixels = _drawing.drawn(spec).tobytes()
    return {"make": spec, "sha256": hashlib.sha256(pixels).hexdigest()}


def question(name: str, level: str, prompt: str, spec: Spec, **fields: Any) -> Spec:
    """Return a question about one image."""
    return {
        "id": name,
        "prompt": prompt,
        "category": name.rpartition("-")[0],
        **fields,
        "media": [medium(spec)],
        "options": {**fields.get("options", {}), "level": level},
    }


def canvas(*items: Spec, size: tuple[int, int] = (320, 320), **effects: Any) -> Spec:
    """Return the description of an image."""
    return {"size": [*size], "items": [*items], **effects}


def shape(form: str, fill: str, at: tuple[int, int], size: int = 50) -> Spec:
    """Return the description of a shape."""
    return {"shape": form, "at": [*at], "size": size, "fill": fill}


def level(number: int, count: int) -> str:
    """Return how hard the question with this number is."""
    return ("easy", "medium", "hard")[3 * number // count]


def about_colours() -> list[Spec]:
    """Return questions about colours: of a whole image, of one shape, of one shape among others."""
    found = []
    for n, colour in enumerate(COLOURS[:6]):
        other = COLOURS[(n + 3) % 6]
        if n < 2:
            prompt, spec = "What colour is this image?", canvas(background=colour)
        elif n < 4:
            prompt = "What colour is the shape?"
            spec = canvas(shape(SHAPES[n], colour, (160, 160), 100))
        else:
            prompt = "What colour is the circle?"
            spec = canvas(shape("circle", colour, (90, 200)), shape("square", other, (230, 110)))
        found.append(vqa(f"colour-{n + 1}", level(n, 6), prompt, spec, colour))
    return found


def vqa(name: str, hard: str, prompt: str, spec: Spec, right: str, *more: str) -> Spec:
    """Return a question with a short answer."""
    accept = {"accept": [*more]} if more else {}
    return question(name, hard, f"{prompt} {SHORT}", spec, reference=right, scorer="vqa", **accept)


def about_shapes() -> list[Spec]:
    """Return questions about forms, smaller and blurred towards the end."""
    names = {"diamond": ("rhombus", "square"), "square": ("rectangle",)}
    found = []
    for n, form in enumerate(SHAPES):
        effects: Spec = {"blur": 3, "noise": 90, "seed": n} if n > 3 else {}
        spec = canvas(shape(form, COLOURS[n], (160, 160), 110 - 12 * n), **effects)
        more = names.get(form, ())
        found.append(vqa(f"shape-{n + 1}", level(n, 6), "What shape is this?", spec, form, *more))
    return found


def about_counts(rng: random.Random) -> list[Spec]:
    """Return questions about numbers, among other shapes towards the end."""
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight")
    found = []
    for n, count in enumerate((1, 2, 3, 5, 4, 7)):
        cells = rng.sample([(60 + 65 * x, 60 + 65 * y) for x in range(4) for y in range(4)], 12)
        items = [shape("circle", "blue", cells[i], 24) for i in range(count)]
        if n > 3:
            items += [shape("square", "red", cells[i], 22) for i in range(count, count + 4)]
        prompt = "How many blue circles are in this image?"
        right = words[count - 1]
        spec = canvas(*items)
        found.append(vqa(f"count-{n + 1}", level(n, 6), prompt, spec, right, str(count)))
    return found


def about_places() -> list[Spec]:
    """Return questions about what is where."""
    pairs = (("red", "blue"), ("green", "orange"), ("yellow", "purple"))
    found = []
    for n, (left, right) in enumerate(pairs):
        spec = canvas(shape("square", left, (90, 160)), shape("square", right, (230, 160)))
        prompt = f"Which colour is on the {('left', 'right', 'left')[n]}?"
        found.append(vqa(f"place-{n + 1}", level(n, 6), prompt, spec, (left, right, left)[n]))
    for n, place in enumerate(("upper right", "lower left", "lower right"), 4):
        items = [
            shape(SHAPES[(i + n) % 6], COLOURS[(i * 2 + n) % 7], at, 45)
            for i, at in enumerate(PLACES.values())
        ]
        index = [*PLACES].index(place)
        prompt = f"What colour is the shape in the {place} corner?"
        answer = str(items[index]["fill"])
        more = ("grey",) if answer == "gray" else ()
        found.append(vqa(f"place-{n}", level(n - 1, 6), prompt, canvas(*items), answer, *more))
    return found


def about_texts() -> list[Spec]:
    """Return questions about written words, smaller and turned towards the end."""
    found = []
    for n, word in enumerate(("STOP", "OPEN", "EXIT 7", "Platform 12", "K4-9TX", "14:35 Oslo")):
        size = 80 - 11 * n
        effects: Spec = {"turn": 8 * (n - 3)} if n > 3 else {}
        spec = canvas({"text": word, "at": [30, 110], "size": size}, **effects)
        prompt = "What is written in this image?"
        found.append(vqa(f"text-{n + 1}", level(n, 6), prompt, spec, word))
    return found


def described(rng: random.Random) -> list[Spec]:
    """Return scenes of one to six shapes to describe, each with the facts to find."""
    found = []
    for n in range(24):
        count = 1 + n // 4
        places = rng.sample([*PLACES, "middle", "top"], count)
        spots = {**PLACES, "middle": (160, 160), "top": (160, 45)}
        forms = [rng.choice(SHAPES[:4]) for _ in places]
        fills = rng.sample(COLOURS[:7], count)
        items = [
            shape(form, fill, spots[place], 38)
            for form, fill, place in zip(forms, fills, places, strict=True)
        ]
        facts = [f"{fill} {form}" for form, fill in zip(forms, fills, strict=True)]
        kind = "one" if count == 1 else "few" if count < 4 else "many"
        found.append(
            question(
                f"{kind}-{n + 1}",
                level(n, 24),
                "Describe this image: name every shape with its colour, as in 'a pink oval'.",
                canvas(*items),
                reference="; ".join(facts),
                rubric="The description names each of these shapes with its colour, and no other: "
                + "; ".join(facts),
                scorer="facts",
                options={"facts": facts},
            )
        )
    return found


def written(lines: list[str], size: int, width: int = 640, **effects: Any) -> Spec:
    """Return the description of a page with lines of text."""
    step = round(size * 1.5)
    items = [
        {"text": line, "at": [24, 24 + step * n], "size": size} for n, line in enumerate(lines)
    ]
    return canvas(*items, size=(width, 48 + step * len(lines)), **effects)


def sentence(rng: random.Random, words: int) -> str:
    """Return a line of words."""
    return " ".join(rng.choice(WORDS) for _ in range(words)).capitalize() + "."


def read(name: str, hard: str, lines: list[str], spec: Spec) -> Spec:
    """Return a page to transcribe."""
    return question(
        name,
        hard,
        "Transcribe all text in this image exactly. Reply with the text only.",
        spec,
        reference="\n".join(lines),
        scorer="cer",
        options={"max_cer": 0.05},
    )


def documents(rng: random.Random) -> list[Spec]:
    """Return lines, pages, damaged pages, and receipts and forms with fields."""
    found = []
    for n in range(6):
        lines = [sentence(rng, 3 + n // 2)]
        found.append(read(f"line-{n + 1}", "easy", lines, written(lines, 36 - 3 * n)))
    for n in range(6):
        lines = [sentence(rng, 6) for _ in range(4 + n)]
        found.append(read(f"page-{n + 1}", "medium", lines, written(lines, 22 - n)))
    for n in range(6):
        lines = [sentence(rng, 5) for _ in range(4)]
        effects = ({"noise": 70 + 20 * n, "seed": n}, {"turn": n + 1}, {"blur": 1})[n % 3]
        found.append(read(f"damaged-{n + 1}", "hard", lines, written(lines, 22, **effects)))
    return [*found, *(receipt(rng, n) for n in range(8))]


def receipt(rng: random.Random, n: int) -> Spec:
    """Return a receipt whose fields are asked for as JSON."""
    prices = [rng.randrange(120, 4990) / 100 for _ in range(2 + n)]
    goods = rng.sample(WORDS, len(prices))
    number = f"{rng.randrange(10_000, 99_999)}"
    day = f"2026-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"
    shop = f"{rng.choice(WORDS).capitalize()} & {rng.choice(WORDS).capitalize()}"
    lines = [shop, f"Receipt {number}", f"Date {day}", ""]
    lines += [f"{name}   {price:.2f}" for name, price in zip(goods, prices, strict=True)]
    lines += ["", f"Total   {sum(prices):.2f}"]
    effects = {"noise": 60, "seed": n} if n > 5 else {}
    return question(
        f"receipt-{n + 1}",
        level(n, 8),
        "Read this receipt. Reply with a JSON object with the fields shop, number, date and total.",
        written(lines, 20, 420, **effects),
        reference=json.dumps({"shop": shop, "number": number, "date": day}),
        scorer="fields",
        options={
            "fields": {
                "shop": shop,
                "number": number,
                "date": day,
                "total": f"{sum(prices):.2f}",
            }
        },
    )


def sets() -> dict[str, Spec]:
    """Return the content of each set by name."""
    rng = random.Random(7)  # noqa: S311 - reproducible pictures
    asked = [
        *about_colours(),
        *about_shapes(),
        *about_counts(rng),
        *about_places(),
        *about_texts(),
    ]
    return {
        "image_qa": {
            "description": "Short questions about colours, shapes, numbers, places and texts.",
            "input": {
                "prompt": f"What is in this image? {SHORT}",
                "scorer": "vqa",
            },
            "questions": asked,
        },
        "image_describe": {
            "description": "Scenes of one to six shapes to describe.",
            "input": {"prompt": "Describe this image in detail.", "scorer": "judge"},
            "questions": described(rng),
        },
        "ocr_documents": {
            "description": "Lines, pages, damaged pages and receipts to read.",
            "input": {
                "prompt": "Transcribe all text in this image exactly. Reply with the text only.",
                "scorer": "cer",
            },
            "questions": documents(rng),
        },
    }


def main() -> None:
    """Write the sets."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in sets().items():
        whole = {"name": name, "version": "1.0", "modality": "image", **content}
        text = json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
        (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
        print(f"{name}: {len(content['questions'])} questions")


if __name__ == "__main__":
    main()
