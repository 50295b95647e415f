// What a twin's file says of its users, as rows and words.
import { percent } from "../format";
import type { Tone } from "../ui/card";
import type { Interval, Twin } from "./document";

/** A number of the users: predicted, and measured. */
export interface Compared {
  name: string;
  label: string;
  unit: string;
  predicted: Interval | undefined;
  measured: Interval | undefined;
  difference: number | null;
}

const ROWS: [name: string, label: string, unit: string][] = [
  ["ttft_ms.p50", "TTFT p50", "ms"],
  ["ttft_ms.p95", "TTFT p95", "ms"],
  ["itl_ms.p50", "ITL p50", "ms"],
  ["itl_ms.p95", "ITL p95", "ms"],
  ["requests_per_sec", "throughput", "requests/s"],
  ["error_rate", "failed", "share"],
];
const DECIDES = "ttft_ms.p95"; // the number on which the model is judged

/** Return a row for each number that was predicted. */
export function comparedOf({ predicted, measured, differences }: Twin): Compared[] {
  return ROWS.filter(([name]) => name in (predicted ?? {})).map(([name, label, unit]) => ({
    name,
    label,
    unit,
    predicted: predicted[name],
    measured: measured?.[name],
    difference: differences?.[name] ?? null,
  }));
}

/** Return who the users are. */
export function usersOf({ users, think_time }: Twin): string {
  const pauses = think_time ? `think time ${think_time}` : "without pauses";
  return `${users} ${users === 1 ? "user" : "users"}, ${pauses}`;
}

/** Return whether the model holds, as a word with its tone and a sentence. */
export function verdictOf({ holds, differences, reason }: Twin): { tone: Tone; words: string; sentence: string } {
  if (holds === null) return { tone: "warn", words: "not decided", sentence: reason ?? "" };
  const difference = differences?.[DECIDES] ?? 0;
  const side = `${percent(Math.abs(difference))} ${difference < 0 ? "below" : "above"}`;
  const sentence = `The measured TTFT p95 is ${side} the prediction.${reason ? ` Why it differs: ${reason}.` : ""}`;
  return { tone: holds ? "good" : "bad", words: holds ? "the model holds" : "the model does not hold", sentence };
}
