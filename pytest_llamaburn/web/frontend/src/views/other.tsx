// A result of a kind that has no view of its own: its distributions, whatever they are called.
import type { Distribution } from "../types";
import { Card } from "../ui/card";
import { Summary } from "./benchmark";
import type { Document, Gate } from "./document";
import { Errors, Gates, Insights, SystemProfile } from "./parts";

export default function OtherView({ document }: { document: Document }) {
  const results = (document.results ?? {}) as Record<string, unknown>;
  const summary = results.summary as Record<string, Distribution> | undefined;
  return (
    <>
      <Insights document={document} />
      <Gates of={results.gates as Gate[] | undefined} />
      {summary && (
        <Card title="All measures">
          <Summary of={summary} />
        </Card>
      )}
      <Errors of={results.errors as Record<string, number> | undefined} />
      <SystemProfile document={document} />
    </>
  );
}
