// What the page and the frame say to each other. The frame runs code of a model: nothing that it
// says is believed to be more than a short text or a number to show.

export const LANGUAGES = ["javascript", "html"] as const;
export type FrameLanguage = (typeof LANGUAGES)[number];

/** What the page asks of the frame, once; a port for what the frame says comes with it. */
export interface Order {
  language: FrameLanguage;
  code: string;
}

export type Level = "debug" | "log" | "info" | "warn" | "error";

/** That the code does not hang, and how it draws. */
export interface Alive {
  kind: "alive";
  /** Null while the code draws nothing. */
  frames_per_s: number | null;
  /** Whether the browser lets it draw: it does not while the frame is out of view. */
  in_view: boolean;
  renderer: string | null;
  /** How many lines came too fast. */
  dropped: number;
  /** Of WebGL and WebGPU, since the code began. */
  draw_calls: number;
  /** Between frames with draw calls, since the last report. */
  frame_times_ms: number[];
}

/** What the frame says. */
export type Told = { kind: "line"; level: Level; text: string } | Alive;

const LEVELS: readonly string[] = ["debug", "log", "info", "warn", "error"];
const MOST_TEXT = 2000;

/** Return what a message of the frame says, or null where it is not of this protocol. */
export function told(data: unknown): Told | null {
  if (typeof data !== "object" || data === null) return null;
  const given = data as Record<string, unknown>;
  if (given.kind === "line" && typeof given.text === "string") {
    const level = LEVELS.includes(String(given.level)) ? (given.level as Level) : "log";
    return { kind: "line", level, text: cut(given.text) };
  }
  if (given.kind === "alive") {
    const renderer = typeof given.renderer === "string" ? cut(given.renderer, 200) : null;
    const frames_per_s = number(given.frames_per_s);
    const in_view = given.in_view !== false;
    const dropped = number(given.dropped) ?? 0;
    const draw_calls = number(given.draw_calls) ?? 0;
    const frame_times_ms = numbers(given.frame_times_ms);
    return { kind: "alive", frames_per_s, in_view, renderer, dropped, draw_calls, frame_times_ms };
  }
  return null;
}

function number(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null;
}

function numbers(value: unknown): number[] {
  const given: unknown[] = Array.isArray(value) ? value.slice(0, 1000) : [];
  return given.map(number).filter((one) => one !== null);
}

/** Return the beginning of a text that is too long to be shown. */
export function cut(text: string, most = MOST_TEXT): string {
  return text.length > most ? `${text.slice(0, most)} … (${text.length} characters)` : text;
}
