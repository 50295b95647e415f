// What became of an answer, as a word and its tone.
import type { Tone } from "../ui/card";
import type { Item } from "./document";

const NOT_SCORED: [string, Tone] = ["not scored", "plain"];
const WINNERS: Record<string, [string, Tone]> = {
  A: ["wins", "good"],
  B: ["loses", "bad"],
  tie: ["tie", "plain"],
};

/** Return what became of an answer, as a word. */
export function verdictOf({ error, correct, verdict, comparisons = [] }: Item): [string, Tone] {
  if (error) return ["failed", "bad"];
  if (correct === true) return ["right", "good"];
  if (correct === false) return verdict?.state === "unparsable" ? ["unreadable", "bad"] : ["wrong", "bad"];
  return WINNERS[comparisons[0]?.verdict ?? ""] ?? NOT_SCORED;
}
