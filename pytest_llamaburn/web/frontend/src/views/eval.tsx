// An eval: what the model answered to each question, and what scorers and judges made of it.
import { useState } from "preact/hooks";
import { capital, number } from "../format";
import { Card, Figures, Sentences } from "../ui/card";
import { More } from "../ui/more";
import { type Column, Table } from "../ui/table";
import { Value } from "../ui/value";
import type { Document, EvalResults, Item, Mean } from "./document";
import { type Filter, FILTERS, passes } from "./filters";
import { labelOf, reasonOf } from "./measure";
import { Errors, Gates, Insights, SystemProfile } from "./parts";
import { Question } from "./question";

export default function EvalView({ document }: { document: Document }) {
  const results = (document.results ?? {}) as EvalResults;
  return (
    <>
      <Insights document={document} />
      <Card title="Scores">
        <Figures of={headlines(results)} />
        <Sentences of={results.judging?.notes ?? []} />
      </Card>
      <Gates of={results.gates} />
      <Categories of={results.by_category ?? {}} criteria={Object.keys(results.criteria ?? {})} />
      <Errors of={results.errors} />
      <Questions items={results.items ?? []} rival={results.pairwise?.rival} />
      <SystemProfile document={document} />
    </>
  );
}

function headlines(results: EvalResults): [string, preact.ComponentChildren][] {
  const { correct, criteria = {}, pairwise, totals = {}, cost } = results;
  const found: [string, preact.ComponentChildren][] = [];
  if (correct) found.push(["right answers", <MeanValue of={correct} unit="share" />]);
  for (const [name, mean] of Object.entries(criteria)) {
    found.push([labelOf(name), <MeanValue of={mean} unit={mean.unit === "share" ? "share" : "of 5"} />]);
  }
  if (pairwise) {
    const rate = pairwise.win_rate;
    const games = `${number(pairwise.wins)} won, ${number(pairwise.losses)} lost, ${number(pairwise.ties)} ties`;
    found.push([
      `wins against ${pairwise.rival ?? "the other"}`,
      <Value value={rate?.value} unit="share" interval={rate?.ci95} reason={rate?.reason} note={games} />,
    ]);
  }
  found.push([
    "answers",
    <Value
      value={totals.succeeded}
      unit={`of ${number(totals.planned_answers ?? totals.requests)}`}
      note={`${number(totals.failed)} failed, ${number(totals.cached)} from earlier runs`}
    />,
  ]);
  if (cost?.calls) {
    found.push(["cost of judging", <Value value={cost.cost_usd} unit="USD" n={cost.calls} reason={cost.reason} />]);
  }
  return found;
}

function MeanValue({ of, unit, bare = false }: { of: Mean; unit: string; bare?: boolean }) {
  const counts = of.n_total !== undefined && of.n_scored !== of.n_total;
  return (
    <Value
      value={of.mean}
      unit={unit}
      n={of.n_scored}
      interval={of.ci95}
      reason={reasonOf(of.reason)}
      note={counts ? `${number(of.n_scored)} of ${number(of.n_total)} were scored` : undefined}
      decimals={unit === "share" ? undefined : 2}
      bare={bare}
    />
  );
}

type Category = [string, Record<string, Mean | number>];

function Categories({ of, criteria }: { of: Record<string, Record<string, Mean | number>>; criteria: string[] }) {
  const rows = Object.entries(of);
  if (rows.length < 2) return null;
  const column = (name: string): Column<Category> => ({
    name: name === "correct" ? "Right" : capital(labelOf(name)),
    show: ([, means]) => {
      const mean = means[name];
      const unit = name === "correct" ? "share" : "of 5";
      return typeof mean === "object" ? <MeanValue of={mean} unit={unit} bare /> : <Value value={null} />;
    },
    by: ([, means]) => (typeof means[name] === "object" ? means[name].mean : null),
  });
  return (
    <Card title="By category">
      <Table
        label="Scores by category"
        rows={rows}
        keyOf={([name]) => name}
        columns={[
          { name: "Category", words: true, show: ([name]) => name, by: ([name]) => name },
          { name: "Questions", show: ([, { questions }]) => number(questions as number) },
          ...["correct", ...criteria].map(column),
        ]}
      />
    </Card>
  );
}

function Questions({ items, rival }: { items: Item[]; rival: string | undefined }) {
  const [filter, setFilter] = useState<Filter>("all");
  const [category, setCategory] = useState("");
  const [text, setText] = useState("");
  const categories = [...new Set(items.map((item) => item.question.category ?? ""))].filter(Boolean);
  const wanted = text.toLowerCase();
  const shown = items.filter(
    (item) =>
      passes(item, filter) &&
      (!category || item.question.category === category) &&
      `${item.question.id} ${item.question.prompt} ${item.answer}`.toLowerCase().includes(wanted),
  );
  const counts = (one: Filter) => items.filter((item) => passes(item, one)).length;
  return (
    <Card title="Questions">
      <div class="row filters">
        <div class="row" role="group" aria-label="Which questions">
          {FILTERS.filter((one) => one === "all" || counts(one) > 0).map((one) => (
            <button type="button" key={one} aria-pressed={filter === one} onClick={() => setFilter(one)}>
              {one} {number(counts(one))}
            </button>
          ))}
        </div>
        {categories.length > 1 && (
          <select aria-label="Category" value={category} onChange={(event) => setCategory(event.currentTarget.value)}>
            <option value="">all categories</option>
            {categories.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        )}
        <input
          type="search"
          aria-label="Text of a question or an answer"
          placeholder="search"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </div>
      {shown.length === 0 && <p class="quiet">No question is like that.</p>}
      <More rows={shown} step={25}>
        {(some) => (
          <ol class="questions">
            {some.map((item) => (
              <Question key={item.question.id} item={item} rival={rival} />
            ))}
          </ol>
        )}
      </More>
    </Card>
  );
}

