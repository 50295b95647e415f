// A stress run: how much load the server carried.
import { capital, number } from "../format";
import { Badge, Card, Figures, Problem } from "../ui/card";
import { type Band, Chart, type Mark } from "../ui/chart";
import { type Column, Table } from "../ui/table";
import { Value } from "../ui/value";
import { distributionOf, type Document, type Level, type Point, type Second, type StressResults } from "./document";
import { labelOf, Statistic } from "./measure";
import { Errors, Gates, Insights, SystemProfile } from "./parts";
import { STATES } from "./states";
import { ServiceCard, TwinCard } from "./twin";

export default function StressView({ document }: { document: Document }) {
  const results = (document.results ?? {}) as StressResults;
  const levels = [...(results.levels ?? [])].sort((a, b) => (levelOf(a) ?? 0) - (levelOf(b) ?? 0));
  const unit = levels.some((level) => typeof level.rate === "number") ? "requests/s" : "clients";
  return (
    <>
      <Insights document={document} />
      {results.twin && <TwinCard of={results.twin} />}
      {results.twin && results.service && <ServiceCard of={results.service} />}
      <Card title="Capacity">
        <Figures of={headlines(results, levels, unit)} />
        {results.points_reason && <p class="quiet">{results.points_reason}</p>}
      </Card>
      <Gates of={results.gates} />
      {levels.length === 0 && <Problem>No level was finished.</Problem>}
      {levels.length > 0 && (
        <div class="columns">
          <ThroughputAgainstLatency levels={levels} />
          <ByLevel levels={levels} results={results} unit={unit} />
        </div>
      )}
      <Timeline of={results.timeline ?? []} />
      <Errors of={results.errors} />
      <SystemProfile document={document} />
      <Card title="Levels">
        <Levels of={levels} unit={unit} />
      </Card>
    </>
  );
}

const levelOf = ({ concurrency, rate }: { concurrency?: number | null; rate?: number | null }) =>
  concurrency ?? rate ?? null;

function headlines(results: StressResults, levels: Level[], unit: string) {
  const best = levels.reduce<Level | null>(
    (top, one) => ((one.requests_per_sec ?? 0) > (top?.requests_per_sec ?? 0) ? one : top),
    null,
  );
  const tokens = Math.max(...levels.map((one) => one.output_tokens_per_sec ?? Number.NaN));
  const found: [string, preact.ComponentChildren][] = [
    ["failure point", <Place of={results.failure_point} unit={unit} never="It did not fail." />],
    ["degradation point", <Place of={results.degradation_point} unit={unit} never="It did not degrade." />],
    ["optimal load", <Place of={results.optimal} unit={unit} never="No level was optimal." />],
    ["highest throughput", <Value value={best?.requests_per_sec} unit="requests/s" reason={best?.rate_reason} />],
    ["highest token rate", <Value value={Number.isFinite(tokens) ? tokens : null} unit="tokens/s" />],
    [
      `${labelOf("time_to_first_token_ms")} of one client, p50`,
      <Statistic
        name="time_to_first_token_ms"
        of={results.baseline && distributionOf(results.baseline, "time_to_first_token_ms")}
        statistic="p50"
      />,
    ],
  ];
  if (typeof results.recovery_time_ms === "number") {
    found.push(["recovery after a spike", <Value value={results.recovery_time_ms} unit="ms" />]);
  }
  return found;
}

interface PlaceProps {
  of: (Point & { evidence?: string }) | null | undefined;
  unit: string;
  never: string;
}

/** A level, or the two between which it lies. */
function Place({ of, unit, never }: PlaceProps) {
  if (!of) return <Value value={null} reason={never} />;
  const at = levelOf(of);
  const [low, high] = of.interval ?? [];
  if (at === null && typeof low === "number" && typeof high === "number") {
    return (
      <>
        <Value value={low} bare note={of.reason ?? undefined} unit={unit} /> to{" "}
        <Value value={high} unit={unit} note={of.reason ?? undefined} />
      </>
    );
  }
  const interval = typeof low === "number" && typeof high === "number" ? ([low, high] as const) : null;
  return <Value value={at} unit={unit} interval={interval} reason={of.reason ?? never} note={of.evidence ?? of.metric} />;
}

/** Each level as a point: what it carried, and how long an answer took. */
function ThroughputAgainstLatency({ levels }: { levels: Level[] }) {
  const sorted = levels
    .filter((level) => typeof level.requests_per_sec === "number")
    .sort((a, b) => a.requests_per_sec! - b.requests_per_sec!);
  const total = (level: Level) => distributionOf(level, "total_generation_ms");
  const labels = sorted.map((level) => number(levelOf(level)));
  return (
    <Card title="Throughput against latency">
      <Chart
        title="Each level with the 95 % interval of its mean; the numbers are the load"
        x={{ label: "throughput", unit: "requests/s", values: sorted.map((level) => level.requests_per_sec!) }}
        y={{ label: labelOf("total_generation_ms"), unit: "ms" }}
        series={[
          {
            name: "mean",
            unit: "ms",
            values: sorted.map((level) => total(level)?.mean ?? null),
            low: sorted.map((level) => total(level)?.ci95?.[0] ?? null),
            high: sorted.map((level) => total(level)?.ci95?.[1] ?? null),
            labels,
            path: levels.map((level) => sorted.indexOf(level)).filter((place) => place >= 0),
            look: "points",
          },
          {
            name: "p95",
            unit: "ms",
            values: sorted.map((level) => total(level)?.p95 ?? null),
            look: "points",
          },
        ]}
        height={280}
      />
    </Card>
  );
}

/** The latencies of each level, with its state and the points that were found. */
function ByLevel({ levels, results, unit }: { levels: Level[]; results: StressResults; unit: string }) {
  const values = levels.map((level) => levelOf(level) ?? 0);
  const curve = (statistic: "p50" | "p95" | "p99") => ({
    name: statistic,
    unit: "ms",
    values: levels.map((level) => distributionOf(level, "total_generation_ms")?.[statistic] ?? null),
    dashed: statistic !== "p50",
  });
  const points: [string, Point | null | undefined][] = [
    ["degrades", results.degradation_point],
    ["fails", results.failure_point],
  ];
  const marks = points.flatMap(([label, point]): Mark[] => {
    const at = point && (levelOf(point) ?? middle(point.interval));
    return typeof at === "number" ? [{ at, label }] : [];
  });
  return (
    <Card title="Latency by level">
      <Chart
        title={`${capital(labelOf("total_generation_ms"))} at each load`}
        x={{ label: "load", unit, values }}
        y={{ label: labelOf("total_generation_ms"), unit: "ms" }}
        series={[curve("p50"), curve("p95")]}
        bands={bandsOf(levels, values)}
        marks={marks}
        height={280}
      />
    </Card>
  );
}

function middle(interval: Point["interval"]): number | null {
  const [low, high] = interval ?? [];
  return typeof low === "number" && typeof high === "number" ? (low + high) / 2 : null;
}

/** Return the states of levels as bands: neighbours of one state are one band. */
function bandsOf(levels: Level[], values: number[]): Band[] {
  const found: Band[] = [];
  levels.forEach(({ state }, place) => {
    const at = values[place]!;
    const to = (at + (values[place + 1] ?? at)) / 2;
    const from = (at + (values[place - 1] ?? at)) / 2;
    const label = state ?? "unknown";
    const last = found.at(-1);
    if (last?.label === label) last.to = to;
    else found.push({ from, to, label, tone: STATES[label] ?? "plain" });
  });
  return found;
}

/** What ended in each second of the run. */
function Timeline({ of }: { of: Second[] }) {
  if (of.length < 2) return null;
  const failed = of.map((one) => Object.values(one.failed).reduce((sum, count) => sum + count, 0));
  return (
    <Card title="Over time">
      <Chart
        title="What ended in each second, and how many requests were in flight"
        x={{ label: "time", unit: "s", values: of.map((one) => one.second) }}
        y={{ label: labelOf("requests_per_sec"), unit: "requests/s" }}
        right={{ label: "in flight", unit: "requests" }}
        series={[
          { name: "succeeded", unit: "requests/s", values: of.map((one) => one.completed) },
          { name: "in flight", unit: "requests", values: of.map((one) => one.in_flight), side: "right" },
          { name: "failed", unit: "requests/s", values: failed },
        ]}
      />
    </Card>
  );
}

function Levels({ of, unit }: { of: Level[]; unit: string }) {
  const measure = (name: string, statistic: "p50" | "p95"): Column<Level> => ({
    name: `${capital(labelOf(name))}, ${statistic}`,
    unit: "ms",
    show: (level) => <Statistic name={name} of={distributionOf(level, name)} statistic={statistic} bare />,
    by: (level) => distributionOf(level, name)?.[statistic],
  });
  return (
    <Table
      label="Levels"
      rows={of}
      keyOf={(_, place) => place}
      columns={[
        { name: "Load", unit, show: (level) => number(levelOf(level)), by: levelOf },
        {
          name: "State",
          words: true,
          show: ({ state, evidence }) =>
            state ? (
              <span data-tip={evidence ?? undefined} tabIndex={evidence ? 0 : -1}>
                <Badge tone={STATES[state] ?? "plain"}>{state}</Badge>
              </span>
            ) : (
              <Value value={null} reason="The level has no state." />
            ),
        },
        {
          name: "Throughput",
          unit: "requests/s",
          show: (level) => <Value value={level.requests_per_sec} unit="requests/s" n={level.requests} reason={level.rate_reason} bare />,
          by: (level) => level.requests_per_sec,
        },
        {
          name: "Tokens",
          unit: "tokens/s",
          show: (level) => <Value value={level.output_tokens_per_sec} unit="tokens/s" reason={level.rate_reason} bare />,
          by: (level) => level.output_tokens_per_sec,
        },
        measure("total_generation_ms", "p50"),
        measure("total_generation_ms", "p95"),
        measure("time_to_first_token_ms", "p50"),
        measure("inter_token_latency_ms", "p50"),
        {
          name: "Failed",
          show: (level) => (
            <Value
              value={level.error_rate}
              unit="share"
              n={level.requests}
              interval={level.error_rate_ci95}
              note={Object.entries((level.errors as Record<string, number>) ?? {})
                .map(([kind, count]) => `${number(count)} × ${kind.replaceAll("_", " ")}`)
                .join(", ")}
            />
          ),
          by: (level) => level.error_rate,
        },
        {
          name: "Notes",
          words: true,
          show: (level) => (level.client_limited ? "the client was the bottleneck" : ""),
        },
      ]}
    />
  );
}

