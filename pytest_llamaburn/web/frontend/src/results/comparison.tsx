// A comparison: the verdicts, how large and how sure each change is, and what differs besides.
import { number, when } from "../format";
import { href } from "../routes";
import { kinds } from "../store";
import type { Reference } from "../types";
import { Badge, Card, Figures, Sentences, type Tone } from "../ui/card";
import { Table } from "../ui/table";
import { Tip } from "../ui/tip";
import { Value } from "../ui/value";
import type { Document } from "../views/document";
import { fullLabelOf } from "../views/measure";
import { VERDICTS } from "../views/parts";
import { type Change, type ComparedFile, comparisonOf, type ComparisonOf, type Gate, signed } from "./changes";
import { Intervals } from "./intervals";
import { Levels } from "./levels";

const TONES: Record<string, Tone> = {
  faster: "good",
  better: "good",
  slower: "bad",
  worse: "bad",
  inconclusive: "warn",
};

/** The tone of a verdict. */
export const toneOf = (verdict: string): Tone => TONES[verdict] ?? "plain";

export default function ComparisonView({ document }: { document: Document }) {
  const of = comparisonOf(document);
  return (
    <>
      <Card title="Verdicts">
        <div class="verdicts">
          <Figures of={countsOf(of.changes)} />
          <Sentences of={of.warnings} />
        </div>
      </Card>
      <Gates of={of.gates} />
      <Card title="Changes with their intervals">
        <Intervals of={of.changes} />
      </Card>
      {of.kind === "stress" && <Levels files={of.files.map((file) => ({ ...file, ...referenceOf(of.kind, file) }))} />}
      <Card title="All changes">
        <Changes of={of} />
      </Card>
      <Card title="Files">
        <Files of={of} />
        {of.method.length > 0 && (
          <details>
            <summary>How the intervals were made</summary>
            <Sentences of={of.method} />
          </details>
        )}
      </Card>
    </>
  );
}

/** The verdicts of gates on changes. */
function Gates({ of }: { of: Gate[] }) {
  if (of.length === 0) return null;
  return (
    <Card title="Gates">
      <Table
        label="Gates"
        rows={of}
        keyOf={(_, place) => place}
        columns={[
          { name: "Gate", words: true, show: (gate) => <code>{gate.expression}</code> },
          { name: "File", words: true, show: (gate) => gate.file },
          {
            name: "Verdict",
            words: true,
            show: (gate) => <Badge tone={VERDICTS[gate.verdict] ?? "warn"}>{gate.verdict}</Badge>,
          },
          { name: "Reason", words: true, show: (gate) => gate.reason ?? "" },
        ]}
      />
    </Card>
  );
}

function countsOf(changes: Change[]): [string, preact.ComponentChildren][] {
  const found = new Map<string, number>();
  for (const { verdict } of changes) found.set(verdict, (found.get(verdict) ?? 0) + 1);
  return [...found].map(([verdict, count]) => [
    verdict,
    <>
      {number(count)} <span class="unit">of {number(changes.length)} measures</span>
    </>,
  ]);
}

/** Return where the page shows a file that was compared; the id of one in a folder begins with that. */
function referenceOf(kind: string, { path }: ComparedFile): Reference {
  const types = kinds.value.find((one) => one.name === kind)?.types ?? [];
  const parts = path.replace(/\.json$/, "").split(/[\\/]/);
  const place = Math.max(...types.map((type) => parts.lastIndexOf(type)));
  return { type: parts[place] ?? types[0] ?? kind, id: parts.slice(place < 0 ? -1 : place + 1).join(".") };
}

/** Return the name of what changed. */
export function nameOf({ measure, statistic, level }: Change): string {
  const at = level === null ? "" : ` at ${number(level)}`;
  return `${fullLabelOf(statistic && statistic !== "mean" ? `${measure}.${statistic}` : measure)}${at}`;
}

function Changes({ of: { changes } }: { of: ComparisonOf }) {
  const columns = [
    { name: "File", words: true, show: (one: Change) => one.file },
    { name: "Measure", words: true, show: (one: Change) => nameOf(one), by: nameOf },
    { name: "Unit", words: true, show: (one: Change) => one.unit },
    { name: "Baseline", show: (one: Change) => <Value value={one.baseline} unit={one.unit} bare /> },
    { name: "Value", show: (one: Change) => <Value value={one.value} unit={one.unit} bare /> },
    {
      name: "Change",
      by: (one: Change) => one.change,
      show: (one: Change) =>
        one.change === null ? (
          <Value value={null} reason={one.reason} />
        ) : (
          <span class="number">{signed(one.change, one.changeUnit)}</span>
        ),
    },
    { name: "Interval", show: (one: Change) => <IntervalOf change={one} /> },
    {
      name: "Verdict",
      words: true,
      by: (one: Change) => one.verdict,
      show: (one: Change) => {
        const badge = <Badge tone={toneOf(one.verdict)}>{one.verdict}</Badge>;
        return one.reason ? <Tip text={one.reason}>{badge}</Tip> : badge;
      },
    },
  ];
  return <Table label="All changes" columns={columns} rows={changes} keyOf={(_, place) => place} />;
}

function IntervalOf({ change: { interval, changeUnit, reason } }: { change: Change }) {
  if (!interval) return <Value value={null} reason={reason} />;
  const [low, high] = interval.map((end) => signed(end, changeUnit));
  return (
    <span class="number">
      {low} to {high}
    </span>
  );
}

function Files({ of: { kind, files } }: { of: ComparisonOf }) {
  const columns = [
    {
      name: "File",
      words: true,
      show: (file: ComparedFile) => (file.baseline ? `${file.label} (baseline)` : file.label),
    },
    {
      name: "Result",
      words: true,
      show: (file: ComparedFile) => {
        const { type, id } = referenceOf(kind, file);
        return <a href={href("results", type, id)}>{file.model.name}</a>;
      },
    },
    {
      name: "Began",
      words: true,
      show: (file: ComparedFile) => <span class="number">{when(file.timestamp)}</span>,
    },
    { name: "Status", words: true, show: (file: ComparedFile) => file.status },
  ];
  return <Table label="Files" columns={columns} rows={files} keyOf={(file) => file.label} />;
}
