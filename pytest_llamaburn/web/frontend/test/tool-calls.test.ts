import assert from "node:assert/strict";
import { test } from "node:test";
import type { Item, ToolCall } from "../src/views/document";
import { callsOf, written } from "../src/views/tool-calls";

const oslo: ToolCall = { name: "get_weather", arguments: { city: "Oslo", unit: "celsius" } };
const rome: ToolCall = { name: "get_weather", arguments: { city: "Rome" } };
const time: ToolCall = { name: "get_time", arguments: {} };

function item(made: ToolCall[], correct: boolean, expected: ToolCall[] = [oslo, rome]): Item {
  const question = { id: "q", prompt: "p", scorer: "tool-call", reference: JSON.stringify(expected) };
  return { question, answer: "", tool_calls: made, correct, scores: {} };
}

test("each call is marked by what differs from the expected ones, in any order", () => {
  const turned = { name: "get_weather", arguments: { unit: "celsius", city: "Oslo" }, fault: null };
  const lima = { name: "get_weather", arguments: { city: "Lima" }, fault: null };
  const found = callsOf(item([lima, turned, { ...time, fault: null }], false));
  assert.deepEqual(found?.made.map((one) => one.fault), ["other arguments", "", "not expected"]);
  assert.deepEqual(found?.missing, []);
});

test("expected calls that were not made are missing", () => {
  assert.deepEqual(callsOf(item([oslo], false))?.missing, [rome]);
  assert.deepEqual(callsOf(item([], false, []))?.expected, []);
});

test("what the scorer found right is not marked, and what cannot be read has its reason", () => {
  const other = { name: "get_weather", arguments: { city: "OSLO" } }; // alike to the scorer
  assert.deepEqual(callsOf(item([other, rome], true))?.made.map((one) => one.fault), ["", ""]);
  const broken: ToolCall = { name: null, arguments: null, fault: "the call is not JSON" };
  assert.deepEqual(callsOf(item([broken], false))?.made.map((one) => one.fault), ["the call is not JSON"]);
  assert.equal(written(broken), "?(?)");
});

test("a question without tools has no calls, and a reference that is no JSON breaks nothing", () => {
  const question = { id: "q", prompt: "p", scorer: "exact", reference: "4" };
  assert.equal(callsOf({ question, answer: "4", correct: true, scores: {} }), null);
  assert.deepEqual(callsOf({ question, answer: "", tool_calls: [time], correct: false, scores: {} })?.expected, []);
});
