// The tab Stress: the graph of a load while it goes on.
import { capital, number } from "../format";
import { type Charted, secondsOf, valuesOf } from "../run/live";
import { RunTab } from "../run/run-tab";
import type { Job } from "../types";
import { Card } from "../ui/card";
import { type Band, Chart, type Mark } from "../ui/chart";
import { labelOf } from "../views/measure";
import { STATES } from "../views/states";

const DEGRADATION_FACTOR = 2; // the command's default

export default function StressTab({ kind }: { kind: string }) {
  return <RunTab kind={kind} Live={Live} />;
}

function Live({ job, history }: { job: Job; history: Charted[] }) {
  const loads = history.filter((event) => levelOf(event) !== null);
  if (loads.length < 2) return null;
  const seconds = secondsOf(loads);
  const x = { label: "time", unit: "s", values: seconds };
  const levels = levelsOf(loads, seconds, factorOf(job.command));
  const shared = { x, bands: levels.map(bandOf), marks: marksOf(levels), sync: "load" };
  const curve = (name: string, of: keyof Charted, unit: string) => ({ name, unit, values: valuesOf(loads, of) });
  return (
    <Card title="The load so far">
      <p class="quiet">
        The states are those of the last seconds. The result has the states of whole levels.
      </p>
      <div class="stack">
        <Chart
          {...shared}
          title="Throughput and clients"
          y={{ label: "throughput", unit: "requests/s" }}
          right={{ label: "in flight", unit: "requests" }}
          series={[
            curve(labelOf("requests_per_sec"), "requests_per_sec", "requests/s"),
            { ...curve("in flight", "in_flight", "requests"), side: "right" },
          ]}
        />
        <Chart
          {...shared}
          title={`${capital(labelOf("total_generation_ms"))} of the last seconds`}
          y={{ label: labelOf("total_generation_ms"), unit: "ms" }}
          series={[curve("p50", "total_p50_ms", "ms"), curve("p95", "total_p95_ms", "ms")]}
        />
        <Chart
          {...shared}
          title="Failed requests of the level"
          y={{ label: "failed", unit: "requests" }}
          series={[{ ...curve("failed", "failed", "requests"), look: "steps" }]}
          height={140}
        />
      </div>
    </Card>
  );
}

const levelOf = ({ clients, rate_per_sec }: Charted) => clients ?? rate_per_sec ?? null;

interface LiveLevel {
  from: number;
  to: number;
  level: number;
  state: string;
}

/** Return the levels so far, each with the state that its last events show. */
function levelsOf(loads: Charted[], seconds: number[], factor: number): LiveLevel[] {
  const single = loads.filter((event) => event.stage === "baseline").at(-1)?.total_p50_ms ?? null;
  const found: LiveLevel[] = [];
  loads.forEach((event, place) => {
    const at = seconds[place]!;
    const level = levelOf(event)!;
    const last = found.at(-1);
    if (last) last.to = at;
    if (last?.level === level) last.state = stateOf(event, single, factor);
    else found.push({ from: at, to: at, level, state: stateOf(event, single, factor) });
  });
  return found;
}

function stateOf(event: Charted, single: number | null, factor: number): string {
  if (event.stage === "baseline") return "baseline";
  if (event.state === "failing") return "failure";
  const now = event.total_p50_ms;
  if (single === null || now === null || now === undefined) return "unknown";
  return now >= factor * single ? "degraded" : "optimal";
}

function factorOf(command: string): number {
  return Number(/--degradation-factor[= ]([\d.]+)/.exec(command)?.[1] ?? DEGRADATION_FACTOR);
}

function bandOf({ from, to, level, state }: LiveLevel): Band {
  const label = `${number(level)}: ${state}`;
  return { from, to, label, short: state, tone: STATES[state] ?? "plain" };
}

/** Return where the load first degraded, and where it first failed. */
function marksOf(levels: LiveLevel[]): Mark[] {
  const words: Record<string, string> = { degraded: "degrades", failure: "fails" };
  return Object.entries(words).flatMap(([state, label]) => {
    const first = levels.find((one) => one.state === state);
    return first ? [{ at: first.from, label: `${label} at ${number(first.level)}` }] : [];
  });
}
