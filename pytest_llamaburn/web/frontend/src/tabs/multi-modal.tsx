// The tab Multi-Modal: evals whose questions or answers are images, sound, videos or scenes, and
// the sandbox in which code of models is tried.
import { useState } from "preact/hooks";
import { giveUp, heardBy, Live, openForRun } from "../media/live";
import { Answers } from "../media/answers";
import type { MediaSet } from "../media/api";
import { type Choice, choicesOf, fixedOf, isOfMedia } from "../media/choice";
import { CodeSandbox } from "../media/code-sandbox";
import { DropFiles, lackOf, useDropped } from "../media/drop";
import { whyOff } from "../media/microphone";
import { Preview } from "../media/preview";
import { RunForm } from "../run/form";
import { Ended, Running } from "../run/running";
import { isOver, jobs, kinds } from "../store";
import type { Job, Kind } from "../types";
import { Card, Problem, Waiting } from "../ui/card";
import { useLoad } from "../ui/use-load";
import { ResultView } from "../views/result";

/** The tab. */
export default function MultiModal() {
  const { data: sets, problem } = useLoad<MediaSet[]>("/media-sets");
  const kind = kinds.value.find((one) => one.name === "eval");
  return (
    <>
      {problem && <Problem>{problem}</Problem>}
      {!sets && !problem && <Waiting />}
      {sets && kind && <MediaRuns sets={sets} kind={kind} />}
      <CodeSandbox />
    </>
  );
}

function MediaRuns({ sets, kind }: { sets: MediaSet[]; kind: Kind }) {
  const own = jobs.value.filter((job) => job.kind === kind.name && isOfMedia(job.command, sets));
  const current = own.find((job) => !isOver(job) && job.state !== "queued") ?? own.find(isOver);
  const [wanted, setWanted] = useState<boolean | null>(null);
  const open = wanted ?? !current;
  return (
    <>
      {current && (
        <div class="row">
          <button type="button" aria-expanded={open} onClick={() => setWanted(!open)}>
            {open ? "Hide the form" : "New multi-modal eval"}
          </button>
        </div>
      )}
      {open && <NewRun sets={sets} kind={kind} started={() => setWanted(null)} />}
      {current && <Current key={current.id} job={current} />}
    </>
  );
}

interface NewProps {
  sets: MediaSet[];
  kind: Kind;
  started: () => void;
}

/** What is asked about, with its samples, and the form. */
function NewRun({ sets, kind, started }: NewProps) {
  const choices = choicesOf(sets);
  const [id, setId] = useState(() => sessionStorage.getItem("media-choice") ?? "");
  const choice = choices.find((one) => one.id === id) ?? choices[0];
  const dropped = useDropped(choice?.how === "files" ? choice.set : null);
  if (!choice) return <Problem>This server has no sets with media.</Problem>;
  const { set } = choice;
  const choose = (name: string) => {
    sessionStorage.setItem("media-choice", name);
    setId(name);
  };
  const isHeard = choice.how === "microphone";
  const off = isHeard ? whyOff() : null;
  const begun = (job: Job) => {
    if (isHeard) heardBy(job);
    started();
  };
  // The list of jobs may tell of the run, and hide this form, before the answer to its start comes.
  const giveFiles = async () => {
    dropped.give(true);
    return {};
  };
  const takeFiles = async () => void dropped.give(false);
  return (
    <RunForm
      key={choice.id}
      kind={kind}
      kept={`media-${choice.how}-${set.modality}`}
      title="New multi-modal eval"
      fixed={fixedOf(choice, dropped.upload?.setting ?? null)}
      first={firstOf(choice, kind)}
      lacks={choice.how === "files" ? lackOf(dropped) : off && "There is no microphone."}
      prepare={isHeard ? openForRun : giveFiles}
      failed={isHeard ? giveUp : takeFiles}
      started={begun}
    >
      <Choices of={choices} chosen={choice.id} choose={choose} />
      {choice.how === "set" && <Preview key={set.name} set={set} />}
      {choice.how === "files" && <DropFiles set={set} dropped={dropped} />}
      {isHeard && <AboutMicrophone off={off} />}
    </RunForm>
  );
}

/** Return the settings that are shown first: those of the modality, and those that evals have. */
function firstOf({ how, set }: Choice, kind: Kind): string[] {
  const own = how === "text" && set.own ? [set.own] : [];
  const usual = how === "set" || how === "files" ? kind.first : [];
  return [...own, ...set.settings, ...usual];
}

interface ChoicesProps {
  of: Choice[];
  chosen: string;
  choose: (id: string) => void;
}

function Choices({ of, chosen, choose }: ChoicesProps) {
  const groups = [...new Set(of.map((one) => one.group))];
  return (
    <label class="field">
      What to ask about
      <select value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
        {groups.map((group) => (
          <optgroup key={group} label={group}>
            {of
              .filter((one) => one.group === group)
              .map((one) => (
                <option key={one.id} value={one.id}>
                  {one.label}
                </option>
              ))}
          </optgroup>
        ))}
      </select>
    </label>
  );
}

function AboutMicrophone({ off }: { off: string | null }) {
  if (off) return <Problem>{off}</Problem>;
  return (
    <p class="quiet">
      Your browser asks for the microphone at the start. Each stretch of speech is transcribed at its end, while the
      next one is heard. The recording is kept with the result. Choose a model that transcribes, such as
      whisper:tiny.en, which runs on the machine of this server.
    </p>
  );
}

/** The run that goes on, or the one that ended last, with what it wrote. */
function Current({ job }: { job: Job }) {
  const isLive = /--live-audio\b/.test(job.command);
  const over = isOver(job);
  return (
    <>
      {over ? <Ended job={job} /> : <Running job={job} />}
      {isLive && (!over || job.wrote.length === 0) && <Live job={job} />}
      {!isLive && !over && <Answers job={job} />}
      {over && job.wrote.map((one) => <ResultView key={one.id} {...one} />)}
      {over && job.exit_code === 0 && job.wrote.length === 0 && (
        <Card title="Result">
          <p class="quiet">This run wrote no result in this results directory.</p>
        </Card>
      )}
    </>
  );
}
