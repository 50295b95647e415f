// A number as the whole page shows it: with its unit, and on demand its n and its interval.
import { number, UNKNOWN, unitOf, withUnit } from "../format";
import type { Distribution } from "../types";
import { Tip } from "./tip";

export interface ValueProps {
  value: number | null | undefined;
  unit?: string | undefined;
  n?: number | undefined;
  interval?: readonly [number, number] | null | undefined;
  /** Why it is not known. */
  reason?: string | null | undefined;
  /** More about it. */
  note?: string | undefined;
  /** Whether the unit is shown beside the number and not only on demand. */
  bare?: boolean | undefined;
}

/** Show a number; one that is not known is a dash that says why. */
export function Value({ value, unit = "", n, interval, reason, note, bare }: ValueProps) {
  if (value === null || value === undefined) {
    return <Tip text={reason ?? "It was not measured."}>{UNKNOWN}</Tip>;
  }
  const about = [
    withUnit(value, unit),
    interval && `95 % interval ${number(interval[0])} to ${withUnit(interval[1], unit)}`,
    n !== undefined && `n = ${number(n)}`,
    note,
  ];
  return (
    <Tip text={about.filter(Boolean).join("; ")}>
      <span class="number">{number(value)}</span>
      {unit && !bare && <span class="unit"> {unit}</span>}
    </Tip>
  );
}

interface StatisticProps {
  name: string;
  of: Distribution | null | undefined;
  statistic?: "mean" | "p50" | "p90" | "p95" | "p99" | "min" | "max";
  bare?: boolean;
}

/** Show a statistic of a measure's distribution. */
export function Statistic({ name, of, statistic = "mean", bare = false }: StatisticProps) {
  const open = of?.certified !== undefined && /^p9/.test(statistic) && !of.certified.includes(statistic);
  return (
    <Value
      value={of?.[statistic] ?? null}
      unit={of?.unit ?? unitOf(name)}
      n={of?.n}
      interval={statistic === "mean" ? of?.ci95 : null}
      reason={of?.reason}
      note={open ? "too few requests to be sure of this percentile" : undefined}
      bare={bare}
    />
  );
}
