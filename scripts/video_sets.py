"""Write the eval sets with videos: `python scripts/video_sets.py`.

Each clip is described in the set and filmed at first use. The digests are those of this machine's
libraries; a test films some clips again and compares.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from pytest_llamaburn.modalities import video

FOLDER = Path(__file__).parent.parent / "media_sets"
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "white", "black")
SHAPES = ("circle", "square", "triangle", "star", "diamond", "hexagon")
SIZE, SMALL = (256, 192), (160, 120)
MIDDLE = (128, 96)
SHORT = "Answer with one word or a short phrase."
LISTED = "Answer with the colours only, separated by commas."
COUNTED = "Answer with one number."
LEVELS = ("easy", "medium", "hard")
MINUTES = (1, 5, 10, 20, 30, 60)
WORDS = ("harbour", "violin", "meadow", "lantern", "compass", "orchard")
FOUR = (
    "Four colours fill most of this video, one after another. Which are they, from first to last? "
    f"Leave out black. {LISTED}"
)
HEARD = {"beep": "a beep", "noise": "noise", "clicks": "clicks"}
Spec = dict[str, Any]


def scene(at: float, background: str, *items: Spec) -> Spec:
    """Return a scene that begins at a time."""
    return {"at": at, "background": background, "items": [*items]}


def shape(form: str, fill: str, at: tuple[int, int] = MIDDLE, size: int = 50) -> Spec:
    """Return the description of a shape."""
    return {"shape": form, "at": [*at], "size": size, "fill": fill}


def clip(seconds: float, scenes: list[Spec], *sound: Spec, rate: float = 2) -> Spec:
    """Return the description of a clip."""
    about = {"seconds": seconds, "frames_per_second": rate, "size": [*SIZE], "scenes": scenes}
    return {**about, **({"sound": [*sound]} if sound else {})}


def question(name: str, level: str, prompt: str, spec: Spec, **fields: Any) -> Spec:
    """Return a question about one clip; its digest is added when the clip is filmed."""
    options = {"level": level, **fields.pop("options", {})}
    return {
        "id": name,
        "prompt": prompt,
        "category": name.rpartition("-")[0],
        **fields,
        "media": [{"make": spec}],
        "options": options,
    }


def level(number: int, count: int) -> str:
    """Return how hard the question with this number is."""
    return LEVELS[3 * number // count]


def in_order(colours: list[str]) -> Spec:
    """Return how an answer with exactly these colours in this order is scored."""
    other = rf"(?:(?!\b(?:{'|'.join(COLOURS)})\b).)*"
    pattern = f"(?is)^{other}" + "".join(rf"\b{one}\b{other}" for one in colours) + "$"
    return {"reference": ", ".join(colours), "scorer": "regex", "pattern": pattern}


def about_order() -> list[Spec]:
    """Return questions about the order of colours: from three to seven, in up to 14 s."""
    found = []
    for n, count in enumerate((3, 3, 4, 5, 6, 7)):
        shown = [COLOURS[(3 * n + 5 * i) % 8] for i in range(count)]
        spec = clip(2 * count, [scene(2 * i, colour) for i, colour in enumerate(shown)])
        prompt = f"Which colours fill this video, one after another, from first to last? {LISTED}"
        own = {**in_order(shown), "options": {"temporal": True}}
        found.append(question(f"order-{n + 1}", level(n, 6), prompt, spec, **own))
    return found


def about_times() -> list[Spec]:
    """Return questions about when a shape appears, or the last one of several does."""
    found = []
    for n, at in enumerate((4, 7, 5, 9, 11, 8)):
        form, fill = SHAPES[n], COLOURS[(n + 2) % 6]
        scenes = [scene(0, "white"), scene(at, "white", shape(form, fill))]
        if n >= 2:
            scenes = [
                scene(0, "white", shape(SHAPES[n - 1], "black", (60, 96), 30)),
                scene(at, "white", shape(form, fill, (190, 96), 30)),
            ]
        if n >= 4:
            scenes.insert(1, scene(3, "white", shape(SHAPES[n - 2], "orange", (190, 96), 30)))
        prompt = f"After how many seconds does the {fill} {form} appear? {COUNTED}"
        scored = {"reference": str(at), "scorer": "number", "tolerance": 1}
        own = {**scored, "options": {"temporal": True}}
        found.append(question(f"when-{n + 1}", level(n, 6), prompt, clip(14, scenes), **own))
    return found


def about_counts() -> list[Spec]:
    """Return questions about how often the screen flashes, among other flashes towards the end."""
    found = []
    for n, count in enumerate((2, 3, 4, 3, 5, 4)):
        colour, other = COLOURS[n % 6], COLOURS[(n + 3) % 6]
        flashes = [colour] * count
        for place in range(n - 2 if n > 2 else 0):
            flashes.insert(1 + 2 * place, other)
        scenes = [scene(0, "black")]
        for i, shown in enumerate(flashes):
            scenes += [scene(1 + 2 * i, shown), scene(2 + 2 * i, "black")]
        prompt = f"How often does the black screen turn {colour} in this video? {COUNTED}"
        own = {"reference": str(count), "scorer": "number", "options": {"temporal": True}}
        spec = clip(2 * len(flashes) + 1, scenes)
        found.append(question(f"count-{n + 1}", level(n, 6), prompt, spec, **own))
    return found


def about_motion() -> list[Spec]:
    """Return questions about the direction of a shape; towards the end two move."""
    found = []
    ways = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}
    for n, way in enumerate(("right", "up", "left", "down", "right", "left")):
        other = [*ways][(n + 2) % 4]
        scenes = []
        for second in range(8):
            items = [moving("circle", COLOURS[n], ways[way], second)]
            items += [moving("square", "black", ways[other], second)] if n >= 3 else []
            scenes.append(scene(second, "white", *items))
        prompt = f"In which direction does the circle move: left, right, up or down? {SHORT}"
        own = {"reference": way, "scorer": "vqa"}
        found.append(question(f"motion-{n + 1}", level(n, 6), prompt, clip(8, scenes), **own))
    return found


def moving(form: str, fill: str, way: tuple[int, int], second: int) -> Spec:
    """Return a shape on its way over the middle of the screen."""
    step = second - 3.5
    place = (round(128 + way[0] * step * 24), round(96 + way[1] * step * 18))
    return shape(form, fill, place, 24)


def about_things() -> list[Spec]:
    """Return questions about what is seen at some point: first, last, or between others."""
    found = []
    for n in range(6):
        forms = [SHAPES[(n + i) % 6] for i in range(3 + n // 2)]
        fills = [COLOURS[(2 * n + i) % 6] for i in range(len(forms))]
        scenes = [
            scene(3 * i, "white", shape(form, fill))
            for i, (form, fill) in enumerate(zip(forms, fills, strict=True))
        ]
        place = (0, -1, 1)[n % 3]
        words = ("shown first", "shown last", f"shown right after the {forms[0]}")[n % 3]
        prompt = f"What colour is the shape that is {words} in this video? {SHORT}"
        own = {"reference": fills[place], "scorer": "vqa"}
        spec = clip(3 * len(forms), scenes)
        found.append(question(f"thing-{n + 1}", level(n, 6), prompt, spec, **own))
    return found


def about_sound() -> list[Spec]:
    """Return questions that need picture and sound."""
    found = []
    for n in range(6):
        colours = [COLOURS[(n + 2 * i) % 6] for i in range(3 + n // 3)]
        kinds = [[*HEARD][(n + i) % 3] for i in range(len(colours))]
        place = (1, 0, 2)[n % 3]
        scenes = [scene(3 * i, colour) for i, colour in enumerate(colours)]
        events = [
            {"sound": kind, "at": 3 * i + 1, "seconds": 1, "frequency": 660, "seed": n}
            for i, kind in enumerate(kinds)
        ]
        if n % 2:
            heard = f"What is heard while the screen is {colours[place]}"
            prompt = f"{heard}: a beep, noise or clicks? {SHORT}"
            right, accept = HEARD[kinds[place]], [kinds[place], kinds[place].removesuffix("s")]
        else:
            events = [events[place]]
            prompt = f"Which colour fills the screen while {HEARD[kinds[place]]} is heard? {SHORT}"
            right, accept = colours[place], []
        own: Spec = {"reference": right, "scorer": "vqa", "options": {"audio_visual": True}}
        own |= {"accept": accept} if accept else {}
        spec = clip(3 * len(colours), scenes, *events)
        found.append(question(f"sound-{n + 1}", level(n, 6), prompt, spec, **own))
    return found


def long_clip(number: int, minutes: int) -> tuple[Spec, Spec]:
    """Return the description of a long clip, and what is right of it.

    Four colours fill a quarter each. A star appears once, for a tenth of the clip; the screen turns
    black some times, for a 32nd part each; a word is shown for a 40th part.
    """
    whole = 60 * minutes
    colours = [COLOURS[(number + 3 * i) % 7] for i in range(4)]
    star_at = (0.3, 0.55, 0.8, 0.15, 0.6, 0.4)[number]
    dark = [0.08, 0.47, 0.9, 0.7][: 2 + number % 3]
    word_at = (0.62, 0.2, 0.72, 0.33, 0.86, 0.52)[number]
    marks = {0.0, 0.25, 0.5, 0.75, star_at, star_at + 0.1, word_at, word_at + 1 / 40}
    marks |= {at for one in dark for at in (one, one + 1 / 32)}

    def at(share: float) -> Spec:
        is_dark = any(one <= share < one + 1 / 32 for one in dark)
        items = []
        if star_at <= share < star_at + 0.1 and not is_dark:
            items.append(shape("star", "gray", (80, 60), 40))
        if word_at <= share < word_at + 1 / 40:
            colour = "white" if is_dark else "black"
            items.append({"text": WORDS[number], "at": [10, 90], "size": 24, "fill": colour})
        return scene(whole * share, "black" if is_dark else colours[int(4 * share)], *items)

    rate = 1 if minutes <= 10 else 0.5
    spec = clip(whole, [at(mark) for mark in sorted(marks)], rate=rate)
    right = {
        "colours": colours,
        "star": star_at * minutes,
        "dark": len(dark),
        "word": WORDS[number],
    }
    return {**spec, "size": [*SMALL]}, right


def video_long() -> Spec:
    """Return the set of long clips, with four questions about each."""
    found = [one for n, minutes in enumerate(MINUTES) for one in about_long(n, minutes)]
    about = "Questions about videos of 1 minute to 1 hour: order, time, number, and a word."
    return whole("video_long", about, found)


def about_long(number: int, minutes: int) -> list[Spec]:
    """Return the questions about one long clip."""
    spec, right = long_clip(number, minutes)
    unit, at = ("seconds", 60 * right["star"]) if minutes == 1 else ("minutes", right["star"])
    whole_s = 60 if minutes == 1 else minutes
    order = in_order(right["colours"])
    order["pattern"] = order["pattern"].replace("|black", "")
    near = round(0.08 * at + 0.06 * whole_s, 2)
    time = {"options": {"temporal": True, "minutes": minutes}}
    seen = {"options": {"minutes": minutes}}
    when = {"reference": f"{at:g}", "scorer": "number", "tolerance": near, **time}
    count = {"reference": str(right["dark"]), "scorer": "number", **time}
    word = {"reference": right["word"], "scorer": "includes", **seen}
    hard = LEVELS[2 - number % 2]  # with 16 frames, the word of every other clip is not seen
    name = f"{minutes}min"
    star = f"About how many {unit} after the start of this video does a gray star appear? {COUNTED}"
    dark = f"How often does the whole screen turn black in this video? {COUNTED}"
    text = f"Which word is written in this video? {SHORT}"
    return [
        question(f"order-{name}", "easy", FOUR, spec, **order, **time),
        question(f"when-{name}", "medium", star, spec, **when),
        question(f"count-{name}", "hard", dark, spec, **count),
        question(f"text-{name}", hard, text, spec, **word),
    ]


def video_mme() -> Spec:
    """Return the set of short clips."""
    parts = (about_order, about_times, about_counts, about_motion, about_things, about_sound)
    about = "Questions about order, times, numbers, motion, things and sound in short videos."
    return whole("video_mme", about, [one for part in parts for one in part()])


def whole(name: str, about: str, questions: list[Spec]) -> Spec:
    """Return the content of a set's file."""
    usual = {"prompt": f"What does this video show? {SHORT}", "scorer": "vqa"}
    return {
        "name": name,
        "version": "1.0",
        "modality": "video",
        "description": about,
        "input": usual,
        "questions": questions,
    }


def filmed(content: Spec) -> Spec:
    """Return a set with the digest of each clip; each description is filmed once."""
    known: dict[str, str] = {}
    for one in content["questions"]:
        (medium,) = one["media"]
        key = json.dumps(medium["make"], sort_keys=True)
        known[key] = medium["sha256"] = known.get(key) or digest(medium["make"])
    return content


def digest(spec: Spec) -> str:
    """Return the digest of a clip."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        video.make(spec, path)
        return video.fingerprint(path)


def main() -> None:
    """Write the sets that are named, or all."""
    makers = {make.__name__: make for make in (video_mme, video_long)}
    for name in sys.argv[1:] or makers:
        text = json.dumps(filmed(makers[name]()), indent=1, ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
