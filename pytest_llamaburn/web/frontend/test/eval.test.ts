import assert from "node:assert/strict";
import { test } from "node:test";
import { passes } from "../src/views/filters";
import { verdictOf } from "../src/views/verdict";
import type { Item } from "../src/views/document";

const item = (more: Partial<Item>): Item => ({
  question: { id: "q", prompt: "?" },
  answer: "a",
  correct: null,
  scores: {},
  ...more,
});

test("filters let through what they are called", () => {
  const wrong = item({ correct: false });
  const unscored = item({ scores: { accuracy: { score: null, state: "skipped", judgments: [] } } });
  const failed = item({ error: { kind: "timeout_idle" } });
  const all = [wrong, unscored, failed];
  const kept = (filter: Parameters<typeof passes>[1]) => all.filter((one) => passes(one, filter));
  assert.deepEqual(kept("all"), all);
  assert.deepEqual(kept("wrong"), [wrong]);
  assert.deepEqual(kept("unscored"), [unscored]);
  assert.deepEqual(kept("failed"), [failed]);
  assert.deepEqual(kept("right"), []);
});

test("what became of an answer is one word", () => {
  const unreadable = { state: "unparsable", reason: "", extracted: null };
  const compared = (verdict: string) => ({ verdict, state: "scored", inconsistent: false, judgments: [] });
  const words = [
    item({ error: { kind: "x" }, correct: false }),
    item({ correct: true }),
    item({ correct: false }),
    item({ correct: false, verdict: unreadable }),
    item({ comparisons: [compared("B")] }),
    item({}),
  ].map((one) => verdictOf(one)[0]);
  assert.deepEqual(words, ["failed", "right", "wrong", "unreadable", "loses", "not scored"]);
});
