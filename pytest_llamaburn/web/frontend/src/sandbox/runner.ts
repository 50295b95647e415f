// Runs code of a model in a frame: begins, watches and ends it. Its one means against the code is
// to remove the frame, which always works because the frame is a process of its own.
import { type Alive, type FrameLanguage, type Level, told } from "./protocol";

export const WATCHDOG_MS = 10_000;
const MOST_MESSAGES = 500; // in a second; honest code sends at most a few more than 100
const CHECK_MS = 500;

export interface Line {
  level: Level;
  text: string;
}

/** What the page shows of code that runs. */
export interface Watcher {
  line(line: Line): void;
  alive(state: Alive): void;
  /** The frame is gone; `why` is a sentence, null where it was asked for. */
  ended(why: string | null): void;
}

/** Run code in a new frame below `host`; return what stops it. */
export function runInFrame(
  host: Element,
  order: { language: FrameLanguage; code: string },
  watcher: Watcher,
): () => void {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts");
  frame.title = "What the generated code draws";
  frame.src = "/sandbox/";
  const { port1: ours, port2: its } = new MessageChannel(); // which delivers at once, unlike windows
  let messages = 0;
  let silent_ms = 0;

  ours.onmessage = ({ data }: MessageEvent) => {
    messages += 1;
    const what = told(data);
    if (messages > MOST_MESSAGES) end("It sent too many messages and was stopped.");
    else if (what?.kind === "line") watcher.line({ level: what.level, text: what.text });
    else if (what?.kind === "alive") {
      silent_ms = 0;
      watcher.alive(what);
    }
  };

  function begin(): void {
    frame.contentWindow?.postMessage(order, "*", [its]); // the origin of the frame has no name
  }

  function check(): void {
    messages = 0;
    if (document.visibilityState === "visible") silent_ms += CHECK_MS; // a hidden page sleeps
    if (silent_ms >= WATCHDOG_MS) {
      end(`It did not answer for ${WATCHDOG_MS / 1000} s and was stopped.`);
    }
  }

  function end(why: string | null): void {
    window.clearInterval(timer);
    ours.close();
    frame.remove();
    watcher.ended(why);
  }

  frame.addEventListener("load", begin, { once: true });
  const timer = window.setInterval(check, CHECK_MS);
  host.append(frame);
  return () => {
    if (frame.isConnected) end(null);
  };
}
