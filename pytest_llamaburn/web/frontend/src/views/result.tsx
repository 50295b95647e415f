// A result file: read from the server or from a file that was dropped, shown by the view of its kind.
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import ComparisonView from "../results/comparison";
import { loadMeasures } from "../store";
import type { Reference } from "../types";
import { Problem, Waiting } from "../ui/card";
import { useLoad } from "../ui/use-load";
import BenchmarkView from "./benchmark";
import type { Document } from "./document";
import EvalView from "./eval";
import OtherView from "./other";
import { Head } from "./parts";
import StressView from "./stress";

type View = ComponentType<{ document: Document; reference?: Reference }>;

/** The views by what follows `llamaburn/` in a file's schema. */
const VIEWS: Record<string, View> = {
  benchmark: BenchmarkView,
  stress: StressView,
  eval: EvalView,
};

function viewOf({ schema = "" }: Document): View {
  return VIEWS[schema.replace(/^llamaburn\//, "")] ?? (schema.endsWith("comparison") ? ComparisonView : OtherView);
}

/** A result of this server. */
export function ResultView({ type, id }: Reference) {
  const { data, problem } = useLoad<Document>(`/results/${encodeURIComponent(type)}/${encodeURIComponent(id)}`);
  if (problem) return <Problem>{problem}</Problem>;
  return data ? <DocumentView document={data} reference={{ type, id }} /> : <Waiting />;
}

interface DocumentProps {
  document: Document;
  /** Which result of this server it is, if it is one. */
  reference?: Reference;
}

/** The content of a result file. */
export function DocumentView({ document, reference }: DocumentProps) {
  useEffect(loadMeasures, []);
  const View = viewOf(document);
  return (
    <>
      <Head document={document} />
      <View document={document} {...(reference && { reference })} />
    </>
  );
}
