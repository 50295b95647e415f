// The tabs: one for each kind of run that the server knows, and those that show what is there.
import { computed } from "@preact/signals";
import type { ComponentType } from "preact";
import { kinds } from "./store";
import { titleOf } from "./ui/job-bar";

export interface Tab {
  id: string;
  name: string;
  load: () => Promise<{ default: ComponentType<{ kind: string }> }>;
}

/** The tabs of kinds that show more than the form and the progress, by the name of the kind. */
const OF_KINDS: Record<string, Tab["load"]> = {
  benchmark: () => import("./tabs/benchmark"),
  stress: () => import("./tabs/stress"),
  eval: () => import("./tabs/eval"),
};

/** The tabs that are of no kind; `kind` names one that a tab stands for. */
const OTHERS: (Tab & { kind?: string })[] = [];

export const tabs = computed<Tab[]>(() => {
  if (kinds.value.length === 0) return [];
  const taken = OTHERS.map((tab) => tab.kind);
  const own = kinds.value.filter((kind) => !taken.includes(kind.name));
  const ofKinds = own.map(({ name }) => ({
    id: name,
    name: titleOf(name),
    load: OF_KINDS[name] ?? (() => import("./tabs/kind")),
  }));
  return [...ofKinds, ...OTHERS];
});
