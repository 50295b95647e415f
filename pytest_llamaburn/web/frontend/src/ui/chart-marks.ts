// What is drawn on charts besides their series: bands of states, marks, intervals of points.
import type { Band } from "./chart";
import type { Draw } from "./chart-options";

/** Draw the bands behind the series, and what they are above them. */
export const drawBands: Draw = (plot, { bands = [] }, ink) => {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const place = (at: number) => clamp(plot.valToPos(at, "x", true), bbox.left, bbox.left + bbox.width);
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = "bottom";
  ctx.textAlign = "center";
  const fits = ({ from, to }: Extent, text: string) =>
    ctx.measureText(text).width + 6 * ratio < place(to) - place(from);
  const write = ({ from, to }: Extent, text: string) =>
    fits({ from, to }, text) && ctx.fillText(text, (place(from) + place(to)) / 2, bbox.top - 2 * ratio);
  for (const band of bands) {
    ctx.fillStyle = ink.tone[band.tone];
    ctx.fillRect(place(band.from), bbox.top, place(band.to) - place(band.from), bbox.height);
  }
  ctx.fillStyle = ink.text;
  for (const group of grouped(bands)) {
    if (group.every((band) => fits(band, band.label))) {
      group.forEach((band) => write(band, band.label));
    } else {
      write({ from: group[0]!.from, to: group.at(-1)!.to }, group[0]!.short ?? group[0]!.label);
    }
  }
  ctx.restore();
};

type Extent = Pick<Band, "from" | "to">;

/** Return bands in groups of neighbours that are the same in short. */
function grouped(bands: Band[]): Band[][] {
  const found: Band[][] = [];
  for (const band of bands) {
    const last = found.at(-1);
    if (last && band.short !== undefined && last[0]!.short === band.short) last.push(band);
    else found.push([band]);
  }
  return found;
}

/** Draw the interval of each point as a line with ends. */
export const drawIntervals: Draw = (plot, { x, series }, ink) => {
  const { ctx } = plot;
  ctx.save();
  ctx.lineWidth = 1.5 * devicePixelRatio;
  series.forEach((one, place) => {
    if (!one.low || !one.high) return;
    ctx.strokeStyle = ink.series[place % ink.series.length]!;
    x.values.forEach((at, index) => {
      const low = one.low?.[index];
      const high = one.high?.[index];
      if (typeof low !== "number" || typeof high !== "number") return;
      const side = one.side ?? "left";
      const middle = plot.valToPos(at, "x", true);
      interval(ctx, middle, plot.valToPos(low, side, true), plot.valToPos(high, side, true));
    });
  });
  ctx.restore();
};

function interval(ctx: CanvasRenderingContext2D, at: number, low: number, high: number): void {
  const end = 4 * devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(at, low);
  ctx.lineTo(at, high);
  for (const y of [low, high]) {
    ctx.moveTo(at - end, y);
    ctx.lineTo(at + end, y);
  }
  ctx.stroke();
}

/** Draw the line that joins points in an order of their own, and the words beside them. */
export const drawPoints: Draw = (plot, { x, series }, ink) => {
  const { ctx } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `600 ${11 * ratio}px system-ui, sans-serif`;
  ctx.textAlign = "right";
  series.forEach((one, place) => {
    const at = (index: number): [number, number] | null => {
      const value = one.values[index];
      if (typeof value !== "number") return null;
      const side = one.side ?? "left";
      return [plot.valToPos(x.values[index]!, "x", true), plot.valToPos(value, side, true)];
    };
    const line = (one.path ?? []).map(at).filter((point) => point !== null);
    ctx.strokeStyle = ink.series[place % ink.series.length]!;
    ctx.lineWidth = ratio;
    ctx.beginPath();
    line.forEach((point, index) => (index ? ctx.lineTo(...point) : ctx.moveTo(...point)));
    ctx.stroke();
    ctx.fillStyle = ink.text;
    (one.labels ?? []).forEach((label, index) => {
      const point = at(index);
      if (point) ctx.fillText(label, point[0] - 8 * ratio, point[1] - 4 * ratio);
    });
  });
  ctx.restore();
};

/** Draw marks as dashed lines with their labels, each below the one before. */
export const drawMarks: Draw = (plot, { marks = [] }, ink) => {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.strokeStyle = ink.text;
  ctx.lineWidth = ratio;
  ctx.setLineDash([4 * ratio, 3 * ratio]);
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  marks.forEach((mark, place) => {
    const at = plot.valToPos(mark.at, "x", true);
    if (at < bbox.left || at > bbox.left + bbox.width) return;
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
    const width = ctx.measureText(mark.label).width;
    const fits = at + width + 8 * ratio < bbox.left + bbox.width;
    const left = at + (fits ? 4 * ratio : -4 * ratio - width);
    const top = bbox.top + (4 + place * 15) * ratio;
    ctx.fillStyle = ink.page;
    ctx.fillRect(left - 2 * ratio, top - ratio, width + 4 * ratio, 13 * ratio);
    ctx.fillStyle = ink.text;
    ctx.fillText(mark.label, left, top);
  });
  ctx.restore();
};

const clamp = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high);
