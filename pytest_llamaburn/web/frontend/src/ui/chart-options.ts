// How a chart's properties become options of uPlot.
import UPlot from "uplot";
import { fixed } from "../format";
import { type Axis, type ChartProps, dashOf, dataOf, heightOf, type Series } from "./chart";

export type Draw = (plot: UPlot, props: ChartProps, ink: Ink) => void;

/** The colours of the page that a canvas needs by value. */
export interface Ink {
  text: string;
  faint: string;
  page: string;
  series: string[];
  tone: Record<"good" | "warn" | "bad" | "plain" | "none", string>;
}

const FONT = "11px system-ui, sans-serif";
const FEWEST_PIXELS = 60; // from one tick of the x axis to the next

/** Make the plot of a chart in a box; `props` gives those of the latest drawing. */
export function make(
  box: HTMLElement,
  props: () => ChartProps,
  pointed: (at: number | null) => void,
  draws: Draw[],
): UPlot {
  const ink = inkOf(box);
  const now = props();
  const [bands, ...rest] = draws;
  const options: UPlot.Options = {
    width: box.clientWidth || 300,
    height: heightOf(now),
    padding: [14, 12, 0, 0],
    legend: { show: false },
    cursor: {
      drag: { x: true, y: false },
      points: { size: 7 },
      ...(now.sync && { sync: { key: now.sync, setSeries: false } }),
    },
    scales: {
      x: { time: false, distr: now.x.log ? 3 : 1 },
      left: scale(now.y),
      right: scale(now.right ?? now.y),
    },
    axes: axes(now, ink),
    series: [{}, ...now.series.map((one, place) => series(one, place, ink))],
    hooks: {
      drawClear: [(plot) => bands?.(plot, props(), ink)],
      draw: [(plot) => rest.forEach((draw) => draw(plot, props(), ink))],
      setCursor: [(plot) => pointed(plot.cursor.idx ?? null)],
    },
  };
  return new UPlot(options, dataOf(now), box);
}

function inkOf(box: HTMLElement): Ink {
  const style = getComputedStyle(box);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: colour("quiet"),
    faint: colour("faint"),
    page: colour("surface"),
    series: [1, 2, 3, 4].map((place) => colour(`series-${place}`)),
    tone: {
      good: colour("band-good"),
      warn: colour("band-warn"),
      bad: colour("band-bad"),
      plain: colour("band-plain"),
      none: "transparent",
    },
  };
}

function scale({ zero = true, log = false }: Axis): UPlot.Scale {
  return {
    distr: log ? 3 : 1,
    range: (_plot, low, high) => {
      if (low === null || high === null || (low === 0 && high === 0)) return [0, 1];
      if (log) return [low / 1.2, high * 1.2];
      const from = zero ? Math.min(0, low) : low;
      const room = (high - from || Math.abs(high) || 1) * 0.08;
      return [zero ? from : from - room, high + room];
    },
  };
}

function axes({ x, y, right }: ChartProps, ink: Ink): UPlot.Axis[] {
  const common: UPlot.Axis = {
    stroke: ink.text,
    font: FONT,
    labelFont: FONT,
    labelSize: 16,
    grid: { stroke: ink.faint, width: 1 },
    ticks: { stroke: ink.faint, width: 1, size: 4 },
    values: (_plot, splits) => ticks(splits),
  };
  const named = (axis: Axis) => (axis.unit ? `${axis.label} (${axis.unit})` : axis.label);
  const side = (axis: Axis, name: "left" | "right"): UPlot.Axis => ({
    ...common,
    scale: name,
    label: named(axis),
    side: name === "left" ? 3 : 1,
    size: widthOf,
    grid: name === "left" ? common.grid! : { show: false },
  });
  return [
    { ...common, label: named(x), space: FEWEST_PIXELS, size: 26, grid: { show: false } },
    side(y, "left"),
    ...(right ? [side(right, "right")] : []),
  ];
}

/** Return the numbers at ticks, all with the decimals that their distance needs. */
function ticks(splits: (number | null)[]): string[] {
  const known = splits.filter((value) => value !== null);
  const step = known.length > 1 ? Math.abs(known[1]! - known[0]!) : 1;
  const decimals = Math.min(6, (String(Number(step.toPrecision(6))).split(".")[1] ?? "").length);
  return splits.map((value) => (value === null ? "" : fixed(value, decimals)));
}

const MOST_USUAL_LETTERS = 6; // so that the plots of charts below each other begin at one place

/** Return how wide the labels of an axis are. */
function widthOf(_plot: UPlot, values: string[] | null): number {
  const longest = Math.max(MOST_USUAL_LETTERS, ...(values ?? []).map((value) => value?.length ?? 0));
  return 14 + longest * 6;
}

function series(one: Series, place: number, ink: Ink): UPlot.Series {
  const colour = ink.series[place % ink.series.length]!;
  const paths = UPlot.paths;
  const shared: UPlot.Series = {
    label: one.name,
    scale: one.side ?? "left",
    stroke: colour,
    width: 1.5,
    points: { show: one.look === "points", size: 7, fill: colour },
  };
  const dash = dashOf(one, place);
  if (one.look === "points") return { ...shared, paths: () => null };
  if (one.look === "steps") return { ...shared, ...(dash && { dash }), paths: paths.stepped!({ align: 1 }) };
  if (one.look === "bars") {
    return { ...shared, fill: colour, width: 0, paths: paths.bars!({ size: [0.9, 60] }) };
  }
  return { ...shared, ...(dash && { dash }) };
}
