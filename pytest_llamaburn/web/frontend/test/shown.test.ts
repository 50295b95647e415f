// Charts of the server as this page draws them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chartOf, type Plot } from "../src/views/shown";

const AXIS = { label: "depth", unit: "tokens", low: null, log: false };
const point = (x: number, y: number, low: number | null = null, high: number | null = null) => ({
  x,
  y,
  low,
  high,
  label: `${x}`,
});
const plot = (lines: Plot["lines"], x = AXIS): Plot => ({
  title: "Rate",
  x,
  y: { label: "rate", unit: "tokens/s", low: 0, log: false },
  lines,
  bands: [{ start: 1, end: 2, label: "failing", kind: "failure" }],
  marks: [],
  note: "",
});

test("lines with other places share one axis, and a place that one lacks is a gap", () => {
  const one = { name: "one", points: [point(0, 5, 4, 6), point(2, 7)], style: "line", labelled: true };
  const two = { name: "two", points: [point(1, 9)], style: "dots", labelled: false };
  const { x, y, series, bands } = chartOf(plot([one, two]));
  assert.deepEqual(x.values, [0, 1, 2]);
  assert.equal(y.zero, true);
  assert.deepEqual(series[0]!.values, [5, null, 7]);
  assert.deepEqual(series[0]!.low, [4, null, null]);
  assert.deepEqual(series[0]!.path, [0, 2]);
  assert.deepEqual(series[0]!.labels, ["0", "", "2"]);
  assert.deepEqual([series[1]!.values, series[1]!.path], [[null, 9, null], undefined]);
  assert.deepEqual(bands, [{ from: 1, to: 2, label: "failing", short: "failing", tone: "bad" }]);
});

test("bars stand in the middle of what they count, also on a logarithmic axis", () => {
  const bars = { name: "requests", points: [point(1, 3, null, 4)], style: "bars", labelled: false };
  assert.deepEqual(chartOf(plot([bars])).x.values, [2.5]);
  assert.deepEqual(chartOf(plot([bars], { ...AXIS, log: true })).x.values, [2]);
});

test("a line of many points is drawn without them", () => {
  const points = Array.from({ length: 50 }, (_, place) => point(place, place));
  const [series] = chartOf(plot([{ name: "many", points, style: "line", labelled: false }])).series;
  assert.deepEqual([series!.look, series!.path], [undefined, undefined]);
});
