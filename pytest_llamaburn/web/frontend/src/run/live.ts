// What curves need of a run's progress so far.
import type { Progress } from "../types";

/** Return the seconds since the first event, of each. */
export function secondsOf(history: readonly Progress[]): number[] {
  const begin = history[0]?.at ?? 0;
  return history.map((event) => (event.at ?? begin) - begin);
}

/** Return a number of each event, null where it is not known. */
export function valuesOf(history: readonly Progress[], name: keyof Progress): (number | null)[] {
  return history.map((event) => {
    const value = event[name];
    return typeof value === "number" ? value : null;
  });
}
