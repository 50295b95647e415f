// A number as the whole page shows it: with its unit, and on demand its n and its interval.
import { number, percent, UNKNOWN, withUnit } from "../format";
import { Tip } from "./tip";

export interface ValueProps {
  value: number | null | undefined;
  /** Its unit; a `share` is shown in percent. */
  unit?: string | undefined;
  n?: number | undefined;
  interval?: readonly [number, number] | null | undefined;
  /** Why it is not known. */
  reason?: string | null | undefined;
  /** A sign after the number that `note` explains. */
  mark?: string | undefined;
  /** More about it. */
  note?: string | undefined;
  /** How many decimals it has, where a column of numbers shall have the same. */
  decimals?: number | undefined;
  /** Whether the unit is shown beside the number and not only on demand. */
  bare?: boolean | undefined;
}

/** Show a number; one that is not known is a dash that says why. */
export function Value({ value, unit = "", n, interval, reason, mark, note, decimals, bare }: ValueProps) {
  if (value === null || value === undefined) {
    return <Tip text={reason ?? "It was not measured."}>{UNKNOWN}</Tip>;
  }
  const shown = (one: number) => (unit === "share" ? percent(one) : withUnit(one, unit));
  const text = decimals === undefined ? number(value) : value.toFixed(decimals);
  const about = [
    shown(value),
    interval && `95 % interval ${shown(interval[0])} to ${shown(interval[1])}`,
    n !== undefined && `n = ${number(n)}`,
    note,
  ];
  return (
    <Tip text={about.filter(Boolean).join("; ")}>
      <span class="number">
        {unit === "share" ? percent(value) : text}
        {mark}
      </span>
      {unit && unit !== "share" && !bare && <span class="unit"> {unit}</span>}
    </Tip>
  );
}
