// Charts on uPlot, which comes with the first one that is shown. Each has a table of its data.
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import { number, withUnit } from "../format";
import { drawBands, drawIntervals, drawMarks, drawPoints } from "./chart-marks";
import { Table } from "./table";
import { Value } from "./value";

export type Numbers = readonly (number | null | undefined)[];

export interface Series {
  name: string;
  unit?: string;
  values: Numbers;
  /** The ends of each value's interval. */
  low?: Numbers;
  high?: Numbers;
  /** A word beside each point. */
  labels?: readonly string[];
  /** The places of the points in the order in which a line joins them. */
  path?: readonly number[];
  look?: "line" | "points" | "steps" | "bars";
  dashed?: boolean;
  /** Which axis it is read at: the right one is for another unit. */
  side?: "left" | "right";
}

/** A part of the x axis, such as a level of a load; its label says its state. */
export interface Band {
  from: number;
  to: number;
  label: string;
  /** What is written once over neighbours that have it too, where their labels have no room. */
  short?: string;
  tone: "good" | "warn" | "bad" | "plain" | "none";
}

/** A place on the x axis. */
export interface Mark {
  at: number;
  label: string;
}

export interface Axis {
  label: string;
  unit?: string;
  /** Whether the axis begins at zero; it does unless this is false. */
  zero?: boolean;
  log?: boolean;
}

export interface ChartProps {
  title: string;
  x: Axis & { values: readonly number[] };
  y: Axis;
  right?: Axis;
  series: Series[];
  bands?: Band[];
  marks?: Mark[];
  height?: number;
  /** Charts with the same word share their crosshair. */
  sync?: string;
}

/** A chart with its legend, its values under the pointer, and its data as a table on demand. */
export function Chart(props: ChartProps) {
  const [tabled, setTabled] = useState(false);
  const id = useId();
  return (
    <figure class="chart" aria-labelledby={id}>
      <figcaption>
        <span id={id}>{props.title}</span>
        <button type="button" class="small" aria-pressed={tabled} onClick={() => setTabled(!tabled)}>
          Table
        </button>
      </figcaption>
      {tabled ? <Twin {...props} /> : <Plot {...props} />}
    </figure>
  );
}

/** The data of a chart as a table. */
function Twin({ title, x, series }: ChartProps) {
  const rows = x.values.map((at, place) => ({ at, place }));
  const columns = series.map((one) => ({
    name: one.name,
    unit: one.unit,
    show: ({ place }: { place: number }) => {
      const low = one.low?.[place];
      const high = one.high?.[place];
      const interval = typeof low === "number" && typeof high === "number";
      return (
        <Value
          value={one.values[place] ?? null}
          unit={one.unit}
          interval={interval ? [low, high] : null}
          bare
        />
      );
    },
  }));
  const first = { name: x.label, unit: x.unit, show: ({ at }: { at: number }) => number(at) };
  return (
    <Table label={title} columns={[first, ...columns]} rows={rows} keyOf={(row) => row.place} />
  );
}

function Plot(props: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const theme = useTheme();
  const [at, setAt] = useState<number | null>(null);
  const shape = JSON.stringify([theme, props.y, props.right, props.sync, props.series.map(looks)]);

  useEffect(() => {
    let gone = false;
    const sized = new ResizeObserver(() => resize(plot.current, box.current, latest.current));
    void import("./chart-options").then(({ make }) => {
      if (gone || !box.current) return;
      plot.current = make(box.current, () => latest.current, setAt, [
        drawBands,
        drawIntervals,
        drawPoints,
        drawMarks,
      ]);
      sized.observe(box.current);
    });
    return () => {
      gone = true;
      sized.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    plot.current?.setData(dataOf(props));
  });

  return (
    <>
      <div class="plot" ref={box} style={{ height: `${heightOf(props)}px` }} role="img" aria-label={spoken(props)} />
      <Legend {...props} at={at} />
    </>
  );
}

const looks = ({ name, unit, look, dashed, side }: Series) => [name, unit, look, dashed, side];

export const heightOf = (props: ChartProps): number => props.height ?? 220;

/** Return a chart's data as uPlot takes it. */
export function dataOf({ x, series }: ChartProps): uPlot.AlignedData {
  return [x.values, ...series.map((one) => one.values)] as unknown as uPlot.AlignedData;
}

function resize(plot: uPlot | null, box: HTMLElement | null, props: ChartProps): void {
  if (plot && box && box.clientWidth > 0 && plot.width !== box.clientWidth) {
    plot.setSize({ width: box.clientWidth, height: heightOf(props) });
  }
}

/** Return what a chart shows, in words. */
function spoken({ title, series, bands = [], marks = [] }: ChartProps): string {
  const parts = series.map((one) => {
    const known = one.values.filter((value): value is number => typeof value === "number");
    const ends = `${number(Math.min(...known))} to ${withUnit(Math.max(...known), one.unit)}`;
    return known.length ? `${one.name} ${ends}` : `${one.name} not measured`;
  });
  return [title, ...parts, ...bands.map((one) => one.label), ...marks.map((one) => one.label)].join("; ");
}

function Legend({ x, series, at }: ChartProps & { at: number | null }) {
  return (
    <ul class="legend" aria-hidden="true">
      {series.map((one, place) => (
        <li key={one.name}>
          <svg width="22" height="10" class={`series-${(place % 4) + 1}`}>
            {one.look === "points" ? (
              <circle cx="11" cy="5" r="4" />
            ) : (
              <line x1="0" x2="22" y1="5" y2="5" stroke-dasharray={dashOf(one, place)?.join(" ") ?? ""} />
            )}
          </svg>
          {one.name}
          {at !== null && <span class="number"> {withUnit(one.values[at], one.unit)}</span>}
        </li>
      ))}
      {at !== null && x.values[at] !== undefined && (
        <li class="quiet">
          at {x.label} {withUnit(x.values[at], x.unit)}
        </li>
      )}
    </ul>
  );
}

/** Return the dashes of a series, which tell it from others without colour. */
export function dashOf(one: Series, place: number): number[] | undefined {
  if (one.dashed) return [6, 4];
  return [undefined, [6, 4], [2, 3], [10, 4, 2, 4]][place % 4];
}

function useTheme(): string {
  const query = "(prefers-color-scheme: dark)";
  const [dark, setDark] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const changed = () => setDark(list.matches);
    list.addEventListener("change", changed);
    return () => list.removeEventListener("change", changed);
  }, []);
  return dark ? "dark" : "light";
}
