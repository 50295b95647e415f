// Fetching a model to the server under test, or to the embedded catalogue.
import { useEffect, useState } from "preact/hooks";
import { post, sentence } from "../api";
import { active, isOver, jobs, progressOf, takeJob } from "../store";
import type { Job } from "../types";
import { Problem } from "../ui/card";
import { countOf, leftOf, ProgressBar, pulledBy, stageOf, StopButton } from "../ui/job-bar";
import { complaintsOf } from "./running";


export interface Pulling {
  /** The job that fetches, or that was the last to do so on this page. */
  job: Job | null;
  problem: string;
  begin: (name: string) => void;
}

/** Fetch models; `fetched` is told the name of one that is there now. */
export function usePull(fetched: (name: string) => void): Pulling {
  const [own, setOwn] = useState("");
  const [problem, setProblem] = useState("");
  const pulls = jobs.value.filter((job) => pulledBy(job) !== "");
  const job = pulls.find((one) => !isOver(one)) ?? pulls.find((one) => one.id === own) ?? null;
  const begin = (name: string) => {
    setProblem("");
    post<Job>(`/models/pull?queue=${active.value !== null}`, { name }).then(
      (made) => (takeJob(made), setOwn(made.id)),
      (error) => setProblem(sentence(error)),
    );
  };
  const isThere = job !== null && isOver(job) && job.exit_code === 0;
  useEffect(() => {
    if (job && !isOver(job)) setOwn(job.id); // also one that another page began
  }, [job?.id]);
  useEffect(() => {
    if (isThere) fetched(pulledBy(job));
  }, [job?.id, isThere]);
  return { job, problem, begin };
}

/** How far a model is fetched, and why it is not where that failed. */
export function PullState({ of: { job, problem } }: { of: Pulling }) {
  if (problem) return <Problem>{problem}</Problem>;
  if (!job) return null;
  const name = pulledBy(job);
  if (isOver(job)) return <PullEnd job={job} name={name} />;
  const progress = progressOf(job);
  return (
    <div class="row pull" role="group" aria-label={`Download of ${name}`}>
      <span>
        {name}: {stageOf(job)}
      </span>
      <ProgressBar progress={progress} label={`Download of ${name}`} />
      <span class="number">{countOf(progress)}</span>
      <span class="quiet">{leftOf(progress)}</span>
      <StopButton job={job} />
    </div>
  );
}

function PullEnd({ job, name }: { job: Job; name: string }) {
  if (job.exit_code === 0) {
    return (
      <p class="quiet" role="status">
        {name} is there now.
      </p>
    );
  }
  if (job.exit_code === 2 || job.state === "cancelled") {
    return (
      <p class="quiet" role="status">
        The download of {name} was stopped.
      </p>
    );
  }
  const complaints = complaintsOf(job);
  if (complaints.length === 0) return <Problem>{`${name} was not downloaded: ${job.meaning ?? job.state}.`}</Problem>;
  return (
    <>
      {complaints.map((words) => (
        <Problem key={words}>{words}</Problem>
      ))}
    </>
  );
}
