// The tab Benchmark: each request that has ended so far.
import { secondsOf, valuesOf } from "../run/live";
import { RunTab } from "../run/run-tab";
import type { Job, Progress } from "../types";
import { Card } from "../ui/card";
import { Chart } from "../ui/chart";

export default function BenchmarkTab({ kind }: { kind: string }) {
  return <RunTab kind={kind} Live={Live} />;
}

function Live({ history }: { job: Job; history: Progress[] }) {
  const ended = history.filter((event) => typeof event.done === "number");
  if (ended.length < 2) return null;
  const x = { label: "time", unit: "s", values: secondsOf(ended) };
  return (
    <Card title="Requests so far">
      <div class="columns">
        <Chart
          title="Time to first token"
          x={x}
          y={{ label: "time to first token", unit: "ms" }}
          series={[
            {
              name: "time to first token",
              unit: "ms",
              values: valuesOf(ended, "time_to_first_token_ms"),
              look: "points",
            },
          ]}
          sync="live"
        />
        <Chart
          title="Tokens per second"
          x={x}
          y={{ label: "tokens per second", unit: "tokens/s" }}
          series={[
            {
              name: "tokens per second",
              unit: "tokens/s",
              values: valuesOf(ended, "tokens_per_sec"),
              look: "points",
            },
          ]}
          sync="live"
        />
      </div>
    </Card>
  );
}
