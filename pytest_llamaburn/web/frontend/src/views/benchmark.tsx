// A benchmark: how fast the model answered.
import { useState } from "preact/hooks";
import { capital, number } from "../format";
import type { Distribution } from "../types";
import { Card, Figures } from "../ui/card";
import { Chart } from "../ui/chart";
import { More } from "../ui/more";
import { type Column, Table } from "../ui/table";
import { Value } from "../ui/value";
import { type BenchmarkResults, type Document, numberOf, type Run } from "./document";
import { labelOf, MeasureName, measureUnit, reasonOf, Statistic } from "./measure";
import { Errors, Gates, Insights, SystemProfile } from "./parts";

const CHARTED = [
  "time_to_first_token_ms",
  "inter_token_latency_ms",
  "tokens_per_sec",
  "total_generation_ms",
];

export default function BenchmarkView({ document }: { document: Document }) {
  const results = (document.results ?? {}) as BenchmarkResults;
  const summary = results.summary ?? {};
  const runs = results.runs ?? [];
  return (
    <>
      <Insights document={document} />
      <Card title="Speed">
        <Figures of={headlines(results)} />
      </Card>
      <Gates of={results.gates} />
      <Errors of={results.errors} />
      <div class="columns">
        <Distributions runs={runs} summary={summary} />
        <OverTime runs={runs} />
      </div>
      <SystemProfile document={document} />
      <Card title="All measures">
        <Summary of={summary} />
      </Card>
      <Card title="Requests">
        <Requests runs={runs} />
      </Card>
    </>
  );
}

function headlines({ summary = {}, totals = {}, correctness }: BenchmarkResults) {
  const headline = (name: string, statistic: "p50" | "mean"): [string, preact.ComponentChildren] => [
    `${labelOf(name)}, ${statistic}`,
    <Statistic name={name} of={summary[name]} statistic={statistic} />,
  ];
  const found: [string, preact.ComponentChildren][] = [
    headline("time_to_first_token_ms", "p50"),
    headline("inter_token_latency_ms", "p50"),
    headline("tokens_per_sec", "mean"),
    headline("total_generation_ms", "p50"),
    headline("energy_wh", "mean"),
    [
      "requests",
      <Value
        value={totals.succeeded}
        unit={`of ${number(totals.planned ?? totals.requests)}`}
        note={`${number(totals.failed)} failed`}
      />,
    ],
  ];
  if (correctness) {
    found.unshift(["right numbers", <Value value={correctness.accuracy} unit="share" />]);
  }
  return found;
}

interface DistributionsProps {
  runs: Run[];
  summary: Record<string, Distribution>;
}

/** The share of requests up to each value of a measure. */
function Distributions({ runs, summary }: DistributionsProps) {
  const known = CHARTED.filter((name) => (summary[name]?.n ?? 0) > 1);
  const [name = known[0], choose] = useState(known[0]);
  if (!name) {
    return (
      <Card title="Distribution">
        <p class="quiet">Too few requests succeeded for a distribution.</p>
      </Card>
    );
  }
  const values = runs
    .map((run) => numberOf(run, name))
    .filter((value) => value !== null)
    .sort((a, b) => a - b);
  const unit = measureUnit(name, summary[name]);
  const marks = (["p50", "p95"] as const).flatMap((statistic) => {
    const at = summary[name]?.[statistic];
    return typeof at === "number" ? [{ at, label: `${statistic} ${number(at)}` }] : [];
  });
  const picker = (
    <select
      aria-label="Measure"
      value={name}
      onChange={(event) => choose(event.currentTarget.value)}
    >
      {known.map((one) => (
        <option key={one} value={one}>
          {labelOf(one)}
        </option>
      ))}
    </select>
  );
  return (
    <Card title="Distribution" actions={picker}>
      <Chart
        title={`Share of requests up to each ${labelOf(name)}`}
        x={{ label: labelOf(name), unit, values }}
        y={{ label: "requests", unit: "%" }}
        series={[
          {
            name: "requests",
            unit: "%",
            values: values.map((_, place) => ((place + 1) / values.length) * 100),
            look: "steps",
          },
        ]}
        marks={marks}
      />
    </Card>
  );
}

/** Each request at the time when it began. */
function OverTime({ runs }: { runs: Run[] }) {
  const timed = runs
    .map((run) => ({ run, at: Date.parse(run.timestamp) / 1000 }))
    .filter(({ at }) => Number.isFinite(at))
    .sort((a, b) => a.at - b.at);
  const begin = timed[0]?.at ?? 0;
  const failed = timed.filter(({ run }) => run.error);
  const points = (name: string, side: "left" | "right") => ({
    name: labelOf(name),
    unit: measureUnit(name),
    values: timed.map(({ run }) => numberOf(run, name)),
    look: "points" as const,
    side,
  });
  return (
    <Card title="Requests over time">
      <Chart
        title="Each request at the time when it began"
        x={{ label: "time", unit: "s", values: timed.map(({ at }) => at - begin) }}
        y={{ label: labelOf("time_to_first_token_ms"), unit: "ms" }}
        right={{ label: labelOf("tokens_per_sec"), unit: "tokens/s" }}
        series={[points("time_to_first_token_ms", "left"), points("tokens_per_sec", "right")]}
        marks={failed.slice(0, 20).map(({ run, at }) => ({
          at: at - begin,
          label: run.error?.kind.replaceAll("_", " ") ?? "failed",
        }))}
      />
    </Card>
  );
}

/** A row for each measure that a file has. */
export function Summary({ of }: { of: Record<string, Distribution> }) {
  const statistic = (name: "p50" | "mean" | "min" | "max" | "p95" | "p99"): Column<Row> => ({
    name: name === "mean" ? "mean" : name,
    show: ([measure, found]) => <Statistic name={measure} of={found} statistic={name} bare />,
  });
  return (
    <Table
      label="All measures"
      rows={Object.entries(of)}
      keyOf={([name]) => name}
      columns={[
        { name: "Measure", words: true, show: ([name]) => <MeasureName name={name} /> },
        { name: "Unit", words: true, show: ([name, found]) => measureUnit(name, found) },
        ...(["p50", "mean"] as const).map(statistic),
        { name: "95 % interval", show: ([, found]) => interval(found) },
        ...(["min", "max", "p95", "p99"] as const).map(statistic),
        { name: "n", show: ([, found]) => number(found.n) },
      ]}
    />
  );
}

type Row = [string, Distribution];

function interval({ ci95 }: Distribution) {
  return ci95 ? `${number(ci95[0])} to ${number(ci95[1])}` : "";
}

function Requests({ runs }: { runs: Run[] }) {
  const measure = (name: string): Column<Run> => ({
    name: capital(labelOf(name)),
    unit: measureUnit(name),
    show: (run) => (
      <Value
        value={numberOf(run, name)}
        unit={measureUnit(name)}
        reason={reasonOf(run.null_reasons?.[name] ?? (run.error ? "failed" : null))}
        bare
      />
    ),
    by: (run) => numberOf(run, name),
  });
  return (
    <More rows={runs} step={20}>
      {(shown) => (
        <Table
          label="Requests"
          rows={shown}
          keyOf={(_, place) => place}
          columns={[
            { name: "Prompt", words: true, show: (run) => run.prompt_id, by: (run) => run.prompt_id },
            ...CHARTED.map(measure),
            measure("output_sequence_length"),
            {
              name: "Notes",
              words: true,
              show: (run) =>
                [run.error && `failed: ${run.error.kind.replaceAll("_", " ")}`, ...(run.flags ?? [])]
                  .filter(Boolean)
                  .join(", ")
                  .replaceAll("_", " "),
            },
          ]}
        />
      )}
    </More>
  );
}
