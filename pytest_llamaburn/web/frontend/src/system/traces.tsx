// What the machine did in the last ten minutes. Only what has a sensor has a chart.
import type { SystemSample } from "../types";
import { Waiting } from "../ui/card";
import { Chart, type Series } from "../ui/chart";
import { gigabytes } from "./gauges";
import type { Device } from "./types";

type Sample = Omit<SystemSample, "ram_used_mb"> & { at: number; ram_used_mb: number | null };
type Take = (device: Device) => number | null;

const OF_DEVICES: [title: string, unit: string, take: Take][] = [
  ["GPU", "%", (device) => device.util_pct],
  ["VRAM", "GB", (device) => gigabytes(device.vram_used_mb)],
  ["Temperature", "°C", (device) => device.temp_c],
  ["Power", "W", (device) => device.power_w],
];

const GAP_S = 20; // without a reading; one comes every 2 s

/** A chart for each thing that is watched; they share their crosshair. */
export function Traces({ of: read }: { of: Sample[] }) {
  const of = withGaps(read);
  if (of.length < 2) return <Waiting>The traces begin with the second reading.</Waiting>;
  const now = of.at(-1)!.at;
  const x = { label: "Before now", unit: "s", values: of.map((one) => Math.round(one.at - now)) };
  const chart = (title: string, unit: string, series: Series[]) => (
    <Chart key={title} title={title} x={x} y={{ label: title, unit }} series={series} height={150} sync="system" />
  );
  return (
    <div class="traces">
      {chart("CPU", "%", [{ name: "CPU", unit: "%", values: of.map((one) => one.cpu_percent) }])}
      {chart("RAM", "GB", [{ name: "RAM", unit: "GB", values: of.map((one) => gigabytes(one.ram_used_mb)) }])}
      {OF_DEVICES.map(([title, unit, take]) => {
        const series = seriesOf(of, unit, take);
        return series.length > 0 ? chart(title, unit, series) : null;
      })}
    </div>
  );
}

/** Add an empty sample where none was read for a while, so that no line crosses the gap. */
function withGaps(read: Sample[]): Sample[] {
  return read.flatMap((one, place) => {
    const before = read[place - 1];
    if (!before || one.at - before.at < GAP_S) return [one];
    return [{ ...before, at: before.at + 1, cpu_percent: null, ram_used_mb: null, sensors: [] }, one];
  });
}

/** Return what each device told, without devices that never told it. */
function seriesOf(of: Sample[], unit: string, take: Take): Series[] {
  const names = new Map<string, string>();
  for (const one of of) {
    for (const device of one.sensors as Device[]) names.set(device.id, device.name ?? device.id);
  }
  const values = (id: string) =>
    of.map((one) => {
      const device = (one.sensors as Device[]).find((known) => known.id === id);
      return device ? take(device) : null;
    });
  return [...names]
    .map(([id, name]) => ({ name, unit, values: values(id) }))
    .filter((one) => one.values.some((value) => value !== null));
}
