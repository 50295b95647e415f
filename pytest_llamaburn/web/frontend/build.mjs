// Bundles the page into the folder that is given: one script, one for charts, one stylesheet, the
// page itself, what the sandbox loads, and the licences of it all. Names have the hash of their
// content. A script for each tab would make ten more of what tabs share.
import { build } from "esbuild";
import { existsSync, readdirSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { buildSandbox } from "./sandbox.mjs";

const out = process.argv[2] ?? "../static";
await mkdir(out, { recursive: true });
const worklet = await build({
  entryPoints: ["src/media/mic-worklet.ts"],
  outdir: out,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  entryNames: "[name]-[hash]",
  metafile: true,
  logLevel: "warning",
});
const microphone = basename(Object.keys(worklet.metafile.outputs)[0]);
const { metafile } = await build({
  entryPoints: ["src/main.tsx", "src/style.css"],
  outdir: out,
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  minify: true,
  jsx: "automatic",
  jsxImportSource: "preact",
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  metafile: true,
  logLevel: "warning",
  legalComments: "none",
  define: { MIC_WORKLET: JSON.stringify(`/assets/${microphone}`) },
});

const outputs = Object.entries(metafile.outputs);
const nameOf = (entry) => basename(outputs.find(([, made]) => made.entryPoint === entry)[0]);
const page = await readFile("src/index.html", "utf8");
await writeFile(
  join(out, "index.html"),
  page.replace("SCRIPT", nameOf("src/main.tsx")).replace("STYLE", nameOf("src/style.css")),
);
const framed = await buildSandbox(join(out, "sandbox"));
await writeFile(join(out, "licences.txt"), await licences([...Object.keys(metafile.inputs), ...framed]));

/** Return the licences of the packages that these files are of. */
async function licences(inputs) {
  const folders = new Set(inputs.map(packageOf).filter(Boolean));
  const texts = [...folders].sort().map(async (folder) => {
    const about = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
    if (!file) throw new Error(`${folder} has no licence`);
    const text = await readFile(join(folder, file), "utf8");
    return `${about.name} ${about.version} (${about.license})\n\n${text.trim()}\n`;
  });
  return (await Promise.all(texts)).join("\n\n");
}

/** Return the folder of the package that a file is of, if it is not ours. */
function packageOf(input) {
  if (!input.includes("node_modules/")) return null;
  let folder = dirname(input);
  while (!existsSync(join(folder, "package.json")) || !existsAbove(folder)) folder = dirname(folder);
  return folder;
}

/** Return whether a folder is that of a package, and none inside of one. */
function existsAbove(folder) {
  const above = basename(dirname(folder));
  return above === "node_modules" || above.startsWith("@");
}
