// A question of an eval: its answer, the scorer's verdict, and each judge's score with its reasons.
import { useState } from "preact/hooks";
import { number } from "../format";
import { MeasuredOf, Samples, SoundOf, Stretches } from "../media/answer-media";
import { MediumView } from "../media/medium";
import { Badge } from "../ui/card";
import { Value } from "../ui/value";
import { Answer } from "./answer";
import { CallsOf } from "./calls";
import type { Item, Judgment, Score } from "./document";
import { labelOf, reasonOf } from "./measure";
import { callsOf } from "./tool-calls";
import { verdictOf } from "./verdict";

interface QuestionProps {
  item: Item;
  rival: string | undefined;
}

/** One line for a question; all about it when it is opened. */
export function Question({ item, rival }: QuestionProps) {
  const [open, setOpen] = useState(false);
  const { question, scores } = item;
  return (
    <li>
      <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <Verdict item={item} />
          <span class="id">{question.id}</span>
          <span class="prompt">{question.prompt}</span>
          <span class="marks">
            {Object.entries(scores ?? {}).map(([name, score]) => (
              <span key={name} class="quiet">
                {labelOf(name)} <ScoreValue score={score} />
              </span>
            ))}
          </span>
        </summary>
        {open && <Opened item={item} rival={rival} />}
      </details>
    </li>
  );
}

function Verdict({ item }: { item: Item }) {
  const [word, tone] = verdictOf(item);
  return <Badge tone={tone}>{word}</Badge>;
}

function ScoreValue({ score }: { score: Score }) {
  const judges = score.judgments.length;
  const missing = score.state === "scored" ? null : score.state.replaceAll("_", " ");
  if (score.verdict) return <strong>{score.verdict.replaceAll("_", " ")}</strong>;
  return (
    <strong>
      <Value value={score.score} unit={`of 5`} n={judges} reason={missing} bare />
    </strong>
  );
}

function Opened({ item, rival }: QuestionProps) {
  const { question, verdict, timing = {}, null_reasons = {} } = item;
  const measure = (name: string, unit: string) => (
    <Value value={timing[name]} unit={unit} reason={reasonOf(null_reasons[name])} />
  );
  const picture = verdict?.details?.screenshot_id;
  const calls = callsOf(item);
  const paired = item.rival_answer !== null && item.rival_answer !== undefined;
  return (
    <div class="stack question">
      <div>
        <h3>Question</h3>
        <Samples of={item.media ?? []} question={question.id} />
        <p class="text">{question.prompt}</p>
      </div>
      <div class={paired ? "columns" : ""}>
        <div>
          <h3>{paired ? "Its answer" : "Answer"}</h3>
          {item.error && (
            <p class="problem">
              {item.error.kind.replaceAll("_", " ")}
              {item.error.message && `: ${item.error.message}`}
            </p>
          )}
          <SoundOf measured={item.measured} question={question.id} />
          {calls?.made.length && !item.answer?.trim() ? (
            <p class="quiet">It called tools and wrote no text.</p>
          ) : (
            <Answer text={item.answer} />
          )}
          <Stretches of={item.measured?.stretches} />
        </div>
        {paired && (
          <div>
            <h3>Answer of {rival ?? "the other"}</h3>
            <Answer text={item.rival_answer ?? null} />
          </div>
        )}
      </div>
      {calls && <CallsOf of={calls} />}
      {item.thinking && (
        <details>
          <summary>Thinking</summary>
          <p class="text">{item.thinking}</p>
        </details>
      )}
      <p class="row quiet">
        <span>{labelOf("time_to_first_token_ms")} {measure("time_to_first_token_ms", "ms")}</span>
        <span>{labelOf("tokens_per_sec")} {measure("tokens_per_sec", "tokens/s")}</span>
        <span>{labelOf("output_sequence_length")} {measure("output_sequence_length", "tokens")}</span>
        {item.cached && <span>taken from an earlier run</span>}
        {(item.flags ?? []).map((flag) => (
          <span key={flag}>{flag.replaceAll("_", " ")}</span>
        ))}
      </p>
      <MeasuredOf of={item.measured} />
      {question.reference && !calls && (
        <div>
          <h3>Reference</h3>
          <p class="text">{question.reference}</p>
        </div>
      )}
      {verdict && (
        <div>
          <h3>Scorer{question.scorer ? `: ${question.scorer.replaceAll("_", " ")}` : ""}</h3>
          <p>
            <Verdict item={item} />{" "}
            {verdict.extracted !== null && (
              <>
                read as <code>{verdict.extracted}</code>{" "}
              </>
            )}
            {verdict.reason}
          </p>
          {typeof picture === "string" && (
            <MediumView of={{ kind: "image", id: picture }} label={`What the code of ${question.id} drew`} />
          )}
        </div>
      )}
      <Judgments item={item} />
    </div>
  );
}

/** What each judge said, by criterion; of a pair, in each order. */
function Judgments({ item }: { item: Item }) {
  const rows = [
    ...Object.values(item.scores ?? {}).flatMap((score) => score.judgments),
    ...(item.comparisons ?? []).flatMap((one) => one.judgments),
  ];
  if (rows.length === 0) return null;
  return (
    <div>
      <h3>Judges</h3>
      <ul class="judgments">
        {rows.map((row, place) => (
          <JudgmentOf key={place} judgment={row} />
        ))}
      </ul>
      {item.comparisons?.some((one) => one.inconsistent) && (
        <p class="quiet">The judges chose another winner when the answers changed places: it counts as a tie.</p>
      )}
    </div>
  );
}

function JudgmentOf({ judgment }: { judgment: Judgment }) {
  const { criterion, judge, score, verdict, state, reasoning, evidence, claims = [], error } = judgment;
  const mark = verdict?.replaceAll("_", " ") ?? (score === null ? state.replaceAll("_", " ") : number(score));
  return (
    <li>
      <p class="row">
        <strong>{mark}</strong>
        <span>{labelOf(criterion)}</span>
        <span class="quiet">{judge ?? judgment.source ?? "a rule"}</span>
      </p>
      {reasoning && <p class="text">{reasoning}</p>}
      {error && <p class="quiet">{Object.values(error).join(": ")}</p>}
      {evidence.map((quote) => (
        <blockquote key={quote}>{quote}</blockquote>
      ))}
      {claims.length > 0 && (
        <ul class="sentences">
          {claims.map((claim) => (
            <li key={claim.claim}>
              <Badge tone={claim.supported ? "good" : "bad"}>{claim.supported ? "supported" : "not supported"}</Badge>{" "}
              {claim.claim}
              {claim.quote && <blockquote>{claim.quote}</blockquote>}
            </li>
          ))}
        </ul>
      )}
    </li>
  );
}
