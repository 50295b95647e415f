// The tabs: one for each kind of run that the server knows, and those that show what is there.
import { computed } from "@preact/signals";
import type { ComponentType } from "preact";
import { kinds } from "./store";
import Benchmark from "./tabs/benchmark";
import Eval from "./tabs/eval";
import AnyKind from "./tabs/kind";
import MultiModal from "./tabs/multi-modal";
import Results from "./tabs/results";
import Stress from "./tabs/stress";
import System from "./tabs/system";
import { titleOf } from "./ui/job-bar";

export interface Tab {
  id: string;
  name: string;
  Content: ComponentType<{ kind: string }>;
}

/** The tabs of kinds that show more than the form and the progress, by the name of the kind. */
const OF_KINDS: Record<string, Tab["Content"]> = {
  benchmark: Benchmark,
  stress: Stress,
  eval: Eval,
};

/** The tabs that are of no kind; `kind` names one that a tab stands for. */
const OTHERS: (Tab & { kind?: string })[] = [
  { id: "multi-modal", name: "Multi-Modal", Content: MultiModal },
  { id: "results", name: "Results", Content: Results },
  { id: "system", name: "System", Content: System },
];

export const tabs = computed<Tab[]>(() => {
  if (kinds.value.length === 0) return [];
  const taken = OTHERS.map((tab) => tab.kind);
  const own = kinds.value.filter((kind) => !taken.includes(kind.name));
  const ofKinds = own.map(({ name }) => ({
    id: name,
    name: titleOf(name),
    Content: OF_KINDS[name] ?? AnyKind,
  }));
  return [...ofKinds, ...OTHERS];
});
