// What the views of all kinds of result have: their head, insights, gates, errors, the machine.
import { number, when } from "../format";
import { Badge, Card, Sentences, type Tone } from "../ui/card";
import { type Band, Chart } from "../ui/chart";
import { Table } from "../ui/table";
import { Value } from "../ui/value";
import type { Document, Gate, ProfileEntry } from "./document";
import { reasonOf } from "./measure";

const TONES: Record<string, Tone> = {
  complete: "good",
  partial: "warn",
  interrupted: "warn",
  failed: "bad",
  unreadable: "bad",
};

/** The status of a result as a word. */
export function Status({ of }: { of: string | undefined }) {
  return <Badge tone={TONES[of ?? ""] ?? "plain"}>{of ?? "unknown"}</Badge>;
}

/** What was measured, where and when. */
export function Head({ document: { model, server, status, timestamp, contended } }: Props) {
  const facts = [model?.quantization, model?.parameter_size, model?.family].filter(Boolean);
  const where = [server?.kind, server?.version].filter(Boolean).join(" ");
  return (
    <div class="row">
      <Status of={status} />
      {contended && <Badge tone="warn">beside another measurement</Badge>}
      {model && <strong>{model.id ?? "unknown model"}</strong>}
      {facts.length > 0 && <span class="quiet">{facts.join(", ")}</span>}
      {server && <span class="quiet">on {where || "an unknown server"}</span>}
      <span class="quiet">{when(timestamp)}</span>
    </div>
  );
}

interface Props {
  document: Document;
}

/** What the numbers mean, in sentences. */
export function Insights({ document }: Props) {
  const texts = (document.insights ?? []).map((one) => one.text).filter((text) => text !== undefined);
  if (texts.length === 0) return null;
  return (
    <Card title="Insights">
      <Sentences of={texts} />
    </Card>
  );
}

/** The tones of the verdicts of gates. */
export const VERDICTS: Record<string, Tone> = { pass: "good", fail: "bad", undecided: "warn" };

/** The gates with their verdicts; nothing if there are none. */
export function Gates({ of = [] }: { of?: Gate[] | undefined }) {
  if (of.length === 0) return null;
  return (
    <Card title="Gates">
      <Table
        label="Gates"
        rows={of}
        keyOf={(gate) => gate.expression}
        columns={[
          { name: "Gate", words: true, show: (gate) => <code>{gate.expression}</code> },
          {
            name: "Verdict",
            words: true,
            show: (gate) => <Badge tone={VERDICTS[gate.verdict] ?? "warn"}>{gate.verdict}</Badge>,
          },
          {
            name: "Value",
            show: (gate) => <Value value={gate.value} interval={gate.ci95} reason={gate.reason} />,
          },
          { name: "Reason", words: true, show: (gate) => gate.reason ?? "" },
        ]}
      />
    </Card>
  );
}

/** How many requests failed, by the kind of failure. */
export function Errors({ of = {} }: { of?: Record<string, number> | undefined }) {
  const rows = Object.entries(of);
  if (rows.length === 0) return null;
  return (
    <Card title="Failures">
      <ul class="sentences">
        {rows.map(([kind, count]) => (
          <li key={kind}>
            {number(count)} × {kind.replaceAll("_", " ")}
          </li>
        ))}
      </ul>
    </Card>
  );
}

/** Curves of this machine's sensors over the run, with the phases of the run as bands. */
export function SystemProfile({ document }: Props) {
  const entries = document.system_profile ?? [];
  if (entries.length < 2) {
    const why = reasonOf(document.telemetry?.reason);
    const text = entries.length === 0 ? "The sensors of this machine were not read" : "The run was too short for curves of the sensors";
    return (
      <Card title="This machine">
        <p class="quiet">{why ? `${text}: ${why}.` : `${text}.`}</p>
      </Card>
    );
  }
  const x = { label: "time", unit: "s", values: entries.map((entry) => entry.t_ms / 1000) };
  const bands = phases(entries);
  const gpus = Math.max(...entries.map((entry) => entry.gpus?.length ?? 0));
  const curve = (name: string, of: string, unit: string, factor = 1) => ({
    name,
    unit,
    values: entries.map((entry) => scaled(entry[of], factor)),
  });
  const gpuCurves = (of: string, unit: string, factor = 1) =>
    Array.from({ length: gpus }, (_, place) => ({
      name: `GPU ${place}`,
      unit,
      values: entries.map((entry) => scaled(entry.gpus?.[place]?.[of], factor)),
    })).filter((one) => one.values.some((value) => value !== null));
  const charts = [
    {
      title: "Processor",
      unit: "%",
      series: [curve("all, of all processors", "cpu_pct", "%"), curve("server, of one processor", "server_cpu_pct", "%")],
    },
    {
      title: "Memory",
      unit: "GB",
      series: [curve("all", "ram_used_mb", "GB", 1e-3), curve("server", "server_rss_mb", "GB", 1e-3)],
    },
    { title: "GPU use", unit: "%", series: gpuCurves("util_pct", "%") },
    { title: "GPU memory", unit: "GB", series: gpuCurves("vram_used_mb", "GB", 1e-3) },
    { title: "GPU power", unit: "W", series: gpuCurves("power_w", "W") },
    { title: "GPU temperature", unit: "°C", series: gpuCurves("temp_c", "°C") },
  ];
  return (
    <Card title="This machine">
      <div class="columns">
        {charts
          .filter((chart) => chart.series.length > 0)
          .map(({ title, unit, series }) => (
            <Chart
              key={title}
              title={title}
              x={x}
              y={{ label: title, unit }}
              series={series}
              bands={bands}
              sync="profile"
              height={180}
            />
          ))}
      </div>
      {gpus === 0 && <p class="quiet">GPU: {reasonOf(document.telemetry?.reason) ?? "no sensor was read"}.</p>}
    </Card>
  );
}

function scaled(value: unknown, factor: number): number | null {
  return typeof value === "number" ? value * factor : null;
}

/** Return the phases of a run as bands. */
function phases(entries: ProfileEntry[]): Band[] {
  const found: Band[] = [];
  for (const { phase, t_ms } of entries) {
    const at = t_ms / 1000;
    const label = phase.replaceAll("_", " ");
    const last = found.at(-1);
    if (last) last.to = at;
    if (last?.label !== label) found.push({ from: at, to: at, label, tone: toneOf(phase) });
  }
  return found;
}

/** Return the tone of a phase: those in which requests are measured stand out. */
function toneOf(phase: string): Band["tone"] {
  return ["prompt_eval", "generate", "mixed"].includes(phase) ? "plain" : "none";
}
