// Bundles what the frame for generated code loads: its script, three.js with the addons that
// programs use most, and its page, whose import map names them.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";

const SOURCES = "src/sandbox";
const ADDONS = [
  ...["Arcball", "Drag", "FirstPerson", "Fly", "Map", "Orbit", "PointerLock", "Trackball", "Transform"]
    .map((name) => `controls/${name}Controls`),
  ...["Afterimage", "Bloom", "Bokeh", "Film", "Glitch", "Output", "Render", "Shader", "UnrealBloom"]
    .map((name) => `postprocessing/${name}Pass`),
  "postprocessing/EffectComposer",
  "environments/RoomEnvironment",
  "geometries/ConvexGeometry",
  "geometries/ParametricGeometry",
  "geometries/RoundedBoxGeometry",
  "libs/lil-gui.module.min",
  "libs/stats.module",
  "lines/Line2",
  "lines/LineGeometry",
  "lines/LineMaterial",
  "loaders/GLTFLoader",
  "loaders/OBJLoader",
  "loaders/SVGLoader",
  "math/ConvexHull",
  "math/ImprovedNoise",
  "math/SimplexNoise",
  "objects/Lensflare",
  "objects/MarchingCubes",
  "objects/Reflector",
  "objects/Sky",
  "objects/Water",
  "renderers/CSS2DRenderer",
  "utils/BufferGeometryUtils",
];

/** Bundle into a folder; return the files that it was made of. */
export async function buildSandbox(out) {
  await mkdir(out, { recursive: true });
  const shared = { bundle: true, target: "es2022", minify: true, metafile: true };
  const script = await build({
    ...shared,
    entryPoints: [join(SOURCES, "frame.ts"), join(SOURCES, "host.ts")],
    outdir: out,
    format: "iife",
  });
  const entries = { three: "three", "three-webgpu": "three/webgpu", "three-tsl": "three/tsl" };
  for (const addon of ADDONS) entries[addonFile(addon)] = `three/addons/${addon}.js`;
  const three = await build({
    ...shared,
    entryPoints: entries,
    outdir: out,
    format: "esm",
    splitting: true,
    legalComments: "inline",
    chunkNames: "part-[hash]",
  });
  const page = await readFile(join(SOURCES, "index.html"), "utf8");
  await writeFile(join(out, "index.html"), page.replace("IMPORTS", importMap()));
  await copyFile(join(SOURCES, "host.html"), join(out, "host.html"));
  return [script, three].flatMap((made) => Object.keys(made.metafile.inputs));
}

function importMap() {
  const imports = {
    three: "/sandbox/three.js",
    "three/webgpu": "/sandbox/three-webgpu.js",
    "three/tsl": "/sandbox/three-tsl.js",
  };
  for (const addon of ADDONS) {
    for (const folder of ["three/addons", "three/examples/jsm"]) {
      imports[`${folder}/${addon}.js`] = `/sandbox/${addonFile(addon)}.js`;
    }
  }
  return JSON.stringify({ imports });
}

function addonFile(addon) {
  return `addon-${basename(addon).replaceAll(".", "-")}`;
}
