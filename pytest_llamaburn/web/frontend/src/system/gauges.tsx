// How busy the machine is now. What has no sensor is a dash with the reason.
import { number, UNKNOWN } from "../format";
import type { SystemSample } from "../types";
import { Waiting } from "../ui/card";
import { Tip } from "../ui/tip";
import type { Device } from "./types";

interface GaugesProps {
  sample: SystemSample | undefined;
  reasons: Record<string, string>;
}

/** A gauge for each thing that is watched. */
export function Gauges({ sample, reasons }: GaugesProps) {
  if (!sample) return <Waiting>Reading the sensors …</Waiting>;
  const devices = sample.sensors as Device[];
  return (
    <div class="gauges">
      <Gauge name="CPU" value={sample.cpu_percent} most={100} unit="%" reason="too little time went by" />
      <Gauge name="RAM" value={gigabytes(sample.ram_used_mb)} most={gigabytes(sample.ram_total_mb)} unit="GB" />
      {devices.map((device) => (
        <DeviceGauges key={device.id} of={device} several={devices.length > 1} />
      ))}
      {devices.length === 0 && <Absent reason={reasons.sensors} />}
    </div>
  );
}

/** Return megabytes in the unit in which memory is shown. */
export const gigabytes = (mb: number | null): number | null => (mb === null ? null : mb / 1000);

const NONE = "no sensor of a GPU or processor can be read";

function Absent({ reason = NONE }: { reason?: string | undefined }) {
  return (
    <>
      {["GPU", "VRAM", "Temperature", "Power"].map((name) => (
        <Gauge key={name} name={name} value={null} most={null} unit="" reason={reason} />
      ))}
    </>
  );
}

function DeviceGauges({ of, several }: { of: Device; several: boolean }) {
  const suffix = several ? ` of ${of.name ?? of.id}` : "";
  const reason = `${of.name ?? of.id} does not tell it`;
  return (
    <>
      <Gauge name={`GPU${suffix}`} value={of.util_pct} most={100} unit="%" reason={reason} />
      <Gauge name={`VRAM${suffix}`} value={gigabytes(of.vram_used_mb)} most={gigabytes(of.vram_total_mb)} unit="GB" reason={reason} />
      <Gauge name={`Temperature${suffix}`} value={of.temp_c} most={null} unit="°C" reason={reason} />
      <Gauge name={`Power${suffix}`} value={of.power_w} most={null} unit="W" reason={reason} />
    </>
  );
}

interface GaugeProps {
  name: string;
  value: number | null;
  /** The end of the scale; without one there is only the number. */
  most: number | null;
  unit: string;
  reason?: string;
}

function Gauge({ name, value, most, unit, reason = "" }: GaugeProps) {
  const known = value !== null;
  const of = most !== null && unit !== "%" ? ` of ${number(most)}` : "";
  return (
    <div class="gauge">
      <span class="name">{name}</span>
      {known ? (
        <span class="value">
          <span class="number">
            {number(value)}
            {of}
          </span>{" "}
          <span class="unit">{unit}</span>
        </span>
      ) : (
        <Tip text={reason}>{UNKNOWN}</Tip>
      )}
      {known && most !== null && <meter aria-label={name} min={0} max={most} value={value} />}
    </div>
  );
}
