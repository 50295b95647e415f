// The tab of a kind of run: its form, the run that goes on or ended last, and its result.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { post, sentence } from "../api";
import { histories, isOver, jobs, kinds, takeJob, unfinished, watch } from "../store";
import type { Job, Kind, Unfinished } from "../types";
import { Card, Problem } from "../ui/card";
import { ResultView } from "../views/result";
import { RunForm } from "./form";
import type { Charted } from "./live";
import { Ended, Running } from "./running";

interface RunTabProps {
  kind: string;
  /** Curves of a run that goes on, from its progress so far. */
  Live?: ComponentType<{ job: Job; history: Charted[] }>;
}

/** All of a tab of runs. */
export function RunTab({ kind, Live }: RunTabProps) {
  const about = kinds.value.find((one) => one.name === kind);
  const own = jobs.value.filter((job) => job.kind === kind);
  const current = own.find((job) => !isOver(job) && job.state !== "queued") ?? own.find(isOver);
  const [wanted, setWanted] = useState<boolean | null>(null);
  if (!about) return null;
  const open = wanted ?? !current;
  return (
    <>
      <Continuable kind={kind} />
      <div class="stack">
        {current && (
          <div class="row">
            <button type="button" aria-expanded={open} onClick={() => setWanted(!open)}>
              {open ? "Hide the form" : `New ${kind} run`}
            </button>
          </div>
        )}
        {open && <RunForm kind={about} started={() => setWanted(null)} />}
      </div>
      {current && <Shown key={current.id} job={current} kind={about} Live={Live} />}
    </>
  );
}

interface ShownProps {
  job: Job;
  kind: Kind;
  Live: RunTabProps["Live"];
}

function Shown({ job, kind, Live }: ShownProps) {
  if (!isOver(job)) {
    return (
      <>
        <Running job={job} />
        {Live && <Curves job={job} Live={Live} />}
      </>
    );
  }
  return (
    <>
      <Ended job={job} />
      <Results job={job} kind={kind} />
    </>
  );
}

function Curves({ job, Live }: { job: Job; Live: NonNullable<RunTabProps["Live"]> }) {
  useEffect(() => void watch(job.id), [job.id]);
  return <Live job={job} history={histories.value[job.id] ?? []} />;
}

/** What a job wrote; one at a time where it wrote several. */
function Results({ job, kind }: { job: Job; kind: Kind }) {
  const own = job.wrote.filter((one) => kind.types.includes(one.type));
  const [place, setPlace] = useState(0);
  const shown = own[Math.min(place, own.length - 1)];
  if (!shown) return null;
  return (
    <>
      {own.length > 1 && (
        <select
          aria-label="Result"
          value={String(place)}
          onChange={(event) => setPlace(Number(event.currentTarget.value))}
        >
          {own.map((one, index) => (
            <option key={one.id} value={String(index)}>
              {one.id}
            </option>
          ))}
        </select>
      )}
      <ResultView key={shown.id} {...shown} />
    </>
  );
}

/** Runs of this kind that were cut, each with a button that continues it. */
function Continuable({ kind }: { kind: string }) {
  const own = unfinished.value.filter((one) => one.kind === kind);
  const [problem, setProblem] = useState("");
  if (own.length === 0 || jobs.value.some((job) => !isOver(job))) return null;
  const resume = (run: Unfinished) =>
    post<Job>(`/${kind}/run`, { resume: run.run_id }).then(takeJob, (error) => setProblem(sentence(error)));
  return (
    <Card title="Runs that were cut">
      <ul class="sentences">
        {own.slice(0, 5).map((run) => (
          <li key={run.run_id}>
            {run.model ?? "unknown model"}, {run.run_id}{" "}
            <button type="button" class="small" onClick={() => resume(run)}>
              Continue
            </button>
          </li>
        ))}
      </ul>
      {problem && <Problem>{problem}</Problem>}
    </Card>
  );
}
