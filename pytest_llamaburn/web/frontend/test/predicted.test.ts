import assert from "node:assert/strict";
import { test } from "node:test";
import type { Twin } from "../src/views/document";
import { comparedOf, usersOf, verdictOf } from "../src/views/predicted";

const twin: Twin = {
  users: 6,
  think_time: "1s-3s",
  requests: 200,
  predicted: { "ttft_ms.p95": { value: 100, ci95: [90, 110] }, error_rate: { value: 0, ci95: [0, 0] } },
  measured: { "ttft_ms.p95": { value: 150, ci95: [140, 160], n: 200 }, error_rate: { value: 0.01, n: 200 } },
  differences: { "ttft_ms.p95": 0.5, error_rate: null },
  holds: false,
  broken_assumptions: [],
  reason: "by chance",
};

test("what was predicted stands beside what was measured", () => {
  const [ttft, failed] = comparedOf(twin);
  assert.deepEqual([ttft?.label, ttft?.predicted?.value, ttft?.measured?.value, ttft?.difference], ["TTFT p95", 100, 150, 0.5]);
  assert.deepEqual([failed?.unit, failed?.difference], ["share", null]);
  assert.equal(usersOf(twin), "6 users, think time 1s-3s");
  assert.equal(usersOf({ ...twin, users: 1, think_time: null }), "1 user, without pauses");
});

test("the verdict of a twin says how far off the prediction was and why", () => {
  const { tone, words, sentence } = verdictOf(twin);
  assert.deepEqual([tone, words], ["bad", "the model does not hold"]);
  assert.equal(sentence, "The measured TTFT p95 is 50 % above the prediction. Why it differs: by chance.");
  const unsent = { ...twin, holds: null, predicted: {}, measured: {}, differences: {}, reason: "the run ended before" };
  assert.deepEqual([verdictOf(unsent).words, verdictOf(unsent).sentence], ["not decided", "the run ended before"]);
  assert.deepEqual(comparedOf(unsent), []);
});
