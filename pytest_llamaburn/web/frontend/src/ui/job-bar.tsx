// The job that runs, on every tab: what it does, how far it is, and how to stop it.
import { useState } from "preact/hooks";
import { remove, sentence } from "../api";
import { bytes, capital, number, span } from "../format";
import { href } from "../routes";
import { active, jobs, kinds, progressOf } from "../store";
import type { Job, Progress } from "../types";

/** Return the name of a kind of job as a heading. */
export function titleOf(kind: string): string {
  return capital(kind.replaceAll("-", " "));
}

/** Return the name of a type of results as a heading. */
export function typeTitleOf(type: string): string {
  return type === "multimodal" ? "Multi-Modal" : titleOf(type.replaceAll("_", " "));
}

/** Return the name of the model that a job downloads, empty if it does something else. */
export function pulledBy(job: Job): string {
  return job.kind === "pull" ? (job.command.split(" ").pop() ?? "") : "";
}

/** The bar of a job's progress; without a plan it shows that something goes on. */
export function ProgressBar({ progress, label }: { progress: Progress | null; label: string }) {
  const planned = progress?.planned ?? 0;
  return planned > 0 ? (
    <progress aria-label={label} max={planned} value={Math.min(progress?.done ?? 0, planned)} />
  ) : (
    <progress aria-label={label} />
  );
}

/** What a job does now, in words. */
export function stageOf(job: Job): string {
  if (job.state === "queued") return "waits for its turn";
  if (job.state === "stopping") return "stops; what is finished is kept";
  return progressOf(job)?.stage ?? "starts";
}

/** How far a job is, in words. */
export function countOf(progress: Progress | null): string {
  if (!progress || progress.done === null || progress.done === undefined) return "";
  const isSize = progress.unit === "bytes";
  const shown = isSize ? bytes : number;
  const planned = progress.planned ? ` of ${shown(progress.planned)}` : "";
  const failed = progress.failed ? `, ${number(progress.failed)} failed` : "";
  return `${shown(progress.done)}${planned}${isSize ? "" : ` ${progress.unit ?? ""}`}${failed}`;
}

/** How long a job still takes, in words; of a load, how long its level does. */
export function leftOf(progress: Progress | null): string {
  const left = progress?.eta_s;
  if (!left) return "";
  const isLoad = typeof (progress?.clients ?? progress?.rate_per_sec) === "number";
  const step = left < 600 ? 1 : 60; // no estimate is more exact
  return `about ${span(Math.ceil(left / step) * step)} left${isLoad ? " of this level" : ""}`;
}

/** A button that stops a job. */
export function StopButton({ job }: { job: Job }) {
  const [problem, setProblem] = useState("");
  const stop = () => remove(`/jobs/${job.id}`).catch((error) => setProblem(sentence(error)));
  return (
    <>
      <button type="button" class="stop" disabled={job.state === "stopping"} onClick={stop}>
        {job.state === "queued" ? "Cancel" : "Stop"}
      </button>
      {problem && <span role="alert">{problem}</span>}
    </>
  );
}

/** The job that runs, with a link to its tab; nothing if none does. */
export function JobBar() {
  const job = active.value;
  if (!job) return null;
  const waiting = jobs.value.filter((one) => one.state === "queued" && one.id !== job.id).length;
  const progress = progressOf(job);
  const left = leftOf(progress);
  return (
    <aside class="job-bar" aria-label="Running job">
      {kinds.value.some((kind) => kind.name === job.kind) ? (
        <a href={href(job.kind)}>{titleOf(job.kind)}</a>
      ) : (
        <span>{pulledBy(job) ? `Download of ${pulledBy(job)}` : titleOf(job.kind)}</span>
      )}
      <span class="stage">{stageOf(job)}</span>
      <ProgressBar progress={progress} label={`Progress of the ${job.kind}`} />
      <span class="number">{countOf(progress)}</span>
      {left && <span class="quiet">{left}</span>}
      {waiting > 0 && <span class="quiet">{waiting} more wait</span>}
      <StopButton job={job} />
    </aside>
  );
}
