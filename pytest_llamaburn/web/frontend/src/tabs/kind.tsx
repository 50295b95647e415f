// The tab of a kind of run that has no tab of its own.
import { RunTab } from "../run/run-tab";

export default function KindTab({ kind }: { kind: string }) {
  return <RunTab kind={kind} />;
}
