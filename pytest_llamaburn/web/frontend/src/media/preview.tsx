// The samples of a set, before anything is asked.
import { useEffect, useState } from "preact/hooks";
import { sentence } from "../api";
import { number } from "../format";
import { Problem, Waiting } from "../ui/card";
import { type MediaSet, type Sample, samplesOf } from "./api";
import { MediumView } from "./medium";

const STEP = 6;

/** The first samples of a set, and a button for more. */
export function Preview({ set }: { set: MediaSet }) {
  const [samples, setSamples] = useState<Sample[]>([]);
  const [total, setTotal] = useState<number | null>(null);
  const [problem, setProblem] = useState("");
  const more = (from: number) =>
    samplesOf(set.name, from, STEP).then(
      (found) => {
        setSamples((known) => [...known.slice(0, from), ...found.samples]);
        setTotal(found.total);
      },
      (error) => setProblem(sentence(error)),
    );
  useEffect(() => void more(0), [set.name]);
  if (problem) return <Problem>{problem}</Problem>;
  if (total === null) return <Waiting />;
  return (
    <details open>
      <summary>
        Samples: {number(samples.length)} of {number(total)}
      </summary>
      <ol class="previews">
        {samples.map((sample) => (
          <SampleCard key={sample.id} sample={sample} />
        ))}
      </ol>
      {samples.length < total && (
        <button type="button" onClick={() => void more(samples.length)}>
          Show {number(Math.min(STEP, total - samples.length))} more
        </button>
      )}
    </details>
  );
}

function SampleCard({ sample }: { sample: Sample }) {
  const { id, prompt, reference, category, level, media } = sample;
  return (
    <li>
      {media.map((one, place) => (
        <MediumView key={one.path} of={one} label={`${one.kind} ${place + 1} of sample ${id}`} />
      ))}
      <p class="text">{prompt}</p>
      {reference && <p class="quiet">right: {reference}</p>}
      <p class="quiet">{[id, category, level].filter(Boolean).join(" · ")}</p>
    </li>
  );
}
