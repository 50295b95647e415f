import assert from "node:assert/strict";
import { test } from "node:test";
import { comparisonOf, signed } from "../src/results/changes";

test("the forms of comparisons become one", () => {
  const change = { file: "B", metric: "tokens_per_sec", statistic: "mean", unit: "tokens/s", change: 0.05, interval: [0.01, 0.09], verdict: "faster" };
  const of = comparisonOf({ schema: "llamaburn/comparison", results: { changes: [change], warnings: [{ text: "busy" }] } });
  assert.equal(of.kind, "benchmark");
  assert.deepEqual(of.warnings, ["busy"]);
  assert.deepEqual([of.changes[0]?.change, of.changes[0]?.changeUnit], [5, "%"]);
  const mark = { file: "B", mark: "accuracy", unit: "1 to 5", difference: -0.5, ci95: [-1, 0], verdict: "worse" };
  const evals = comparisonOf({ schema: "llamaburn/eval-comparison", results: { differences: [mark], warnings: [{ file: "B", text: "other judge" }] } });
  assert.equal(evals.kind, "eval");
  assert.deepEqual(evals.warnings, ["B: other judge"]);
  assert.deepEqual([evals.changes[0]?.change, evals.changes[0]?.changeUnit], [-0.5, "1 to 5"]);
});

test("a comparison of another program breaks nothing", () => {
  assert.deepEqual(comparisonOf({ schema: "llamaburn/comparison" }).changes, []);
  assert.equal(comparisonOf({ results: { changes: [{ change: "x", interval: [1] }] } }).changes[0]?.change, null);
});

test("a change has a sign, and none rounds to minus zero", () => {
  assert.equal(signed(5.04, "%"), "+5.0 %");
  assert.equal(signed(-19.84, "%"), "−19.8 %");
  assert.equal(signed(-0.001, "%"), "+0.0 %");
  assert.equal(signed(567.1, "%"), "+567 %");
  assert.equal(signed(-0.5, "1 to 5"), "−0.50");
});

const marks = (unit: string, difference: number) => {
  const differences = [{ file: "B", mark: "m", unit, difference, ci95: [-difference, difference] }];
  return comparisonOf({ schema: "llamaburn/eval-comparison", results: { differences } } as never).changes[0]!;
};

test("the difference of two shares is told in percentage points, as the shares are in percent", () => {
  const { change, interval, changeUnit } = marks("share", 0.5);
  assert.deepEqual([signed(change!, changeUnit), interval], ["+50.0 points", [-50, 50]]);
});

test("the difference of two scores is told on their scale", () => {
  const { change, changeUnit } = marks("1 to 5", 0.5);
  assert.equal(signed(change!, changeUnit), "+0.50");
});
