// The tab Benchmark: each request that has ended so far.
import { capital } from "../format";
import { type Charted, secondsOf, valuesOf } from "../run/live";
import { RunTab } from "../run/run-tab";
import type { Job } from "../types";
import { Card } from "../ui/card";
import { Chart } from "../ui/chart";
import { labelOf, measureUnit } from "../views/measure";

const CHARTED = ["time_to_first_token_ms", "tokens_per_sec"] as const;

export default function BenchmarkTab({ kind }: { kind: string }) {
  return <RunTab kind={kind} Live={Live} />;
}

function Live({ history }: { job: Job; history: Charted[] }) {
  const ended = history.filter((event) => typeof event.done === "number");
  if (ended.length < 2) return null;
  const x = { label: "time", unit: "s", values: secondsOf(ended) };
  return (
    <Card title="Requests so far">
      <div class="columns">
        {CHARTED.map((name) => (
          <Chart
            key={name}
            title={capital(labelOf(name))}
            x={x}
            y={{ label: labelOf(name), unit: measureUnit(name) }}
            series={[
              { name: labelOf(name), unit: measureUnit(name), values: valuesOf(ended, name), look: "points" },
            ]}
            sync="live"
          />
        ))}
      </div>
    </Card>
  );
}
