// What a run tells of its answers, put together by question.
import type { MediumFacts, Told } from "../types";

/** A question, and what a run has told of it so far. */
export interface Asked {
  question: string;
  prompt: string;
  reference: string | null;
  media: MediumFacts[];
  answers: Told[];
  score: Told | null;
}

/** Return the questions of a run in the order in which they were asked. */
export function askedIn(events: readonly Told[]): Asked[] {
  const found = new Map<string, Asked>();
  for (const event of events) {
    const id = event.question;
    if (id === undefined) continue;
    const known = found.get(id) ?? empty(id);
    found.set(id, known);
    if (event.event === "asked") {
      known.prompt = event.prompt ?? "";
      known.reference = event.reference ?? null;
      known.media = event.media ?? [];
    } else if (event.event === "answered") {
      known.answers = [...known.answers.filter((one) => one.sample !== event.sample), event];
      if (event.media?.length) known.media = event.media;
    } else if (event.event === "scored") known.score = event;
  }
  return [...found.values()];
}

const empty = (question: string): Asked => ({
  question,
  prompt: "",
  reference: null,
  media: [],
  answers: [],
  score: null,
});
