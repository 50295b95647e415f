// What curves need of a run's progress so far.
import type { Progress } from "../types";

const MOST_POINTS = 600; // about as many as a curve has pixels

/** The part of an event that curves show; the rest would fill the memory of a page that is open for hours. */
export type Charted = ReturnType<typeof charted>;

/** Return the part of an event that curves show; all have the same fields, which takes least memory. */
export function charted(event: Progress) {
  const { at = null, stage = null, state = null, done = null, failed = null } = event;
  const { clients = null, rate_per_sec = null, in_flight = null, requests_per_sec = null } = event;
  const { total_p50_ms = null, total_p95_ms = null, tokens_per_sec = null, time_to_first_token_ms = null } = event;
  const load = { clients, rate_per_sec, in_flight, requests_per_sec, total_p50_ms, total_p95_ms };
  return { at, stage, state, done, failed, ...load, tokens_per_sec, time_to_first_token_ms };
}

/** Return at most so many events: all of the newest, and fewer the older they are. */
export function thinned(events: Charted[]): Charted[] {
  if (events.length <= MOST_POINTS) return events;
  const old = events.length - MOST_POINTS / 2;
  return thinned(events.filter((_, place) => place >= old || place % 2 === 0));
}

/** Return the seconds since the first event, of each. */
export function secondsOf(history: readonly Charted[]): number[] {
  const begin = history[0]?.at ?? 0;
  return history.map((event) => (event.at ?? begin) - begin);
}

/** Return a number of each event, null where it is not known. */
export function valuesOf(history: readonly Charted[], name: keyof Charted): (number | null)[] {
  return history.map((event) => {
    const value = event[name];
    return typeof value === "number" ? value : null;
  });
}
