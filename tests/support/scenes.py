"""Programs for three.js that draw, and such that break in one way each."""

from __future__ import annotations

_STAGE = """\
import * as THREE from 'three';
const scene = new THREE.Scene();
const camera = new THREE.PerspectiveCamera(60, innerWidth / innerHeight, 0.1, 100);
camera.position.z = 3;
const renderer = new THREE.WebGLRenderer();
renderer.setSize(innerWidth, innerHeight);
document.body.appendChild(renderer.domElement);
const cube = new THREE.Mesh(new THREE.BoxGeometry(), new THREE.MeshNormalMaterial());
scene.add(cube);
"""
_LOOP = """\
renderer.setAnimationLoop(() => {
  cube.rotation.y += 0.02;
  renderer.render(scene, camera);
});
"""
CUBE = _STAGE + _LOOP
STILL = _STAGE + "renderer.render(scene, camera);\n"
BLANK = CUBE.replace("camera.position.z = 3;\n", "")  # the camera is inside of the cube
EMPTY = CUBE.replace("scene.add(cube);\n", "") + "document.body.append('a text beside it');\n"
THROWS = _STAGE + "new THREE.Nothing();\n" + _LOOP
FRAME = "frame at "
WEBGPU = (
    CUBE.replace("from 'three'", "from 'three/webgpu'")
    .replace("WebGLRenderer()", "WebGPURenderer()")
    .replace("renderer.setAnimationLoop", "await renderer.init();\nrenderer.setAnimationLoop")
)


def taking(frame_ms: int) -> str:
    """Return a scene that needs at least so long for each frame."""
    wait = f"const t = performance.now(); while (performance.now() - t < {frame_ms});\n  "
    return CUBE.replace("renderer.render(", wait + "renderer.render(")


def telling(scene: str) -> str:
    """Return a scene that says as an error when each of its frames begins, in ms, after FRAME."""
    frame = f"renderer.setAnimationLoop((time) => {{\n  console.error(`{FRAME}${{time}}`);"
    return scene.replace("renderer.setAnimationLoop(() => {", frame)


def reaching(address: str) -> str:
    """Return a scene that tries every way to another machine."""
    return CUBE + (
        f"fetch('{address}/fetch').catch(() => 0);\n"
        f"new Image().src = '{address}/image';\n"
        f"import('{address}/module.js').catch(() => 0);\n"
        f"try {{ new WebSocket('{address.replace('http', 'ws')}/socket'); }} catch {{}}\n"
        f"navigator.sendBeacon('{address}/beacon', 'x');\n"
        f"window.open('{address}/window');\n"
        f"setTimeout(() => {{ location.href = '{address}/page'; }}, 500);\n"
    )
