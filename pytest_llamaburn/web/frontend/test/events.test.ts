import assert from "node:assert/strict";
import { test } from "node:test";

Object.assign(globalThis, { sessionStorage: new Map() });
const { parsed } = await import("../src/events");

test("an event has its id, its name and its data", () => {
  const block = 'id: ab-7\nevent: progress\ndata: {"done": 3}';
  assert.deepEqual(parsed(block), { id: "ab-7", name: "progress", data: { done: 3 } });
});

test("a comment is no event", () => {
  assert.equal(parsed(": nothing new"), null);
});
