// The states of a load, as tones.
import type { Tone } from "../ui/card";

export const STATES: Record<string, Exclude<Tone, "plain">> = {
  optimal: "good",
  degraded: "warn",
  failure: "bad",
};
