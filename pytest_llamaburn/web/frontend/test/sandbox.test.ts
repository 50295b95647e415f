import assert from "node:assert/strict";
import { test } from "node:test";
import { guess, onServer, runnable } from "../src/sandbox/code-blocks";
import { told } from "../src/sandbox/protocol";
import { globalAddons, wantsGlobalThree, withOwnThree } from "../src/sandbox/three";

test("addresses of three.js mean the sandbox's own copy", () => {
  const of = (address: string) => withOwnThree(`import * as THREE from "${address}";`);
  const own = (name: string) => `import * as THREE from "${name}";`;
  assert.equal(of("https://unpkg.com/three@0.160.0/build/three.module.js"), own("three"));
  assert.equal(of("https://cdn.jsdelivr.net/npm/three@0.170/build/three.webgpu.min.js"), own("three/webgpu"));
  assert.equal(of("https://esm.sh/three@0.150.1"), own("three"));
  assert.equal(of("https://cdn.skypack.dev/three"), own("three"));
  assert.equal(of("https://cdn.jsdelivr.net/npm/three/+esm"), own("three"));
  assert.equal(
    of("https://unpkg.com/three/examples/jsm/controls/OrbitControls.js"),
    own("three/addons/controls/OrbitControls.js"),
  );
  assert.equal(of("https://example.org/other.js"), own("https://example.org/other.js"));
});

test("scripts that would load three.js are taken out, modules stay", () => {
  assert.equal(withOwnThree('a<script src="https://x.org/three.js/r128/three.min.js"></script>b'), "ab");
  const other = '<script src="https://x.org/jquery.js"></script>';
  assert.equal(withOwnThree(other), other);
});

test("the global of older programs is told from an import", () => {
  assert.ok(wantsGlobalThree("new THREE.Scene()"));
  assert.ok(!wantsGlobalThree('import * as THREE from "three"; new THREE.Scene()'));
  assert.deepEqual(globalAddons("new THREE.OrbitControls(a); THREE.GLTFLoader"), ["OrbitControls", "GLTFLoader"]);
});

test("a language is known by its tag or by its looks", () => {
  assert.equal(runnable("x", "JS")?.language, "javascript");
  assert.equal(runnable("x", "rust"), null);
  assert.equal(runnable(" ", "python"), null);
  assert.equal(guess("<!doctype html><p>"), "html");
  assert.equal(guess("def f():\n    return 1"), "python");
  assert.equal(guess("const a = 1;"), "javascript");
  assert.equal(guess("#include <stdio.h>\nint main(void) { return 0; }"), "c");
  assert.equal(guess("The answer is 42."), null);
});

test("the server runs programs, and the frame runs what draws", () => {
  assert.deepEqual(["python", "c", "node"].map((one) => onServer(one as "c")), ["python", "c", "javascript"]);
  assert.equal(onServer("javascript"), null);
  assert.equal(onServer("html"), null);
});

test("messages of a frame are texts and numbers, or nothing", () => {
  assert.equal(told(null), null);
  assert.equal(told({ kind: "line", text: {} }), null);
  assert.deepEqual(told({ kind: "line", level: "__proto__", text: "a" }), { kind: "line", level: "log", text: "a" });
  const long = told({ kind: "line", level: "error", text: "x".repeat(5000) });
  assert.ok(long?.kind === "line" && long.text.length < 2100);
  const alive = told({ kind: "alive", frames_per_s: -1, renderer: 5, dropped: "x" });
  assert.deepEqual(alive, { kind: "alive", frames_per_s: null, in_view: true, renderer: null, dropped: 0, draw_calls: 0, frame_times_ms: [] });
});
