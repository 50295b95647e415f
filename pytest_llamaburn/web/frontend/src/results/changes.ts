// The three forms of comparisons, as one: what changed, from what to what, and how sure that is.
import type { Document } from "../views/document";

export interface Change {
  file: string;
  measure: string;
  statistic: string | null;
  level: number | null;
  unit: string;
  baseline: number | null;
  value: number | null;
  /** A share of the baseline, or a difference in `changeUnit` where that is not "%". */
  change: number | null;
  interval: [number, number] | null;
  changeUnit: string;
  verdict: string;
  reason: string | null;
}

/** A gate on a change. */
export interface Gate {
  expression: string;
  file: string;
  verdict: string;
  reason: string | null;
}

export interface ComparedFile {
  label: string;
  path: string;
  model: { id: string; name: string };
  timestamp: string;
  status: string;
  baseline: boolean;
}

export interface ComparisonOf {
  /** The kind of the files that are compared. */
  kind: string;
  files: ComparedFile[];
  warnings: string[];
  changes: Change[];
  gates: Gate[];
  method: string[];
}

type Raw = Record<string, unknown>;

/** Return what a comparison says. */
export function comparisonOf(document: Document): ComparisonOf {
  const kind = (document.schema ?? "").replace(/^llamaburn\/(?:(.+)-)?comparison$/, "$1");
  const { files, warnings, changes, differences, gates, method } = (document.results ?? {}) as Raw;
  return {
    kind: kind || "benchmark",
    files: list(files) as unknown as ComparedFile[],
    warnings: list(warnings).map(({ file, text }) => (file ? `${file}: ${text}` : String(text))),
    changes: changes ? list(changes).map(ofMeasure) : list(differences).map(ofMark),
    gates: list(gates) as unknown as Gate[],
    method: Object.entries((method ?? {}) as Raw)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => `${name.replaceAll("_", " ")}: ${String(value)}`),
  };
}

function ofMeasure(raw: Raw): Change {
  const shares = raw.unit === "share"; // of these the difference is shown
  const interval = pair(raw.interval);
  const change = figure(raw.change);
  return {
    ...common(raw),
    measure: text(raw.metric),
    statistic: text(raw.statistic) || null,
    level: figure(raw.level),
    change: change === null ? null : change * 100,
    interval: interval && [interval[0] * 100, interval[1] * 100],
    changeUnit: shares ? "points" : "%",
  };
}

function ofMark(raw: Raw): Change {
  const shares = raw.unit === "share"; // these are shown in percent
  const scale = shares ? 100 : 1;
  const [change, interval] = [figure(raw.difference), pair(raw.ci95)];
  return {
    ...common(raw),
    measure: text(raw.mark),
    statistic: null,
    level: null,
    change: change === null ? null : change * scale,
    interval: interval && [interval[0] * scale, interval[1] * scale],
    changeUnit: shares ? "points" : text(raw.unit),
  };
}

function common(raw: Raw) {
  return {
    file: text(raw.file),
    unit: text(raw.unit),
    baseline: figure(raw.baseline),
    value: figure(raw.value),
    verdict: text(raw.verdict),
    reason: text(raw.reason) || null,
  };
}

const list = (value: unknown): Raw[] => (Array.isArray(value) ? (value as Raw[]) : []);
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const figure = (value: unknown): number | null => (typeof value === "number" ? value : null);

function pair(value: unknown): [number, number] | null {
  return Array.isArray(value) && value.length === 2 ? [Number(value[0]), Number(value[1])] : null;
}

/** Return a change with its sign and unit. */
export function signed(value: number, unit: string): string {
  const size = Math.abs(value);
  const digits = size < 10 ? 2 : size < 100 ? 1 : 0;
  const text = size.toFixed(unit === "%" || unit === "points" ? Math.min(1, digits) : digits);
  const sign = value < 0 && Number(text) !== 0 ? "−" : "+";
  return `${sign}${text}${unit === "%" || unit === "points" ? ` ${unit}` : ""}`;
}
