// Stress runs that are compared, level by level, in the same charts.
import { useEffect, useState } from "preact/hooks";
import { get } from "../api";
import { capital } from "../format";
import type { Distribution, Reference } from "../types";
import { Card } from "../ui/card";
import { Chart, type Series } from "../ui/chart";
import type { Document, Level } from "../views/document";
import { fullLabelOf, labelOf } from "../views/measure";
import { pathOf } from "./api";

interface Run {
  name: string;
  levels: Level[];
}

type File = Reference & { label: string; model: { name: string } };

/** Throughput and latency by level of each file that is still there. */
export function Levels({ files }: { files: File[] }) {
  const [runs, setRuns] = useState<Run[]>([]);
  const wanted = files.map((file) => `${file.type}/${file.id}`).join(" ");
  useEffect(() => {
    void Promise.all(files.map(runOf)).then((found) =>
      setRuns(found.filter((run): run is Run => run !== null)),
    );
  }, [wanted]);
  if (runs.length < 2) return null;
  const at = [...new Set(runs.flatMap((run) => run.levels.map(placeOf)))].sort((a, b) => a - b);
  const x = { label: "Level", unit: "clients", values: at };
  const series = (value: (level: Level) => number | null, unit: string): Series[] =>
    runs.map((run) => ({
      name: run.name,
      unit,
      values: at.map((place) => {
        const level = run.levels.find((one) => placeOf(one) === place);
        return level ? value(level) : null;
      }),
    }));
  return (
    <Card title="Level by level">
      <Chart
        title={capital(labelOf("requests_per_sec"))}
        x={x}
        y={{ label: "Requests", unit: "/s" }}
        series={series((level) => level.requests_per_sec, "/s")}
        sync="levels"
      />
      <Chart
        title={capital(fullLabelOf("total_generation_ms.p95"))}
        x={x}
        y={{ label: "Time", unit: "ms" }}
        series={series((level) => (level.total_generation_ms as Distribution | null)?.p95 ?? null, "ms")}
        sync="levels"
      />
    </Card>
  );
}

async function runOf(file: File): Promise<Run | null> {
  try {
    const document = await get<Document>(pathOf(file));
    const { levels = [] } = (document.results ?? {}) as { levels?: Level[] };
    return { name: `${file.label}: ${file.model.name}`, levels };
  } catch {
    return null; // it was deleted, or lies elsewhere
  }
}

const placeOf = (level: Level): number => level.concurrency ?? level.rate ?? 0;
