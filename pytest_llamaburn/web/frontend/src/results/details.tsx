// What is in a result, by its kind; a kind that is not known here shows its measures and settings.
import { comparisonOf } from "./changes";
import { Comparison } from "./comparison";
import { number, unitOf, words } from "../format";
import type { Distribution } from "../types";
import { Badge, Card, type Tone } from "../ui/card";
import { Table } from "../ui/table";
import { Statistic } from "../ui/value";
import type { Document } from "./api";

/** The parts of a result below its heading. */
export function Details({ document }: { document: Document }) {
  const comparison = comparisonOf(document);
  if (comparison) return <Comparison of={comparison} />;
  return (
    <>
      <Gates of={gatesOf(document)} />
      <Measures of={distributionsOf(document)} />
      <Facts title="Settings" of={document.config ?? {}} />
      <Facts title="Machine" of={document.environment ?? {}} />
    </>
  );
}

export interface Gate {
  expression: string;
  verdict: string;
  reason?: string | null;
  file?: string;
}

/** Return the gates of a result. */
export function gatesOf(document: Document): Gate[] {
  const found = document.results.gates;
  return Array.isArray(found) ? (found as Gate[]) : [];
}

const TONES: Record<string, Tone> = { pass: "good", fail: "bad", undecided: "warn" };

/** The verdicts of gates. */
export function Gates({ of }: { of: Gate[] }) {
  if (of.length === 0) return null;
  const columns = [
    { name: "Gate", words: true, show: (gate: Gate) => gate.expression },
    ...(of.some((gate) => gate.file)
      ? [{ name: "File", words: true, show: (gate: Gate) => gate.file }]
      : []),
    {
      name: "Verdict",
      words: true,
      show: (gate: Gate) => <Badge tone={TONES[gate.verdict] ?? "plain"}>{gate.verdict}</Badge>,
    },
    { name: "Reason", words: true, show: (gate: Gate) => gate.reason ?? "" },
  ];
  return (
    <Card title="Gates">
      <Table label="Gates" columns={columns} rows={of} keyOf={(_, place) => place} />
    </Card>
  );
}

/** Return the distributions of a result's measures, by name. */
function distributionsOf(document: Document): [string, Distribution][] {
  const summary = (document.results.summary ?? {}) as Record<string, unknown>;
  return Object.entries(summary).filter(
    (one): one is [string, Distribution] => typeof (one[1] as Distribution | null)?.n === "number",
  );
}

function Measures({ of }: { of: [string, Distribution][] }) {
  const known = of.filter(([, one]) => one.n > 0);
  if (known.length === 0) return null;
  type Entry = [string, Distribution];
  const column = (name: string, statistic: "mean" | "p50" | "p95" | "p99") => ({
    name,
    show: ([measure, one]: Entry) => <Statistic name={measure} of={one} statistic={statistic} bare />,
  });
  return (
    <Card title="Measures">
      <Table
        label="Measures"
        rows={known}
        keyOf={([name]) => name}
        columns={[
          { name: "Measure", words: true, show: ([name]: Entry) => words(name) },
          { name: "Unit", words: true, show: ([name, one]: Entry) => one.unit ?? unitOf(name) },
          column("Mean", "mean"),
          column("p50", "p50"),
          column("p95", "p95"),
          column("p99", "p99"),
          { name: "n", show: ([, one]: Entry) => number(one.n) },
        ]}
      />
    </Card>
  );
}

/** Names and values, such as the settings of a run; what was not given is left out. */
function Facts({ title, of }: { title: string; of: Record<string, unknown> }) {
  const known = Object.entries(of).filter(([, value]) => !isEmpty(value));
  if (known.length === 0) return null;
  return (
    <details class="card">
      <summary>
        <h2>{title}</h2>
      </summary>
      <dl class="facts">
        {known.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{textOf(value)}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

const isEmpty = (value: unknown): boolean =>
  value === null || value === "" || (Array.isArray(value) && value.length === 0);

function textOf(value: unknown): string {
  if (typeof value === "number") return number(value);
  if (Array.isArray(value) && value.every((one) => typeof one !== "object")) return value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
