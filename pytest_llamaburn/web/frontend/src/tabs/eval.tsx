// The tab Eval.
import { RunTab } from "../run/run-tab";

export default function EvalTab({ kind }: { kind: string }) {
  return <RunTab kind={kind} />;
}
