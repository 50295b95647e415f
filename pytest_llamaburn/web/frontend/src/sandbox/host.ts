// The page around the frame where `llamaburn eval --render` runs code: it keeps what the frame says
// until the program that drives the browser asks.
import type { Order } from "./protocol";
import { type Line, runInFrame } from "./runner";

const MOST_LINES = 200;

interface Seen {
  lines: Line[];
  renderer: string | null;
  draw_calls: number;
  frame_times_ms: number[];
  alive: number;
  ended: string | null;
}

const seen: Seen = { lines: [], renderer: null, draw_calls: 0, frame_times_ms: [], alive: 0, ended: null };

function begin(order: Order): void {
  runInFrame(document.body, order, {
    line: (line) => {
      if (seen.lines.length < MOST_LINES) seen.lines.push(line);
    },
    alive: (state) => {
      seen.alive += 1;
      seen.renderer = state.renderer;
      seen.draw_calls = state.draw_calls;
      seen.frame_times_ms.push(...state.frame_times_ms);
    },
    ended: (why) => {
      seen.ended = why;
    },
  });
}

Object.assign(window, { rendering: { begin, seen } });
