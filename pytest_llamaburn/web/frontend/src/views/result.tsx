// A result file: read from the server or from a file that was dropped, shown by the view of its kind.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { sentence } from "../api";
import { loadMeasures } from "../store";
import type { Reference } from "../types";
import { Problem, Waiting } from "../ui/card";
import { useLoad } from "../ui/use-load";
import type { Document } from "./document";
import { Head } from "./parts";

type View = ComponentType<{ document: Document }>;

/** The views by what follows `llamaburn/` in a file's schema. */
const VIEWS: Record<string, () => Promise<{ default: View }>> = {
  benchmark: () => import("./benchmark"),
  stress: () => import("./stress"),
  eval: () => import("./eval"),
};

/** Return the kind of a document. */
export function kindOf(document: Document): string {
  return (document.schema ?? "").replace(/^llamaburn\//, "");
}

/** A result of this server. */
export function ResultView({ type, id }: Reference) {
  const { data, problem } = useLoad<Document>(`/results/${encodeURIComponent(type)}/${encodeURIComponent(id)}`);
  if (problem) return <Problem>{problem}</Problem>;
  return data ? <DocumentView document={data} /> : <Waiting />;
}

/** The content of a result file. */
export function DocumentView({ document }: { document: Document }) {
  const [View, setView] = useState<View | null>(null);
  const [problem, setProblem] = useState("");
  const kind = kindOf(document);
  useEffect(() => {
    loadMeasures();
    const load = VIEWS[kind] ?? (() => import("./other"));
    load().then(
      (loaded) => setView(() => loaded.default),
      (error) => setProblem(sentence(error)),
    );
  }, [kind]);
  return (
    <>
      <Head document={document} />
      {problem && <Problem>{problem}</Problem>}
      {View ? <View document={document} /> : !problem && <Waiting />}
    </>
  );
}
