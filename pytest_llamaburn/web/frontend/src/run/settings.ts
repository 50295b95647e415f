// What is in a form's fields, and the settings that it means.
import { capital, words } from "../format";
import type { Field, Schema } from "../types";

/** What a user gave, by setting: a text, a switch, or several texts. */
export type Given = Record<string, string | boolean | string[]>;

export type Look = "switch" | "choice" | "list" | "number" | "text";

/** Return how a field is shown. */
export function lookOf(field: Field): Look {
  if (field.type === "boolean") return "switch";
  if (choicesOf(field)) return "choice";
  if (field.type === "array") return "list";
  return isNumber(field) ? "number" : "text";
}

function isNumber(field: Field): boolean {
  if (field["x-unit"] === "s") return false; // it may be written 90s
  const types = [field.type, ...(field.anyOf ?? []).map((one) => one.type)];
  return types.some((type) => type === "number" || type === "integer");
}

/** Return the words that a field takes, or null if it takes others too. */
export function choicesOf(field: Field): string[] | null {
  return field.enum ?? field.anyOf?.find((one) => one.enum)?.enum ?? null;
}

const TERMS: Record<string, string> = { co2: "CO2", gpu: "GPU", kwh: "kWh", pue: "PUE", url: "URL" };

/** Return a field's name as a label. */
export function labelOf(name: string): string {
  const [first = "", ...rest] = words(name).split(" ");
  const shown = rest.map((word) => TERMS[word] ?? word);
  return [TERMS[first] ?? capital(first), ...shown].join(" ");
}

/** Return the help of a field with its unit, its default and its bounds. */
export function helpOf(field: Field): string {
  const known = field.default;
  const isGiven = known !== null && known !== undefined && known !== "" && !isEmpty(known);
  const text = field.description ?? "";
  return isGiven && field.type !== "boolean" ? `${text}; default: ${shown(known)}` : text;
}

const isEmpty = (value: unknown) => Array.isArray(value) && value.length === 0;

const shown = (value: unknown) => (Array.isArray(value) ? value.join(", ") : String(value));

/** Return the settings that a form means: those that were given and are not the default. */
export function settingsOf(given: Given, schema: Schema): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const field = schema.properties[name];
    const meant = field && isShown(field, given, schema) ? meaning(value, field) : undefined;
    if (meant !== undefined && JSON.stringify(meant) !== JSON.stringify(field?.default)) {
      found[name] = meant;
    }
  }
  return found;
}

function meaning(value: string | boolean | string[], field: Field): unknown {
  if (typeof value === "boolean") return value;
  if (Array.isArray(value)) {
    const texts = value.map((text) => text.trim()).filter(Boolean);
    return texts.length ? texts : undefined;
  }
  const text = value.trim();
  if (!text) return undefined;
  const asNumber = Number(text);
  return lookOf(field) === "number" && Number.isFinite(asNumber) ? asNumber : text;
}

/** Return whether the mode that is chosen uses a field. */
export function isShown(field: Field, given: Given, schema: Schema): boolean {
  const modes = field["x-modes"];
  if (!modes) return true;
  const mode = given.mode ?? schema.properties.mode?.default;
  return modes.includes(String(mode));
}
