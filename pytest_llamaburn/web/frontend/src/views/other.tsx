// A result of a kind that has no view of its own: the cards, charts and tables that reports show of it.
import { useEffect, useState } from "preact/hooks";
import { get, post, sentence } from "../api";
import { capital, UNKNOWN } from "../format";
import { pathOf } from "../results/api";
import type { Reference } from "../types";
import { Badge, Card, Figures, Problem, Sentences, Waiting } from "../ui/card";
import { Chart } from "../ui/chart";
import { More } from "../ui/more";
import { Table } from "../ui/table";
import { Tip } from "../ui/tip";
import type { Document, Gate } from "./document";
import { Gates, Insights } from "./parts";
import { chartOf, type Entry, type Forest, isPlot, type Shown, type Sheet, type View } from "./shown";

interface Props {
  document: Document;
  reference?: Reference;
}

export default function OtherView({ document, reference }: Props) {
  const { view, problem } = useView(document, reference);
  const results = (document.results ?? {}) as Record<string, unknown>;
  return (
    <>
      <Insights document={document} />
      {view && view.cards.length > 0 && (
        <Card title="In short">
          <Figures of={view.cards.map(figure)} />
        </Card>
      )}
      <Gates of={results.gates as Gate[] | undefined} />
      {problem && <Problem>{problem}</Problem>}
      {!view && !problem && <Waiting />}
      {view && <Charts of={view.charts} />}
      {view && view.entries.length > 0 && <Entries of={view.entries} />}
      {view?.tables.map((sheet, place) => <Numbers key={place} sheet={sheet} first={place === 0} />)}
    </>
  );
}

/** Ask the server what there is to show; a file of anywhere is sent for that and not kept. */
function useView(document: Document, reference: Reference | undefined) {
  const [view, setView] = useState<View | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const asked = reference ? get<View>(`${pathOf(reference)}/view`) : post<View>("/results/view", document);
    asked.then(setView, (error) => setProblem(sentence(error)));
  }, [document]);
  return { view, problem };
}

function figure({ label, value, unit, spread, note }: Shown): [string, preact.ComponentChildren] {
  const about = [spread, note].filter(Boolean).join("; ");
  return [
    label,
    <>
      {about ? <Tip text={about}>{value}</Tip> : <span class="number">{value}</span>}
      {unit && value !== UNKNOWN && <span class="unit"> {unit}</span>}
    </>,
  ];
}

function Charts({ of }: { of: View["charts"] }) {
  if (of.length === 0) return null;
  return (
    <Card title="Charts">
      <div class="columns">
        {of.map((one, place) =>
          isPlot(one) ? (
            <div key={place}>
              <Chart {...chartOf(one)} />
              {one.note && <p class="quiet">{one.note}</p>}
            </div>
          ) : (
            <Spans key={place} of={one} />
          ),
        )}
      </div>
    </Card>
  );
}

/** A chart of intervals, in words. */
function Spans({ of: { title, spans } }: { of: Forest }) {
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <Table
        label={title}
        rows={spans}
        keyOf={(_, place) => place}
        columns={[
          { name: "Of", words: true, show: (span) => span.label },
          { name: "Value and interval", show: (span) => span.words },
        ]}
      />
    </figure>
  );
}

function Entries({ of }: { of: Entry[] }) {
  return (
    <Card title="Entries">
      <More rows={of}>
        {(shown) => (
          <ul class="questions">
            {shown.map((entry, place) => (
              <li key={place}>
                <details>
                  <summary>
                    <span>{entry.title}</span> <Badge tone="plain">{entry.verdict}</Badge>
                  </summary>
                  {entry.texts.map(([heading, text]) => (
                    <section key={heading}>
                      <h3>{heading}</h3>
                      <p class="text">{text}</p>
                    </section>
                  ))}
                </details>
              </li>
            ))}
          </ul>
        )}
      </More>
    </Card>
  );
}

function Numbers({ sheet, first }: { sheet: Sheet; first: boolean }) {
  const columns = sheet.columns.map((name, place) => ({
    name,
    words: place < sheet.words,
    show: (row: string[]) => row[place] ?? "",
  }));
  return (
    <Card title={first ? "All numbers" : capital(sheet.title)}>
      <div class="stack">
        <Sentences of={sheet.warnings} />
        <Table label={sheet.title} rows={sheet.rows} keyOf={(_, place) => place} columns={columns} empty="" />
        {Object.entries(sheet.notes).map(([heading, lines]) => (
          <section key={heading}>
            <h3>{capital(heading)}</h3>
            <Sentences of={lines.map((line) => line.replace(/^– /, ""))} />
          </section>
        ))}
      </div>
    </Card>
  );
}
