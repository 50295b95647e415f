// Which questions of an eval are shown.
import type { Item } from "./document";

export const FILTERS = ["all", "wrong", "right", "unscored", "failed"] as const;
export type Filter = (typeof FILTERS)[number];

/** Return whether a filter lets a question through. */
export function passes(item: Item, filter: Filter): boolean {
  const states = [item.verdict, ...Object.values(item.scores ?? {})].map((one) => one?.state);
  switch (filter) {
    case "all":
      return true;
    case "wrong":
      return item.correct === false;
    case "right":
      return item.correct === true;
    case "failed":
      return item.error !== null && item.error !== undefined;
    case "unscored":
      return states.some((state) => state !== undefined && state !== "scored");
  }
}
