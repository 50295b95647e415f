import assert from "node:assert/strict";
import { test } from "node:test";
import { comparisonOf, signed } from "../src/results/changes";

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
