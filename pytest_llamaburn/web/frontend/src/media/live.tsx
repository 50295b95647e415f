// Live transcription: the microphone's sound goes up in small parts, the text comes down as events.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { sentence } from "../api";
import { isOver, jobs, listen, told } from "../store";
import type { Job, Told } from "../types";
import { Badge, Card, Problem } from "../ui/card";
import { Value } from "../ui/value";
import { begin, forget, sendSound, type Upload } from "./api";
import { Wave } from "./medium";
import { type Microphone, open } from "./microphone";
import { type Peaks, peaksOf } from "./waveform";

const SENT_EVERY_MS = 250;
const SHOWN_S = 6; // of the waveform
const COLUMNS = 200;
const RATE = 16_000;

interface Session {
  upload: Upload;
  microphone: Microphone;
  job: string | null;
  /** How many more samples the run hears; none before it listens. */
  left: number;
  waiting: Int16Array[];
  timer: number;
  ended: boolean;
}

const session = signal<Session | null>(null);
const level = signal<Peaks>(peaksOf(new Float32Array(0), COLUMNS));
const problem = signal("");
let newest: Float32Array<ArrayBufferLike> = new Float32Array(SHOWN_S * RATE);

/** Open the microphone for a run; return the setting that names it. Rejects with a sentence. */
export async function openForRun(): Promise<Record<string, unknown>> {
  problem.value = "";
  if (session.value) await stop();
  newest = new Float32Array(SHOWN_S * RATE);
  const microphone = await open(RATE, hear);
  const upload = await begin("live").catch((error) => {
    microphone.close();
    throw error;
  });
  const timer = window.setInterval(() => void send(), SENT_EVERY_MS);
  session.value = { upload, microphone, job: null, left: 0, waiting: [], timer, ended: false };
  return { device: upload.setting };
}

/** Note which run hears the microphone. */
export function heardBy(job: Job): void {
  if (session.value) session.value = { ...session.value, job: job.id };
}

/** Let go of the microphone where no run began. */
export async function giveUp(): Promise<void> {
  const now = session.value;
  if (!now || now.job) return;
  close(now);
  await forget(now.upload);
}

function hear(samples: Int16Array): void {
  const now = session.value;
  if (!now || now.ended) return;
  if (now.left > 0) {
    now.waiting.push(samples);
    now.left -= samples.length;
    if (now.left <= 0) void stop();
  }
  const shown = new Float32Array(newest.length);
  shown.set(newest.subarray(samples.length));
  shown.set(Float32Array.from(samples, (one) => one / 32_768), shown.length - samples.length);
  newest = shown;
}

let sending: Promise<void> = Promise.resolve();

/** Send what was heard since the last time, one part after another. */
async function send(last = false): Promise<void> {
  level.value = peaksOf(newest, COLUMNS);
  const now = session.value;
  if (!now || (!last && now.waiting.length === 0)) return;
  const parts = now.waiting.splice(0);
  const samples = new Int16Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    samples.set(part, place);
    place += part.length;
  }
  sending = sending.then(() => sendSound(now.upload, samples, last));
  await sending.catch((error) => {
    sending = Promise.resolve();
    if (session.value?.upload.id !== now.upload.id) return; // it is over
    problem.value = sentence(error);
    close(now);
  });
}

/** End the sound; the run transcribes what is left and writes its result. */
async function stop(): Promise<void> {
  const now = session.value;
  if (!now || now.ended) return;
  now.ended = true;
  await send(true);
  close(now);
}

function close(now: Session): void {
  window.clearInterval(now.timer);
  now.microphone.close();
  if (session.value?.upload.id === now.upload.id) session.value = null;
}

/** The text of a live run as it comes, with the microphone's waveform while it is open here. */
export function Live({ job }: { job: Job }) {
  useEffect(() => void listen(job.id), [job.id]);
  const events = told.value[job.id] ?? [];
  const seconds = events.find((one) => one.event === "listening")?.seconds;
  const listens = seconds !== undefined;
  const heard = events.filter((one) => one.event === "heard");
  const now = session.value?.job === job.id ? session.value : null;
  const over = isOver(jobs.value.find((one) => one.id === job.id) ?? job);
  useEffect(() => {
    if (now && seconds && now.left === 0 && !now.ended) now.left = seconds * RATE;
    if (now && over) close(now);
  }, [now?.upload.id, seconds, over]);
  const actions = now && (
    <button type="button" class="stop" onClick={() => void stop()}>
      Stop listening
    </button>
  );
  return (
    <Card title="What is heard" actions={actions}>
      {problem.value && <Problem>{problem.value}</Problem>}
      {!over && (
        <p class="row">
          <span role="status">
            <Badge tone={listens && now ? "good" : "plain"}>{stateOf(listens, now)}</Badge>
          </span>
          {now && <span class="quiet">{now.microphone.name}</span>}
        </p>
      )}
      {now && <Wave peaks={level.value} played={listens ? 1 : 0} label="Waveform of the microphone" />}
      <Texts of={heard} over={over} />
    </Card>
  );
}

function stateOf(listens: boolean, now: Session | null): string {
  if (!listens) return "the model is loaded: do not speak yet";
  return now ? "listening: speak now" : "transcribes what was said";
}

function Texts({ of, over }: { of: Told[]; over: boolean }) {
  return (
    <ol class="heard" aria-live="polite" aria-label="Text">
      {of.length === 0 && <li class="quiet">{over ? "No speech was heard." : "No speech yet."}</li>}
      {of.map((one) => (
        <li key={one.start_s}>
          <span class="quiet number">{(one.start_s ?? 0).toFixed(1)} s</span> <span>{one.text}</span>{" "}
          <span class="quiet">
            after <Value value={one.delay_ms} unit="ms" />
          </span>
        </li>
      ))}
    </ol>
  );
}
