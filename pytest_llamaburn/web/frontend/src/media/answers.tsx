// A run while it goes on: each question with its sample and, when it comes, its answer.
import { useEffect } from "preact/hooks";
import { number } from "../format";
import { listen, told } from "../store";
import type { Job, Told } from "../types";
import { Badge, Card, type Tone } from "../ui/card";
import { More } from "../ui/more";
import { Value } from "../ui/value";
import { Answer } from "../views/answer";
import { MeasuredOf, Samples, SoundOf } from "./answer-media";
import { type Asked, askedIn } from "./asked";

/** The questions of a run that goes on, the newest first. */
export function Answers({ job }: { job: Job }) {
  useEffect(() => void listen(job.id), [job.id]);
  const asked = askedIn(told.value[job.id] ?? []).reverse();
  if (asked.length === 0) return null;
  return (
    <Card title="Samples and answers so far">
      <p class="quiet">
        An answer is shown when it is complete: to read it while it comes would disturb what is measured.
      </p>
      <More rows={asked} step={10}>
        {(some) => (
          <ol class="asked">
            {some.map((one) => (
              <Beside key={one.question} of={one} />
            ))}
          </ol>
        )}
      </More>
    </Card>
  );
}

function Beside({ of }: { of: Asked }) {
  return (
    <li>
      <div>
        <Samples of={of.media} question={of.question} />
        <p class="text">{of.prompt}</p>
        {of.reference && <p class="quiet">right: {of.reference}</p>}
      </div>
      <div>
        <p class="row">
          <strong>{of.question}</strong>
          <Verdict of={of} />
        </p>
        {of.answers.length === 0 && <p class="quiet">Waiting for the answer …</p>}
        {of.answers.map((one) => (
          <OneAnswer key={one.sample} of={one} question={of.question} />
        ))}
      </div>
    </li>
  );
}

function Verdict({ of: { answers, score } }: { of: Asked }) {
  const failed = answers.some((one) => one.error);
  const [word, tone]: [string, Tone] =
    score?.correct === true
      ? ["right", "good"]
      : score?.correct === false
        ? ["wrong", "bad"]
        : failed
          ? ["failed", "bad"]
          : answers.length === 0
            ? ["asked now", "plain"]
            : [score ? "no score" : "not scored yet", "plain"];
  return (
    <>
      <Badge tone={tone}>{word}</Badge>
      {score?.reason && <span class="quiet">{score.reason}</span>}
    </>
  );
}

function OneAnswer({ of, question }: { of: Told; question: string }) {
  const first = of.timing?.time_to_first_token_ms;
  return (
    <div>
      {(of.sample ?? 0) > 0 && <h3>Answer {number((of.sample ?? 0) + 1)}</h3>}
      {of.error && (
        <p class="problem">
          {of.error.kind.replaceAll("_", " ")}
          {of.error.message && `: ${of.error.message}`}
        </p>
      )}
      <SoundOf measured={of.measured} question={question} />
      <Answer text={of.answer ?? null} />
      <MeasuredOf of={of.measured} />
      <p class="row quiet">
        {of.cached && <span>taken from an earlier run</span>}
        {typeof first === "number" && (
          <span>
            first token <Value value={first} unit="ms" />
          </span>
        )}
      </p>
    </div>
  );
}
