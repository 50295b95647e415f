// Runs code of a model: JavaScript and HTML in the frame, programs in the sandbox of the server.
// Whatever the code says is shown as text.
import { useEffect, useRef, useState } from "preact/hooks";
import { post, sentence } from "../api";
import { bytes, number, span } from "../format";
import { type Block, type Language, onServer, runnable } from "../sandbox/code-blocks";
import type { Alive, FrameLanguage } from "../sandbox/protocol";
import { type Line, runInFrame, WATCHDOG_MS } from "../sandbox/runner";
import { Badge, Problem, type Tone } from "./card";

const MOST_LINES = 500;
export const NAMES: Record<Language, string> = {
  javascript: "JavaScript",
  html: "HTML",
  python: "Python",
  node: "JavaScript (Node.js)",
  c: "C",
};

/** How a program ended, as the server says. */
interface Ended {
  state: string;
  message: string;
  output: string;
  runtime_ms: number | null;
  peak_memory_mb: number | null;
  memory_reason: string;
}

type State = "idle" | "runs" | "stopped";

/** What running a piece of code is like now, and how to begin and to stop it. */
export interface Run {
  state: State;
  language: Language | null;
  lines: Line[];
  drawing: Alive | null;
  ended: Ended | null;
  problem: string | null;
  start: (block: Block) => void;
  stop: () => void;
  host: (box: HTMLElement | null) => void;
}

/** Run one piece of code at a time. */
export function useRun(): Run {
  const [state, setState] = useState<State>("idle");
  const [language, setLanguage] = useState<Language | null>(null);
  const [lines, setLines] = useState<Line[]>([]);
  const [drawing, setDrawing] = useState<Alive | null>(null);
  const [ended, setEnded] = useState<Ended | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const box = useRef<HTMLElement | null>(null);
  const halt = useRef<() => void>(() => {});
  const turn = useRef(0);

  const start = (block: Block) => {
    halt.current();
    const mine = ++turn.current; // what an earlier run tells from now on is not shown
    const tell = (how: Ended) => turn.current === mine && setEnded(how);
    const over = (why: string | null) => {
      if (turn.current !== mine) return;
      halt.current = () => {};
      setProblem(why);
      setState("stopped");
    };
    setState("runs");
    setLanguage(block.language);
    setLines([]);
    setDrawing(null);
    setEnded(null);
    setProblem(null);
    setTimeout(() => box.current?.parentElement?.scrollIntoView({ block: "nearest" }));
    const program = onServer(block.language);
    if (program) halt.current = runOnServer({ code: block.code, language: program }, tell, over);
    else if (box.current) {
      const order = { language: block.language as FrameLanguage, code: block.code };
      halt.current = runInFrame(box.current, order, {
        line: (line) => setLines((known) => [...known, line].slice(-MOST_LINES)),
        alive: setDrawing,
        ended: over,
      });
    }
  };
  useEffect(() => () => halt.current(), []);
  const host = (found: HTMLElement | null) => (box.current = found);
  const stop = () => halt.current();
  return { state, language, lines, drawing, ended, problem, start, stop, host };
}

/** Have the server run a program; return what ends it. */
function runOnServer(
  program: { code: string; language: string },
  tell: (ended: Ended) => unknown,
  over: (why: string | null) => void,
): () => void {
  const cancel = new AbortController();
  post<Ended>("/programs/run", program, cancel.signal).then(
    (ended) => {
      tell(ended);
      over(null);
    },
    (error) => over(cancel.signal.aborted ? null : sentence(error)),
  );
  return () => cancel.abort();
}

/** Buttons that begin and stop a piece of code. */
export function RunButtons({ run, block, label }: { run: Run; block: Block; label?: string }) {
  const what = label ?? `this ${NAMES[block.language]}`;
  return (
    <div class="actions">
      <button
        type="button"
        class="primary"
        disabled={!block.code.trim()}
        aria-label={`${run.state === "idle" ? "Run" : "Run again"}: ${what}`}
        onClick={() => run.start(block)}
      >
        {run.state === "idle" ? "Run" : "Run again"}
      </button>
      <button
        type="button"
        class="stop"
        disabled={run.state !== "runs"}
        aria-label={`Stop: ${what}`}
        onClick={run.stop}
      >
        Stop
      </button>
    </div>
  );
}

/** What a piece of code draws, prints and reports. */
export function RunOutput({ run }: { run: Run }) {
  const framed = run.language !== null && !onServer(run.language);
  return (
    <div class="run-output" hidden={run.state === "idle"}>
      <p class="run-state">
        <span role="status">
          <Badge tone={toneOf(run)}>{wordOf(run)}</Badge>
        </span>
        {framed && <Frames run={run} />}
        {run.ended?.runtime_ms != null && (
          <span class="quiet">ran for {span(run.ended.runtime_ms / 1000)}</span>
        )}
        {run.ended && <Memory ended={run.ended} />}
      </p>
      {run.problem && <Problem>{run.problem}</Problem>}
      {run.ended?.message && <Problem>{run.ended.message}</Problem>}
      <div class="preview" ref={run.host} hidden={!framed || run.state !== "runs"} />
      {run.ended && <Printed text={run.ended.output} />}
      {framed && <Console run={run} />}
    </div>
  );
}

/** The largest memory of a program, or why it is not known. */
function Memory({ ended: { peak_memory_mb: memory, memory_reason: reason } }: { ended: Ended }) {
  if (memory !== null) return <span class="quiet">used {bytes(memory * 1e6)} of memory</span>;
  return reason ? <span class="quiet">memory not known: {reason}</span> : null;
}

function wordOf(run: Run): string {
  if (run.state === "runs") return "runs";
  return run.ended ? run.ended.state : "stopped";
}

function toneOf(run: Run): Tone {
  if (run.problem || (run.ended && run.ended.state !== "finished")) return "bad";
  return run.ended ? "good" : "plain";
}

/** Frames per second, with what drew them: a processor's are not a GPU's. */
function Frames({ run: { drawing } }: { run: Run }) {
  if (!drawing) return null;
  const { frames_per_s: rate, in_view: inView, renderer } = drawing;
  const paused = inView ? "draws no frames" : "paused while it is out of view";
  return (
    <span class="quiet">
      <span class="number">{rate === null ? paused : `${number(rate)} frames/s`}</span>
      {renderer && <> · {renderer}</>}
    </span>
  );
}

function Printed({ text }: { text: string }) {
  if (!text) return <p class="quiet">It printed nothing.</p>;
  return (
    <pre class="printed" role="region" aria-label="Printed output" tabIndex={0}>
      {text}
    </pre>
  );
}

function Console({ run }: { run: Run }) {
  const dropped = run.drawing?.dropped ?? 0;
  return (
    <div class="console" role="log" aria-label="Console" tabIndex={0}>
      {run.lines.length === 0 && <p class="quiet">The console is empty.</p>}
      {run.lines.map((line, place) => (
        <p key={place} class={`line ${line.level}`}>
          {line.level !== "log" && <span class="level">{line.level}</span>}
          {line.text}
        </p>
      ))}
      {dropped > 0 && <p class="quiet">{number(dropped)} more lines came too fast to be shown.</p>}
    </div>
  );
}

/** A piece of code in an answer of a model; what can be run here has a button for it. */
export function Code({ text, tag }: { text: string; tag: string }) {
  const block = runnable(text, tag);
  if (block) return <RunnableCode block={block} />;
  return (
    <pre>
      <code>{text}</code>
    </pre>
  );
}

function RunnableCode({ block }: { block: Block }) {
  const run = useRun();
  const name = `${NAMES[block.language]} code`;
  return (
    <div class="runnable">
      <header>
        <span>{name}</span>
        <RunButtons run={run} block={block} label={name} />
      </header>
      <pre role="region" aria-label={name} tabIndex={0}>
        <code>{block.code}</code>
      </pre>
      <RunOutput run={run} />
    </div>
  );
}

/** What limits the code, in words. */
export const LIMITS = {
  server: "It runs on the server for at most 10 s, without network, files and other processes.",
  frame:
    "It runs in a frame without network, storage and access to this page, and is stopped when it " +
    `does not answer for ${WATCHDOG_MS / 1000} s.`,
};
