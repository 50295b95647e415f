// Server-sent events, read with fetch because they need the token in a header. After a break, those
// that were missed are asked for; `reset` says that some are no longer known.
import { request, Refused } from "./api";

export type Listener = (name: string, data: unknown) => void;
export type Connection = "connecting" | "live" | "lost";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;

/** Follow the events until the signal is set off; `connected` is told of each change. */
export async function follow(
  heard: Listener,
  connected: (now: Connection) => void,
  cancel: AbortSignal,
): Promise<void> {
  let last: string | null = null;
  let pause = FIRST_PAUSE_MS;
  while (!cancel.aborted) {
    try {
      const headers: HeadersInit = last === null ? {} : { "Last-Event-ID": last };
      const answer = await request("/events", { headers, signal: cancel });
      connected("live");
      pause = FIRST_PAUSE_MS;
      for await (const event of read(answer)) {
        if (event.id) last = event.id;
        heard(event.name, event.data);
      }
    } catch (error) {
      if (cancel.aborted || (error instanceof Refused && error.status === 401)) return;
    }
    connected("lost");
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

interface Event {
  id: string;
  name: string;
  data: unknown;
}

async function* read(answer: Response): AsyncGenerator<Event> {
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const event = parsed(block);
      if (event) yield event;
    }
  }
}

/** Return the event of a block of lines, or null for a comment. */
export function parsed(block: string): Event | null {
  const fields: Record<string, string> = {};
  for (const line of block.split("\n")) {
    const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (name) fields[name] = value ?? "";
  }
  if (!fields.event) return null;
  return { id: fields.id ?? "", name: fields.event, data: JSON.parse(fields.data ?? "null") };
}
