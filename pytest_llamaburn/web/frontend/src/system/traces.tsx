// What the machine did in the last ten minutes. Only what has a sensor has a chart.
import type { SystemSample } from "../types";
import { Waiting } from "../ui/card";
import { Chart, type Series } from "../ui/chart";
import type { Device } from "./types";

type Sample = SystemSample & { at: number };
type Field = "util_pct" | "vram_used_mb" | "temp_c" | "power_w";

const OF_DEVICES: [title: string, field: Field, unit: string][] = [
  ["GPU", "util_pct", "%"],
  ["VRAM", "vram_used_mb", "MB"],
  ["Temperature", "temp_c", "°C"],
  ["Power", "power_w", "W"],
];

/** A chart for each thing that is watched; they share their crosshair. */
export function Traces({ of }: { of: Sample[] }) {
  if (of.length < 2) return <Waiting>The traces begin with the second reading.</Waiting>;
  const now = of.at(-1)!.at;
  const x = { label: "Before now", unit: "s", values: of.map((one) => Math.round(one.at - now)) };
  const chart = (title: string, unit: string, series: Series[]) => (
    <Chart key={title} title={title} x={x} y={{ label: title, unit }} series={series} height={150} sync="system" />
  );
  return (
    <div class="traces">
      {chart("CPU", "%", [{ name: "CPU", unit: "%", values: of.map((one) => one.cpu_percent) }])}
      {chart("RAM", "MB", [{ name: "RAM", unit: "MB", values: of.map((one) => one.ram_used_mb) }])}
      {OF_DEVICES.map(([title, field, unit]) => {
        const series = seriesOf(of, field, unit);
        return series.length > 0 ? chart(title, unit, series) : null;
      })}
    </div>
  );
}

/** Return the values of a field by device, without devices that never told it. */
function seriesOf(of: Sample[], field: Field, unit: string): Series[] {
  const devices = new Map<string, string>();
  for (const one of of) {
    for (const device of one.sensors as Device[]) devices.set(device.id, device.name ?? device.id);
  }
  return [...devices]
    .map(([id, name]) => ({
      name,
      unit,
      values: of.map((one) => (one.sensors as Device[]).find((device) => device.id === id)?.[field] ?? null),
    }))
    .filter((one) => one.values.some((value) => value !== null));
}
