import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, number, percent, span, unitOf, when, withUnit, words } from "../src/format";

test("numbers have three digits, and thousands are apart", () => {
  const shown = [0, 4, 1234567, 0.012345, 12.345, 1234.5, -0.5, null, Number.NaN].map((one) => number(one));
  assert.deepEqual(shown, ["0", "4", "1,234,567", "0.0123", "12.3", "1,235", "-0.500", "–", "–"]);
});

test("a number has its unit, an unknown one has none", () => {
  assert.equal(withUnit(12.34, "ms"), "12.3 ms");
  assert.equal(withUnit(null, "ms"), "–");
  assert.equal(percent(0.615), "62 %");
  assert.equal(percent(0.0123), "1.2 %");
  assert.equal(percent(0), "0 %");
  assert.equal(percent(null), "–");
});

test("time spans are told in two units at most", () => {
  assert.deepEqual([0.85, 12.4, 200, 7500, null].map(span), ["850 ms", "12 s", "3 min 20 s", "2 h 5 min", "–"]);
});

test("sizes have a unit of their own magnitude", () => {
  assert.deepEqual([12, 98_362_745, 4.2e9].map(bytes), ["12 B", "98.4 MB", "4.20 GB"]);
});

test("the name of a measure tells its unit and its words", () => {
  assert.equal(unitOf("time_to_first_token_ms.p50"), "ms");
  assert.equal(unitOf("tokens_per_sec"), "tokens/s");
  assert.equal(words("time_to_first_token_ms.p50"), "time to first token, p50");
});

test("what is no time stamp is shown as it is", () => {
  assert.equal(when("yesterday"), "yesterday");
  assert.equal(when(null), "–");
});

test("a time is told in milliseconds, seconds, minutes or hours", () => {
  const shown = [0.5, 59.4, 60, 200, 7200, 7500].map(span);
  assert.deepEqual(shown, ["500 ms", "59 s", "1 min", "3 min 20 s", "2 h", "2 h 5 min"]);
});
