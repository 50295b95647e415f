"""Write the eval sets of programs: `python scripts/write_program_sets.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "media_sets"

_FRAME = (
    "Write a complete program in JavaScript that draws this with three.js: {scene} Import three.js "
    "with `import * as THREE from 'three'`. Let the canvas fill the window, and let the scene move "
    "all the time, by `renderer.setAnimationLoop` or `requestAnimationFrame`. Load nothing from "
    "the network. Reply with one block of code only."
)
_GPU = (
    "Write a complete program in JavaScript that draws this with the WebGPU renderer of three.js: "
    "{scene} Import it with `import * as THREE from 'three/webgpu'`, use `THREE.WebGPURenderer`, "
    "and wait for `renderer.init()`. Let the canvas fill the window, and let the scene move all "
    "the time, by `renderer.setAnimationLoop`. Load nothing from the network. Reply with one block "
    "of code only."
)
_RUBRIC = (
    "The picture shows what the code drew: it must show {what}. Code that is fine but draws "
    "something else, or too dark or too small to be recognised, is not accurate."
)
# Category, scene, and what the picture must show; from easy to hard.
_SCENES = {
    "shapes": (
        (
            "one cube that turns about its vertical axis, in a single bright colour.",
            "a cube",
        ),
        (
            "one sphere in wireframe that turns slowly.",
            "a sphere of lines",
        ),
        (
            "a torus knot with a normal material that turns.",
            "a knotted tube in several colours",
        ),
        (
            "five cones of different colours in a row, each turning.",
            "five cones in a row",
        ),
        (
            "a grid of 10 by 10 small cubes that rise and fall as a wave.",
            "a wavy field of cubes",
        ),
    ),
    "light": (
        (
            "a red sphere, lit from one side by a directional light that circles it.",
            "a red sphere that is brighter on one side",
        ),
        (
            "a white floor and a cube on it that casts a shadow; the light moves.",
            "a cube with its shadow on a floor",
        ),
        (
            (
                "three spheres of metal, glass and matt plastic with physical materials, a "
                "point light that moves between them, and some ambient light."
            ),
            "three spheres of different gloss",
        ),
        (
            "a dark room with one wall, on which a spotlight wanders.",
            "a round spot of light",
        ),
        (
            (
                "a scene with fog: columns in two rows, of which the far ones vanish; the "
                "camera moves along between them."
            ),
            "rows of columns that fade with distance",
        ),
    ),
    "motion": (
        (
            "a ball that bounces on a floor, with gravity.",
            "a ball above a floor",
        ),
        (
            "a sun with three planets that circle it at different speeds; one has a moon.",
            "a central sphere with smaller ones around it",
        ),
        (
            "a pendulum on a string that swings.",
            "a weight on a string",
        ),
        (
            "ten cubes that follow each other on a circle and always point along it.",
            "cubes on a circle",
        ),
        (
            "an arm of a robot with three joints; each joint bends back and forth.",
            "an arm of several segments",
        ),
    ),
    "geometry": (
        (
            ("2000 stars as points on a sphere of random places, seen from inside, that turns."),
            "many points of light",
        ),
        (
            (
                "a hilly terrain from a plane whose heights come from sums of sines, coloured "
                "by height; it scrolls."
            ),
            "hilly ground in several colours",
        ),
        (
            (
                "the curve of a helix as a tube, made by a class of your own from THREE.Curve; "
                "it turns."
            ),
            "a spiral tube",
        ),
        (
            "1000 cubes by one InstancedMesh, in random places and colours, all turning.",
            "very many small cubes",
        ),
        (
            "a fractal tree of cylinders with six levels of branches; it turns.",
            "a branching tree",
        ),
    ),
    "shaders": (
        (
            ("a square that fills the window, with a ShaderMaterial whose colours run with time."),
            "a picture full of changing colours",
        ),
        (
            (
                "a sphere whose vertices a vertex shader moves in and out as waves; colour it "
                "by height."
            ),
            "a sphere with a wavy surface",
        ),
        (
            "the Mandelbrot set in a fragment shader; it zooms in slowly.",
            "the Mandelbrot set",
        ),
        (
            "a plane of water in a vertex shader with moving waves and a simple highlight.",
            "a wavy surface",
        ),
        (
            (
                "a checkerboard floor in a fragment shader, without texture files; the camera "
                "flies over it."
            ),
            "a checkerboard in perspective",
        ),
    ),
    "webgpu": (
        (
            "one cube with a normal material that turns.",
            "a cube in several colours",
        ),
        (
            (
                "a torus of bright orange with a basic material and a second, blue one inside "
                "it; both turn."
            ),
            "an orange and a blue ring",
        ),
        (
            ("a row of five spheres that rise and fall one after another, with a normal material."),
            "five spheres",
        ),
        (
            (
                "a cube with a MeshBasicNodeMaterial whose colorNode changes with time, by "
                "`import { color, sin, time, mix } from 'three/tsl'`."
            ),
            "a cube in one colour",
        ),
        (
            "500 small cubes by one InstancedMesh on a spiral, turning.",
            "a spiral of small cubes",
        ),
    ),
}


def threejs_gen() -> dict[str, Any]:
    """Return the set whose answers are rendered."""
    return {
        "name": "threejs_gen",
        "version": "1.0",
        "modality": "threejs",
        "description": "Scenes to program with three.js for WebGL and WebGPU; the code is rendered "
        "in a browser.",
        "questions": [
            {
                "id": f"{category}-{number}",
                "prompt": (_GPU if category == "webgpu" else _FRAME).format(scene=scene),
                "category": category,
                "scorer": "render",
                "rubric": _RUBRIC.format(what=what),
                "criteria": ["accuracy"],
            }
            for category, scenes in _SCENES.items()
            for number, (scene, what) in enumerate(scenes, 1)
        ],
    }


def sets() -> dict[str, dict[str, Any]]:
    """Return every set of programs by its name."""
    return {"threejs_gen": threejs_gen()}


def main() -> None:
    """Write every set."""
    for name, content in sets().items():
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        (FOLDER / f"{name}.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
