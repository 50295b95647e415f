// What the server says is to be shown of a result of any kind, and its charts as this page draws them.
import type { Band, ChartProps, Series } from "../ui/chart";
import { STATES } from "./states";

export interface View {
  cards: Shown[];
  charts: (Plot | Forest)[];
  entries: Entry[];
  tables: Sheet[];
}

/** A headline number: how sure it is, and from how many values or why there is none. */
export interface Shown {
  label: string;
  value: string;
  unit: string;
  spread: string;
  note: string;
}

interface Axis {
  label: string;
  unit: string;
  low: number | null;
  log: boolean;
}

interface Point {
  x: number;
  y: number;
  low: number | null;
  high: number | null;
  label: string;
}

interface Line {
  name: string;
  points: Point[];
  style: string;
  labelled: boolean;
}

export interface Plot {
  title: string;
  x: Axis;
  y: Axis;
  lines: Line[];
  bands: { start: number; end: number; label: string; kind: string }[];
  marks: { at: number; label: string }[];
  note: string;
}

/** Intervals below each other. */
export interface Forest {
  title: string;
  spans: { label: string; words: string }[];
  note: string;
}

export interface Entry {
  title: string;
  verdict: string;
  texts: [heading: string, text: string][];
}

export interface Sheet {
  title: string;
  columns: string[];
  words: number;
  rows: string[][];
  notes: Record<string, string[]>;
  warnings: string[];
}

const FEW = 40; // points of a line, each of which is drawn

export const isPlot = (chart: Plot | Forest): chart is Plot => "lines" in chart;

/** Return a chart as this page draws it: all series have one list of places. */
export function chartOf({ title, x, y, lines, bands, marks }: Plot): ChartProps {
  const placed = lines.map((line) => new Map(line.points.map((point) => [placeOf(point, line, x), point])));
  const values = [...new Set(placed.flatMap((points) => [...points.keys()]))].sort((a, b) => a - b);
  return {
    title,
    x: { label: x.label, unit: x.unit, values, log: x.log },
    y: { label: y.label, unit: y.unit, zero: y.low === 0, log: y.log },
    series: lines.map((line, place) => seriesOf(line, y.unit, values, placed[place]!)),
    bands: bands.map(bandOf),
    marks,
  };
}

/** Return where a point is drawn; a bar, which reaches from `x` to `high`, in its middle. */
function placeOf({ x, high }: Point, { style }: Line, { log }: Axis): number {
  if (style !== "bars" || high === null) return x;
  return log ? Math.sqrt(x * high) : (x + high) / 2;
}

function seriesOf(line: Line, unit: string, values: number[], points: Map<number, Point>): Series {
  const of = <T>(read: (point: Point) => T): (T | null)[] =>
    values.map((value) => {
      const point = points.get(value);
      return point ? read(point) : null;
    });
  const shared = { name: line.name, unit, values: of((point) => point.y) };
  if (line.style === "bars") return { ...shared, look: "bars" };
  const isDotted = line.style !== "line" || line.points.length <= FEW;
  const order = line.points.map((point) => values.indexOf(point.x));
  return {
    ...shared,
    low: of((point) => point.low),
    high: of((point) => point.high),
    ...(line.labelled && { labels: of((point) => point.label).map((label) => label ?? "") }),
    ...(isDotted && { look: "points" as const }),
    ...(isDotted && line.style === "line" && { path: order }),
  };
}

function bandOf({ start, end, label, kind }: Plot["bands"][number]): Band {
  return { from: start, to: end, label, short: label, tone: STATES[kind] ?? "plain" };
}
