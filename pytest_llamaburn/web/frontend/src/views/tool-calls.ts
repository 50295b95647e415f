// The calls of tools of an answer, each beside what was expected.
import type { Item, ToolCall } from "./document";

export interface Marked {
  call: ToolCall;
  /** What is wrong with it; empty if it is one of the expected calls. */
  fault: string;
}

export interface Calls {
  made: Marked[];
  expected: ToolCall[];
  /** The expected calls that were not made. */
  missing: ToolCall[];
}

/** Return the calls of an answer and those that were expected, or null if it is about no tools. */
export function callsOf({ question, tool_calls, correct }: Item): Calls | null {
  const made = tool_calls ?? [];
  if (question.scorer !== "tool-call" && made.length === 0) return null;
  const expected = expectedOf(question.reference);
  if (correct === true) return { made: made.map((call) => ({ call, fault: "" })), expected, missing: [] };
  const left = [...expected];
  const take = (alike: (one: ToolCall) => boolean) => {
    const place = left.findIndex(alike);
    if (place >= 0) left.splice(place, 1);
    return place >= 0;
  };
  const right = made.map((call) => take((one) => written(one) === written(call)));
  const marked = made.map((call, place): Marked => {
    if (call.fault) return { call, fault: call.fault };
    if (right[place]) return { call, fault: "" };
    return { call, fault: take((one) => one.name === call.name) ? "other arguments" : "not expected" };
  });
  return { made: marked, expected, missing: left };
}

/** Return the calls of a reference, which is JSON. */
function expectedOf(reference: string | null | undefined): ToolCall[] {
  try {
    const found: unknown = JSON.parse(reference ?? "[]");
    return Array.isArray(found) ? (found as ToolCall[]) : [];
  } catch {
    return [];
  }
}

/** Return a call as text: `get_weather({"city": "Oslo"})`, with sorted names of arguments. */
export function written({ name, arguments: given }: ToolCall): string {
  return `${name ?? "?"}(${given ? JSON.stringify(sorted(given)) : "?"})`;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner)]),
  );
}
