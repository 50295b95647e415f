// What all tabs share: jobs and their progress, this machine's samples, the connection.
import { computed, effect, signal, untracked } from "@preact/signals";
import { get, locked } from "./api";
import { type Connection, follow } from "./events";
import { paced } from "./paced";
import { charted, type Charted, thinned } from "./run/live";
import type { Job, JobList, JobState, Kind, Measures, Progress, SystemSample, Told, Unfinished } from "./types";

const MOST_SAMPLES = 300; // ten minutes
const NUMBERS_MS = 80; // from one change of numbers to the next
const CURVES_MS = 200; // from one drawing of curves to the next: it takes more

export const connection = signal<Connection>("connecting");
export const jobs = signal<Job[]>([]);
/** The last progress of jobs, apart from them: it changes ten times a second. */
const progress = signal<Record<string, Progress>>({});
export const unfinished = signal<Unfinished[]>([]);
export const kinds = signal<Kind[]>([]);
export const samples = signal<(SystemSample & { at: number })[]>([]);
/** What the numbers of result files are called, once `loadMeasures` has read it. */
export const measures = signal<Measures>({ measures: {}, reasons: {} });
/** What curves need of the progress of the runs that were looked at, by job. */
export const histories = signal<Record<string, Charted[]>>({});
/** The job that runs or waits, if there is one: the first one in turn. */
export const active = computed(() => [...jobs.value].reverse().find((job) => !isOver(job)) ?? null);

export const isOver = (job: Job): boolean => ["ended", "cancelled", "lost"].includes(job.state);

/** Read lists and follow events whenever the page has a token. */
export function start(): void {
  let cancel = new AbortController();
  effect(() => {
    cancel.abort();
    if (locked.value !== null) return;
    cancel = new AbortController();
    untracked(() => void refresh()); // it reads a signal, whose change would begin all of this again
    void follow(heard, (now) => (connection.value = now), cancel.signal);
  });
}

/** Read the lists again. */
export async function refresh(): Promise<void> {
  try {
    await Promise.all([readJobs(), readKinds()]);
  } catch {
    // The connection or the token is gone, which the page says by itself.
  }
}

async function readJobs(): Promise<void> {
  const list = await get<JobList>("/jobs?limit=200");
  // At once: an event that comes later tells of a later state, and must not be undone.
  jobs.value = list.jobs;
  unfinished.value = list.unfinished;
}

async function readKinds(): Promise<void> {
  if (!kinds.value.length) kinds.value = await get<Kind[]>("/kinds");
}

function heard(name: string, data: unknown): void {
  if (name === "reset") void readAgain();
  else if (name === "job") takeJob(data as Job);
  else if (name === "note") takeNote(data as { job: string; text: string });
  else if (name === "told") takeTold(data as Told & { job: string });
  else if (name === "progress") takeProgress(data as Progress & { job: string });
  else if (name === "system") takeSample(data as SystemSample);
}

/** Read what events would have told: some were missed. */
async function readAgain(): Promise<void> {
  const watched = Object.keys(histories.value);
  histories.value = {};
  const listened = Object.keys(told.value);
  told.value = {};
  await Promise.all([refresh(), ...watched.map(watch), ...listened.map(listen)]);
}

let asked = false;

/** Read what the numbers are called; once is enough. */
export function loadMeasures(): void {
  if (asked) return;
  asked = true;
  get<Measures>("/measures")
    .then((found) => (measures.value = found))
    .catch(() => (asked = false));
}

const STEPS: JobState[] = ["queued", "running", "stopping", "ended", "cancelled", "lost"];
const stepOf = (job: Job) => STEPS.indexOf(job.state);

/**
 * Put a job in its place in the list. Events lack some of its fields, and the answer to a request
 * may come after the event of a later state.
 */
export function takeJob(job: Job): void {
  const known = jobs.value.find((one) => one.id === job.id);
  if (known && stepOf(known) > stepOf(job)) return;
  const now = { ...known, ...job };
  jobs.value = known
    ? jobs.value.map((one) => (one.id === job.id ? now : one))
    : [now, ...jobs.value].sort((a, b) => (a.id < b.id ? 1 : -1));
  if (isOver(job) && !(known && isOver(known))) void reread(job.id);
}

/** Read a job that has ended, with what it said, and the runs that were cut. */
async function reread(id: string): Promise<void> {
  try {
    const job = await get<Job>(`/jobs/${id}`);
    jobs.value = jobs.value.map((one) => (one.id === id ? job : one));
    unfinished.value = (await get<JobList>("/jobs?limit=1")).unfinished;
  } catch {
    // As above.
  }
}

const MOST_LINES = 40;

function takeNote({ job: id, text }: { job: string; text: string }): void {
  jobs.value = jobs.value.map((job) =>
    job.id === id ? { ...job, lines: [...(job.lines ?? []), text].slice(-MOST_LINES) } : job,
  );
}

let heardLast: Record<string, Progress> = {}; // of an earlier job nothing more is needed
let heardSince: Record<string, Charted[]> = {};
const showNumbers = paced(NUMBERS_MS, () => (progress.value = heardLast));
const showCurves = paced(CURVES_MS, () => {
  for (const [id, events] of Object.entries(heardSince)) addToHistory(id, events);
  heardSince = {};
});

function takeProgress({ job: id, ...now }: Progress & { job: string }): void {
  heardLast = { [id]: now };
  showNumbers();
  if (!histories.value[id]) return;
  (heardSince[id] ??= []).push(charted(now));
  showCurves();
}

function addToHistory(id: string, events: Charted[]): void {
  const known = histories.value[id] ?? [];
  const latest = known.at(-1)?.at ?? 0;
  const later = events.filter((one) => (one.at ?? 0) > latest);
  histories.value = { ...histories.value, [id]: thinned([...known, ...later]) };
}

/** Return the last progress of a job. */
export function progressOf(job: Job): Progress | null {
  return progress.value[job.id] ?? job.progress;
}

/** Read the progress of a job from its begin on; later events are added to it. */
export async function watch(id: string): Promise<void> {
  if (histories.value[id]) return;
  histories.value = { ...histories.value, [id]: [] };
  const before = await get<Progress[]>(`/jobs/${id}/progress`).catch(() => []);
  const since = histories.value[id] ?? [];
  histories.value = { ...histories.value, [id]: [] };
  addToHistory(id, before.map(charted));
  addToHistory(id, since);
}

/** What the runs that were looked at told of their answers, by job. */
export const told = signal<Record<string, Told[]>>({});
const MOST_TOLD = 1_000;

function takeTold({ job: id, ...now }: Told & { job: string }): void {
  const known = told.value[id];
  if (known) told.value = { ...told.value, [id]: [...known, now].slice(-MOST_TOLD) };
}

/** Read what a job told of its answers from its begin on; later ones are added to it. */
export async function listen(id: string): Promise<void> {
  if (told.value[id]) return;
  told.value = { ...told.value, [id]: [] };
  const before = await get<Told[]>(`/jobs/${id}/told`).catch(() => []);
  const latest = before.at(-1)?.at ?? 0;
  const since = (told.value[id] ?? []).filter((one) => one.at > latest);
  told.value = { ...told.value, [id]: [...before, ...since] };
}

function takeSample(sample: SystemSample): void {
  samples.value = [...samples.value, timed(sample)].slice(-MOST_SAMPLES);
}

/** Read the samples from before this page was opened. */
export async function loadSamples(): Promise<void> {
  const before = (await get<SystemSample[]>("/system/history").catch(() => [])).map(timed);
  const latest = before.at(-1)?.at ?? 0;
  samples.value = [...before, ...samples.value.filter((one) => one.at > latest)];
}

const timed = (sample: SystemSample) => ({ ...sample, at: Date.parse(sample.time) / 1000 });
