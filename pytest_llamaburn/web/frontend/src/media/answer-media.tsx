// What an answer has besides text: what the model was shown, the sound that it made, numbers of it.
import { useState } from "preact/hooks";
import { save, sentence } from "../api";
import { labelOf, measureUnit } from "../views/measure";
import type { MediumFacts } from "../types";
import { Problem } from "../ui/card";
import { Value } from "../ui/value";
import { MediumView } from "./medium";

/** The media that a model was shown. */
export function Samples({ of, question }: { of: readonly MediumFacts[]; question: string }) {
  if (of.length === 0) return null;
  return (
    <div class="samples">
      {of.map((one, place) => (
        <MediumView key={`${one.id} ${place}`} of={one} label={nameOf(one.kind, place, of.length, question)} />
      ))}
    </div>
  );
}

function nameOf(kind: string, place: number, count: number, question: string): string {
  return count > 1 ? `${kind} ${place + 1} of question ${question}` : `${kind} of question ${question}`;
}

type Measured = Record<string, unknown>;

/** The sound that a model made or heard; nothing where there is none. */
export function SoundOf({ measured, question }: { measured: Measured | undefined; question: string }) {
  const made = idOf(measured, "audio_id");
  const heard = idOf(measured, "recording_id");
  const id = made ?? heard;
  if (!id) return null;
  const seconds = typeof measured?.audio_seconds === "number" ? measured.audio_seconds : null;
  const label = made ? `sound of the answer to ${question}` : "recording of what was said";
  return (
    <div>
      <MediumView of={{ kind: "audio", id, seconds }} label={label} />
      <Downloads id={id} name={made ? question : "recording"} />
    </div>
  );
}

const idOf = (measured: Measured | undefined, name: string) =>
  typeof measured?.[name] === "string" ? (measured[name] as string) : null;

/** Buttons that save sound in the usual formats. */
function Downloads({ id, name }: { id: string; name: string }) {
  const [problem, setProblem] = useState("");
  const stem = name.replace(/[^\w.-]+/g, "_");
  const load = (form: string) => {
    setProblem("");
    save(`/media/${id}?format=${form}`, `${stem}.${form}`).catch((error) => setProblem(sentence(error)));
  };
  return (
    <>
      <div class="row">
        {["wav", "mp3"].map((form) => (
          <button key={form} type="button" class="small" aria-label={`Download ${form.toUpperCase()}: ${name}`} onClick={() => load(form)}>
            Download {form.toUpperCase()}
          </button>
        ))}
      </div>
      {problem && <Problem>{problem}</Problem>}
    </>
  );
}

/** The numbers that were measured of an answer besides those of its request. */
export function MeasuredOf({ of }: { of: Measured | undefined }) {
  const reasons = (of?.null_reasons ?? {}) as Record<string, string>;
  const known = Object.entries(of ?? {}).filter(
    ([name, value]) => typeof value === "number" || (value === null && name in reasons),
  );
  if (known.length === 0) return null;
  return (
    <p class="row quiet">
      {known.map(([name, value]) => (
        <span key={name}>
          {labelOf(name)} <Value value={value as number | null} unit={measureUnit(name)} reason={reasons[name]} />
        </span>
      ))}
    </p>
  );
}

/** What was heard when, of live speech. */
export function Stretches({ of }: { of: unknown }) {
  const parts = Array.isArray(of) ? (of as { start_s: number; end_s: number; text: string; delay_ms: number }[]) : [];
  if (parts.length === 0) return null;
  return (
    <ol class="heard">
      {parts.map((part) => (
        <li key={part.start_s}>
          <span class="quiet number">{part.start_s.toFixed(1)} s</span> <span>{part.text}</span>{" "}
          <span class="quiet">
            after <Value value={part.delay_ms} unit="ms" />
          </span>
        </li>
      ))}
    </ol>
  );
}
