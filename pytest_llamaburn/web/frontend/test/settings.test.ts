import assert from "node:assert/strict";
import { test } from "node:test";
import { helpOf, isShown, labelOf, lookOf, settingsOf } from "../src/run/settings";
import type { Schema } from "../src/types";

const schema: Schema = {
  title: "Stress",
  description: "",
  properties: {
    model: { type: "array", items: { type: "string" }, default: [] },
    mode: { type: "string", enum: ["ramp", "sweep"], default: "ramp" },
    iterations: { type: "integer", default: 5, description: "how many" },
    levels: { anyOf: [{ type: "string" }, { type: "null" }], default: null, "x-modes": ["sweep"] },
    budget: { anyOf: [{ type: "number" }, { type: "string" }], default: null, "x-unit": "s" },
    top_p: { anyOf: [{ type: "number" }, { type: "null" }], default: null },
    think: { anyOf: [{ enum: ["on", "off"] }, { type: "null" }], default: null },
    profile: { type: "boolean", default: true },
  },
};

test("each field has the look of its type", () => {
  const looks = Object.values(schema.properties).map(lookOf);
  assert.deepEqual(looks, ["list", "choice", "number", "text", "text", "number", "choice", "switch"]);
});

test("only what was given and is not the default is sent, with its type", () => {
  const given = {
    model: [" llama ", ""],
    iterations: "7",
    budget: "90s",
    top_p: "0.5",
    profile: true,
    think: "",
  };
  const expected = { model: ["llama"], iterations: 7, budget: "90s", top_p: 0.5 };
  assert.deepEqual(settingsOf(given, schema), expected);
  assert.deepEqual(settingsOf({ iterations: "5", profile: false }, schema), { profile: false });
});

test("a number that is none is sent as it is, for the server's sentence", () => {
  assert.deepEqual(settingsOf({ iterations: "many" }, schema), { iterations: "many" });
});

test("a field that the mode does not read is neither shown nor sent", () => {
  const given = { levels: "1,2" };
  assert.equal(isShown(schema.properties.levels!, given, schema), false);
  assert.deepEqual(settingsOf(given, schema), {});
  const swept = { ...given, mode: "sweep" };
  assert.deepEqual(settingsOf(swept, schema), { levels: "1,2", mode: "sweep" });
});

test("names and helps are words", () => {
  assert.equal(labelOf("max_tokens"), "Max tokens");
  assert.equal(labelOf("kwh_rate"), "kWh rate");
  assert.equal(labelOf("co2_g_per_kwh"), "CO2 g per kWh");
  assert.equal(labelOf("pue"), "PUE");
  assert.equal(helpOf(schema.properties.iterations!), "how many; default: 5");
  assert.equal(helpOf(schema.properties.levels!), "");
});
