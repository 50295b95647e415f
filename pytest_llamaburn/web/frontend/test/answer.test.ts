import assert from "node:assert/strict";
import { test } from "node:test";
import { pieces } from "../src/views/answer";

test("code between fences is apart from words", () => {
  const answer = "Here:\n```Python\nprint(1)\n```\nDone.";
  assert.deepEqual(pieces(answer), [
    { text: "Here:", language: null },
    { text: "print(1)\n", language: "python" },
    { text: "Done.", language: null },
  ]);
});

test("a fence that is not closed goes on to the end", () => {
  assert.deepEqual(pieces("```\nx = `1`\n"), [{ text: "x = `1`\n", language: "" }]);
});

test("an answer without code is one piece, and an empty one is none", () => {
  assert.deepEqual(pieces("  just words "), [{ text: "just words", language: null }]);
  assert.deepEqual(pieces(" \n"), []);
});

test("two blocks are two pieces", () => {
  const languages = pieces("```html\n<p>\n```\nand\n~~~js\n1\n~~~").map((one) => one.language);
  assert.deepEqual(languages, ["html", null, "js"]);
});
