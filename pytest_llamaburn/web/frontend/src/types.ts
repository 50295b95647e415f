// What the REST API sends, as docs/web.md and /openapi.json describe it.

export interface Reference {
  type: string;
  id: string;
}

/** The state of a run as it is now; a field that is not known is missing. */
export interface Progress {
  at?: number | null;
  stage?: string | null;
  unit?: string | null;
  done?: number | null;
  planned?: number | null;
  failed?: number | null;
  failure?: string | null;
  state?: string | null;
  tokens_per_sec?: number | null;
  time_to_first_token_ms?: number | null;
  clients?: number | null;
  rate_per_sec?: number | null;
  in_flight?: number | null;
  requests_per_sec?: number | null;
  total_p50_ms?: number | null;
  total_p95_ms?: number | null;
  eta_s?: number | null;
}

/** Facts of a medium: its id, where it is kept, and what was measured of it. */
export interface MediumFacts {
  kind: string;
  id?: string | null;
  seconds?: number | null;
  bytes?: number;
  /** Of a video: the times of the frames that the model saw, in seconds. */
  frames?: number[];
  [fact: string]: unknown;
}

/** What a run tells while it goes on: a question, an answer, a score, or what it hears. */
export interface Told {
  event: string;
  at: number;
  question?: string;
  prompt?: string;
  reference?: string | null;
  category?: string;
  media?: MediumFacts[];
  sample?: number;
  answer?: string | null;
  error?: { kind: string; message?: string } | null;
  cached?: boolean;
  timing?: Record<string, number | null>;
  measured?: Record<string, unknown>;
  correct?: boolean | null;
  reason?: string;
  text?: string;
  start_s?: number;
  end_s?: number;
  delay_ms?: number;
  seconds?: number;
}

export type JobState = "queued" | "running" | "stopping" | "ended" | "cancelled" | "lost";

export interface Job {
  id: string;
  kind: string;
  state: JobState;
  command: string;
  pytest?: string | null;
  created: string;
  started: string | null;
  ended: string | null;
  exit_code: number | null;
  meaning: string | null;
  progress: Progress | null;
  wrote: Reference[];
  lines?: string[];
}

/** A run that was cut and can be continued. */
export interface Unfinished {
  run_id: string;
  kind: string;
  model: string | null;
  time: string | null;
  command: string;
}

export interface JobList {
  jobs: Job[];
  total: number;
  unfinished: Unfinished[];
}

/** A kind of run: the lists of its results, and the settings that a form shows at once. */
export interface Kind {
  name: string;
  help: string;
  description: string;
  types: string[];
  first: string[];
}

/** A result in a list. */
export interface Row {
  id: string;
  type: string;
  status: string;
  reason: string | null;
  time: string | null;
  models: string[];
  run_id: string | null;
  requests: { succeeded: number; planned: number } | null;
  measures: Record<string, number>;
  size_bytes: number;
}

export interface Page {
  rows: Row[];
  total: number;
  unread: number;
}

/** The statistics of a measure in a result file. */
export interface Distribution {
  unit?: string;
  n: number;
  mean: number | null;
  std?: number | null;
  min: number | null;
  p50: number | null;
  p90?: number | null;
  p95: number | null;
  p99: number | null;
  max: number | null;
  ci95?: [number, number] | null;
  certified?: string[];
  reason?: string | null;
}

/** The numbers of result files by name, and why one may be missing, by the code of the file. */
export interface Measures {
  measures: Record<string, { label: string; unit: string; better: string; formula: string }>;
  reasons: Record<string, string>;
}

/** What this machine does, every two seconds; `sensors` are those of GPUs and processors. */
export interface SystemSample {
  time: string;
  cpu_percent: number | null;
  ram_used_mb: number;
  ram_total_mb: number;
  sensors: unknown;
}

/** The settings of a kind as JSON Schema; `x-` fields are what a form needs besides. */
export interface Schema {
  title: string;
  description: string;
  properties: Record<string, Field>;
}

export interface Field {
  title?: string;
  description?: string;
  type?: string;
  enum?: string[];
  anyOf?: Field[];
  items?: Field;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  pattern?: string;
  "x-group"?: string;
  "x-unit"?: string;
  "x-modes"?: string[];
  "x-flag"?: string;
}
