// Programs to begin with.
import type { Block } from "./code-blocks";

export interface Example extends Block {
  name: string;
}

const CUBE = `import * as THREE from "three";

const renderer = new THREE.WebGLRenderer({ antialias: true });
renderer.setSize(innerWidth, innerHeight);
document.body.append(renderer.domElement);

const scene = new THREE.Scene();
scene.background = new THREE.Color(0x101828);
const camera = new THREE.PerspectiveCamera(50, innerWidth / innerHeight, 0.1, 100);
camera.position.z = 4;

const cube = new THREE.Mesh(
  new THREE.BoxGeometry(1.5, 1.5, 1.5),
  new THREE.MeshStandardMaterial({ color: 0xff7a1a }),
);
const light = new THREE.DirectionalLight(0xffffff, 3);
light.position.set(2, 3, 4);
scene.add(cube, light, new THREE.AmbientLight(0xffffff, 0.5));

renderer.setAnimationLoop((time) => {
  cube.rotation.set(time / 1500, time / 1000, 0);
  renderer.render(scene, camera);
});
console.log("three.js", THREE.REVISION);
`;

const WEBGPU = CUBE.replace('"three"', '"three/webgpu"').replace("WebGLRenderer", "WebGPURenderer");

const CANVAS = `const canvas = document.createElement("canvas");
canvas.width = innerWidth;
canvas.height = innerHeight;
document.body.append(canvas);
const pen = canvas.getContext("2d");

function draw(time) {
  pen.fillStyle = "#101828";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  for (let ring = 0; ring < 12; ring += 1) {
    const angle = time / 1000 + ring / 2;
    pen.fillStyle = \`hsl(\${ring * 30} 90% 60%)\`;
    pen.beginPath();
    pen.arc(
      canvas.width / 2 + Math.cos(angle) * canvas.width / 4,
      canvas.height / 2 + Math.sin(angle * 1.5) * canvas.height / 4,
      14, 0, 7,
    );
    pen.fill();
  }
  requestAnimationFrame(draw);
}
requestAnimationFrame(draw);
`;

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <style>
      body { font-family: system-ui; display: grid; place-items: center; height: 100vh; margin: 0; }
      button { font-size: 1.5rem; padding: 0.5em 1em; }
    </style>
  </head>
  <body>
    <button>Clicked 0 times</button>
    <script>
      let clicks = 0;
      document.querySelector("button").addEventListener("click", (event) => {
        clicks += 1;
        event.target.textContent = \`Clicked \${clicks} times\`;
        console.log("clicks:", clicks);
      });
    </script>
  </body>
</html>
`;

const PYTHON = `def primes(limit):
    found = []
    for number in range(2, limit):
        if all(number % prime for prime in found):
            found.append(number)
    return found


print(primes(100))
`;

const C = `#include <stdio.h>

int main(void) {
    long previous = 0, number = 1;
    while (number < 1000) {
        printf("%ld ", number);
        long next = previous + number;
        previous = number;
        number = next;
    }
    printf("\\n");
    return 0;
}
`;

export const EXAMPLES: Example[] = [
  { name: "A cube with three.js", language: "javascript", code: CUBE },
  { name: "The same with WebGPU", language: "javascript", code: WEBGPU },
  { name: "A canvas", language: "javascript", code: CANVAS },
  { name: "A page", language: "html", code: PAGE },
  { name: "Python", language: "python", code: PYTHON },
  { name: "C", language: "c", code: C },
];
