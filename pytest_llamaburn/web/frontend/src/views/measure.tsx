// What a measure is called, with its formula on demand, and its values.
import { unitOf, words } from "../format";
import { measures } from "../store";
import type { Distribution } from "../types";
import { Tip } from "../ui/tip";
import { Value } from "../ui/value";

/** Return the name of a measure as tables have it. */
export function labelOf(name: string): string {
  return measures.value.measures[name]?.label || words(name);
}

/** Return the name of a measure and its statistic: `tokens_per_sec.p50` is tokens per second, p50. */
export function fullLabelOf(name: string): string {
  const [base = name, statistic] = name.split(".");
  return statistic ? `${labelOf(base)}, ${statistic}` : labelOf(base);
}

/** Return the unit of a measure. */
export function measureUnit(name: string, of?: Distribution | null): string {
  const unit = of?.unit ?? measures.value.measures[name]?.unit ?? unitOf(name);
  return unit === "/s" ? "requests/s" : unit;
}

/** Return why a number is missing, in words. */
export function reasonOf(code: string | null | undefined): string | null {
  if (!code) return null;
  return measures.value.reasons[code] ?? code.replaceAll("_", " ");
}

/** The name of a measure; its formula is told on hover and focus. */
export function MeasureName({ name }: { name: string }) {
  const about = measures.value.measures[name];
  const label = labelOf(name);
  if (!about?.formula) return <>{label}</>;
  const better = about.better === "none" ? "" : `; ${about.better} is better`;
  return <Tip text={`${about.formula}${better}`}>{label}</Tip>;
}

interface StatisticProps {
  name: string;
  of: Distribution | null | undefined;
  statistic?: "mean" | "p50" | "p90" | "p95" | "p99" | "min" | "max";
  bare?: boolean;
}

/** A statistic of a measure's distribution. */
export function Statistic({ name, of, statistic = "mean", bare = false }: StatisticProps) {
  const isOpen =
    of?.certified !== undefined && /^p9/.test(statistic) && !of.certified.includes(statistic);
  return (
    <Value
      value={of?.[statistic] ?? null}
      unit={measureUnit(name, of)}
      n={of?.n}
      interval={statistic === "mean" ? of?.ci95 : null}
      reason={reasonOf(of?.reason)}
      note={isOpen ? "* too few requests to be sure of this percentile" : undefined}
      mark={isOpen ? "*" : ""}
      bare={bare}
    />
  );
}
