// One result of this server, and what can be done with it.
import { useState } from "preact/hooks";
import { sentence } from "../api";
import { href } from "../routes";
import type { Reference } from "../types";
import { Problem } from "../ui/card";
import { typeTitleOf } from "../ui/job-bar";
import { ResultView } from "../views/result";
import { removeAll } from "./api";
import { ExportButtons, Removed } from "./list";

/** A result of this server, by the parts of its address. */
export function OneResult({ type, id }: Reference) {
  const reference = { type, id };
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
  const gone = removed.length > 0;
  return (
    <>
      <p class="crumbs">
        <a href={href("results", type)}>{typeTitleOf(type)}</a>
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
      <Removed of={removed} restored={() => setRemoved([])} />
      {!gone && <ResultView type={type} id={id} />}
    </>
  );
}
