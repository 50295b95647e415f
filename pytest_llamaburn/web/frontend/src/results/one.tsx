// One result: what it is, what can be done with it, and what it says.
import { useState } from "preact/hooks";
import { sentence } from "../api";
import { when } from "../format";
import { href } from "../routes";
import type { Reference } from "../types";
import { Card, Figures, Problem, Sentences, Waiting } from "../ui/card";
import { titleOf } from "../ui/job-bar";
import { useLoad } from "../ui/use-load";
import { type Document, kindOf, pathOf, removeAll } from "./api";
import { ExportButtons, Removed, StatusOf } from "./list";
import { Details } from "./details";

/** A result of this server, by the parts of its address. */
export function OneResult({ type, id }: Reference) {
  const reference = { type, id };
  const { data, problem, again } = useLoad<Document>(pathOf(reference));
  const [removed, setRemoved] = useState<Reference[]>([]);
  const [refusal, setRefusal] = useState("");
  const doing = async (what: () => Promise<void>) => {
    setRefusal("");
    await what().catch((error) => setRefusal(sentence(error)));
  };
  const removeIt = async () => {
    const [moved, error] = await removeAll([reference]);
    setRemoved(moved);
    if (error) throw error;
  };
  const restored = () => {
    setRemoved([]);
    again();
  };
  const gone = removed.length > 0;
  return (
    <>
      <p class="crumbs">
        <a href={href("results", type)}>{titleOf(type.replaceAll("_", " "))}</a>
        <span>{id}</span>
        {!gone && (
          <>
            <ExportButtons results={[reference]} doing={doing} />
            <button type="button" class="stop" onClick={() => void doing(removeIt)}>
              Delete
            </button>
          </>
        )}
      </p>
      {refusal && <Problem>{refusal}</Problem>}
      <Removed of={removed} restored={restored} />
      {!gone && (problem ? <Problem>{problem}</Problem> : data ? <Shown document={data} /> : <Waiting />)}
    </>
  );
}

/** What a result says. */
export function Shown({ document }: { document: Document }) {
  const { model, server, insights = [] } = document;
  const figures: [string, preact.ComponentChildren][] = [
    ["Status", <StatusOf row={document} />],
    ["Began", when(document.timestamp)],
  ];
  if (server) figures.push(["Server", `${server.kind} ${server.version ?? ""}`]);
  return (
    <>
      <Card title={`${titleOf(kindOf(document))}${model ? `: ${model.name}` : ""}`}>
        <Figures of={figures} />
        <Sentences of={insights.map((one) => one.text)} />
      </Card>
      <Details document={document} />
    </>
  );
}
