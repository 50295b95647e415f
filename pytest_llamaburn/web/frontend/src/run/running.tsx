// A run that goes on, and how one ended.
import { useEffect } from "preact/hooks";
import { span, when } from "../format";
import { loadMeasures, progressOf } from "../store";
import type { Job, Progress } from "../types";
import { Badge, Card, Copyable, Figures, type Tone } from "../ui/card";
import { countOf, leftOf, ProgressBar, stageOf, StopButton, titleOf } from "../ui/job-bar";
import { Value } from "../ui/value";
import { labelOf } from "../views/measure";

/** What a run does now: its stage, how far it is, its numbers. */
export function Running({ job }: { job: Job }) {
  const progress = progressOf(job);
  useEffect(loadMeasures, []);
  return (
    <Card title={`${titleOf(job.kind)}: ${stageOf(job)}`} actions={<StopButton job={job} />}>
      <div class="stack">
        <ProgressBar progress={progress} label="Progress" />
        <p class="row">
          <span>{countOf(progress) || (job.lines?.at(-1) ?? "The command starts.")}</span>
          <span class="quiet">{leftOf(progress) || "the time left is not known"}</span>
        </p>
        <Figures of={figures(progress)} />
        <Said job={job} />
      </div>
    </Card>
  );
}

function figures(progress: Progress | null): [string, preact.ComponentChildren][] {
  const known: [string, number | null | undefined, string][] = [
    [`${labelOf("requests_per_sec")}, now`, progress?.requests_per_sec, "requests/s"],
    [`${labelOf("total_generation_ms")}, p50 now`, progress?.total_p50_ms, "ms"],
    [`${labelOf("total_generation_ms")}, p95 now`, progress?.total_p95_ms, "ms"],
    ["clients", progress?.clients, ""],
    ["scheduled rate", progress?.rate_per_sec, "requests/s"],
    ["in flight", progress?.in_flight, "requests"],
    [`${labelOf("tokens_per_sec")}, now`, progress?.tokens_per_sec, "tokens/s"],
    [`${labelOf("time_to_first_token_ms")}, last`, progress?.time_to_first_token_ms, "ms"],
    ["failed", progress?.failed, ""],
  ];
  return known
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value, unit]) => [name, <Value value={value} unit={unit} />]);
}

const TONES: Record<string, Tone> = { "0": "good", "1": "bad", "2": "warn", "5": "warn" };

/** How a run ended, and what it said where that was not well. */
export function Ended({ job }: { job: Job }) {
  const tone = job.state === "ended" ? (TONES[String(job.exit_code)] ?? "bad") : "warn";
  return (
    <Card
      title={`${titleOf(job.kind)}: ${job.meaning ?? job.state}`}
      actions={
        <>
          <span class="quiet">
            {when(job.started ?? job.created)}
            {job.started && job.ended && `, took ${span((Date.parse(job.ended) - Date.parse(job.started)) / 1000)}`}
          </span>
          <Badge tone={tone}>{job.exit_code === null ? job.state : `exit code ${job.exit_code}`}</Badge>
        </>
      }
    >
      <Said job={job} />
    </Card>
  );
}

const COMPLAINT = "llamaburn: ";

/** Return what the command of a job complained of. */
export function complaintsOf(job: Job): string[] {
  const lines = (job.lines ?? []).filter((line) => line.startsWith(COMPLAINT));
  return [...new Set(lines.map((line) => line.slice(COMPLAINT.length)))];
}

/** The sentences of the command: complaints at once, the rest on demand. */
function Said({ job }: { job: Job }) {
  const rest = (job.lines ?? []).filter((line) => !line.startsWith(COMPLAINT));
  return (
    <>
      {complaintsOf(job).map((words) => (
        <p class="problem" key={words}>
          {words}
        </p>
      ))}
      <details>
        <summary>Command and what it wrote</summary>
        <Copyable label="Command of this run" text={job.command} />
        {job.pytest && <Copyable label="The same with pytest" text={job.pytest} />}
        {rest.length > 0 && <pre>{rest.join("\n")}</pre>}
      </details>
    </>
  );
}
