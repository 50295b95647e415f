// What the server says of the machine, as docs/web.md describes it.

/** A device with sensors; what it does not tell is null. */
export interface Device {
  id: string;
  name?: string | null;
  vendor?: string;
  power_w: number | null;
  util_pct: number | null;
  vram_used_mb: number | null;
  vram_total_mb: number | null;
  temp_c: number | null;
  clock_mhz: number | null;
}

export interface Loaded {
  name: string;
  size_mb: number | null;
  gpu_share: number | null;
  context_length: number | null;
}

/** Whether a provider of sensors works here, and why not. */
export interface Probe {
  name: string;
  ok: boolean;
  reason: string;
  message: string;
}

export interface Status {
  server: { kind: string; version: string | null; host: string } | null;
  loaded: Loaded[] | null;
  probes: Probe[];
  null_reasons: Record<string, string>;
}

export interface Check {
  id: string;
  level: string;
  finding: string;
  fix: string;
}
