// The tab of a kind of run that has no tab of its own: its form.
import { kinds } from "../store";
import { RunForm } from "../run/form";

export default function KindTab({ kind }: { kind: string }) {
  const about = kinds.value.find((one) => one.name === kind);
  return about ? <RunForm kind={about} /> : null;
}
