// A result file as the page reads it. Files of other versions may lack any of this, so all is
// optional; `results` is what the kind writes.
import type { Distribution, MediumFacts } from "../types";

export interface Document {
  schema?: string;
  run_id?: string;
  status?: string;
  timestamp?: string;
  contended?: boolean;
  model?: Partial<{
    id: string;
    quantization: string | null;
    family: string | null;
    parameter_size: string | null;
  }>;
  server?: Partial<{ kind: string; version: string | null; host: string }>;
  config?: Record<string, unknown>;
  environment?: Record<string, unknown>;
  telemetry?: { reason?: string | null; provider?: string | null } & Record<string, unknown>;
  system_profile?: ProfileEntry[];
  insights?: { id?: string; text?: string }[];
  results?: unknown;
}

/** A reading of this machine's sensors; numbers by name, and those of each GPU. */
export interface ProfileEntry {
  t_ms: number;
  phase: string;
  active?: number;
  gpus?: Record<string, number | null>[];
  [name: string]: unknown;
}

export interface Gate {
  expression: string;
  value: number | null;
  ci95?: [number, number] | null;
  margin?: number | null;
  verdict: string;
  reason?: string | null;
}

/** A mean or a share with its interval, and of how many. */
export interface Mean {
  mean: number | null;
  ci95?: [number, number] | null;
  n_total?: number;
  n_scored?: number;
  reason?: string | null;
  unit?: string;
}

/** A number with its interval, or why there is none. */
export interface Figure {
  value: number | null;
  ci95?: [number, number] | null;
  reason?: string | null;
}

export interface BenchmarkResults {
  runs?: Run[];
  summary?: Record<string, Distribution>;
  totals?: Record<string, number | null>;
  errors?: Record<string, number>;
  prompts?: { sets?: string[]; available?: number; used?: number };
  correctness?: ({ accuracy?: number | null } & Record<string, unknown>) | null;
  cost?: Record<string, unknown>;
  gates?: Gate[];
}

/** A request of a benchmark; its measures are numbers by name. */
export interface Run {
  prompt_id: string;
  category?: string;
  repeat?: number;
  iteration?: number;
  timestamp: string;
  flags?: string[];
  null_reasons?: Record<string, string>;
  error?: { kind: string; message?: string } | null;
  [measure: string]: unknown;
}

export interface Level {
  concurrency?: number | null;
  rate?: number | null;
  requests: number;
  failed: number;
  error_rate: number | null;
  error_rate_ci95?: [number, number] | null;
  duration_s?: number;
  requests_per_sec: number | null;
  output_tokens_per_sec: number | null;
  rate_reason?: string | null;
  state?: string | null;
  evidence?: string | null;
  client_limited?: boolean;
  [measure: string]: unknown;
}

/** Where a load degrades or fails: the level, or the levels between which it lies. */
export interface Point {
  concurrency?: number | null;
  rate?: number | null;
  metric?: string;
  passing?: number | null;
  failing?: number | null;
  interval?: [number | null, number | null] | null;
  reached?: boolean;
  reason?: string | null;
}

export interface Second {
  second: number;
  in_flight: number;
  completed: number;
  failed: Record<string, number>;
  tokens: number | null;
}

/** A number with its 95 % interval; `n` is the number of its samples. */
export interface Interval {
  value: number | null;
  ci95?: [number, number] | null;
  n?: number | null;
}

export interface Assumption {
  assumption: string;
  sentence: string;
}

/** A load of users: what was predicted and what was measured, by measure. */
export interface Twin {
  users: number;
  think_time: string | null;
  requests: number;
  predicted: Record<string, Interval>;
  measured: Record<string, Interval>;
  differences: Record<string, number | null>;
  holds: boolean | null;
  broken_assumptions: Assumption[];
  reason: string | null;
}

/** A fitted model of the server. */
export interface Service {
  slots: number;
  slots_known: boolean;
  shares_processor: boolean;
  stall_share: number | null;
  prefill: { tokens_per_sec: number | null; fixed_ms: Interval; reason: string | null };
  decode: { batch: number; ms_per_token: Interval }[];
  broken_assumptions: Assumption[];
}

export interface StressResults {
  twin?: Twin | null;
  service?: Service | null;
  baseline?: Level | null;
  levels?: Level[];
  failure_point?: Point | null;
  degradation_point?: Point | null;
  points_reason?: string | null;
  optimal?: ({ evidence?: string } & Point) | null;
  recovery_time_ms?: number | null;
  timeline?: Second[];
  totals?: Record<string, number | null>;
  errors?: Record<string, number>;
  stop_reason?: string | null;
  gates?: Gate[];
}

export interface Judgment {
  criterion: string;
  state: string;
  source?: string;
  score: number | null;
  verdict: string | null;
  reasoning: string;
  evidence: string[];
  claims?: { claim: string; quote: string; supported: boolean }[];
  judge: string | null;
  error?: Record<string, string> | null;
}

export interface Score {
  score: number | null;
  verdict?: string | null;
  state: string;
  judgments: Judgment[];
}

/** A call of a tool; `fault` says why it cannot be read. */
export interface ToolCall {
  name: string | null;
  arguments: Record<string, unknown> | null;
  fault?: string | null;
}

export interface Item {
  question: {
    id: string;
    prompt: string;
    reference?: string | null;
    category?: string;
    scorer?: string | null;
  };
  answer: string | null;
  tool_calls?: ToolCall[];
  thinking?: string | null;
  error?: { kind: string; message?: string } | null;
  cached?: boolean;
  flags?: string[];
  timing?: Record<string, number | null>;
  null_reasons?: Record<string, string>;
  correct: boolean | null;
  verdict?: {
    state: string;
    reason: string;
    extracted: string | null;
    details?: Record<string, unknown>;
  } | null;
  scores: Record<string, Score>;
  comparisons?: { verdict: string | null; state: string; inconsistent: boolean; judgments: Judgment[] }[];
  rival_answer?: string | null;
  media?: MediumFacts[];
  measured?: Record<string, unknown>;
}

export interface EvalResults {
  eval_set?: { name?: string; version?: string; used?: number; available?: number };
  items?: Item[];
  correct?: Mean & { right?: number };
  criteria?: Record<string, Mean>;
  by_category?: Record<string, Record<string, Mean | number>>;
  pairwise?: ({
    rival?: string;
    win_rate?: Figure;
    wins?: number;
    losses?: number;
    ties?: number;
    consistency?: Figure;
    verdict?: string | null;
    reason?: string | null;
  } & Record<string, unknown>) | null;
  judging?: { judges?: string[]; notes?: string[] };
  cost?: { calls?: number; cost_usd?: number | null; reason?: string | null };
  summary?: Record<string, Distribution>;
  totals?: Record<string, number | null>;
  errors?: Record<string, number>;
  gates?: Gate[];
}

/** Return a measure's number, or null. */
export function numberOf(from: object, name: string): number | null {
  const value = (from as Record<string, unknown>)[name];
  return typeof value === "number" ? value : null;
}

/** Return a measure's distribution, or null. */
export function distributionOf(from: object, name: string): Distribution | null {
  const value = (from as Record<string, unknown>)[name];
  return typeof value === "object" && value !== null && "n" in value ? (value as Distribution) : null;
}
