// The button that makes a trend of the runs of a list.
import { useState } from "preact/hooks";
import { post, sentence } from "../api";
import { go } from "../routes";
import type { Row } from "../types";
import { Problem } from "../ui/card";
import type { Compared, Folder } from "./api";

interface TrendProps {
  folder: Folder;
  rows: Row[];
  /** Whether the list shows some models only. */
  narrowed: boolean;
  since: string;
}

/** Make a trend of the runs of this type: of the models that are shown, since the day that is. */
export function TrendButton({ folder, rows, narrowed, since }: TrendProps) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  if (!folder.trended || rows.length === 0) return null;
  const make = async () => {
    setBusy(true);
    setProblem("");
    const models = narrowed ? [...new Set(rows.flatMap((row) => row.models))] : [];
    await post<Compared>("/trend", { kind: folder.kind, models, ...(since && { since }) }).then(
      ({ result }) => go("results", result.type, result.id),
      (error) => setProblem(sentence(error)),
    );
    setBusy(false);
  };
  return (
    <div class="row">
      <button type="button" disabled={busy} onClick={() => void make()}>
        {busy ? "Looking …" : "Trend over time"}
      </button>
      {problem && <Problem>{problem}</Problem>}
    </div>
  );
}
