// Tables that scroll within themselves where the page is narrow.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

export interface Column<T> {
  name: string;
  /** The unit, shown under the name. */
  unit?: string | undefined;
  show: (row: T) => ComponentChildren;
  /** Whether its cells are words, which stand left. */
  words?: boolean;
  /** What to sort by; without it the column has no button. */
  by?: (row: T) => number | string | null | undefined;
}

interface TableProps<T> {
  /** What it is, for those who do not see it. */
  label: string;
  columns: Column<T>[];
  rows: T[];
  keyOf: (row: T, place: number) => string | number;
  /** What to say where there are no rows. */
  empty?: string;
}

/** A table; a column with `by` sorts on a click. */
export function Table<T>({ label, columns, rows, keyOf, empty = "Nothing yet." }: TableProps<T>) {
  const [order, setOrder] = useState<{ name: string; down: boolean } | null>(null);
  const by = columns.find((column) => column.name === order?.name)?.by;
  const sorted = by ? [...rows].sort((a, b) => compared(by(a), by(b), order!.down)) : rows;
  const turn = (name: string) => setOrder({ name, down: order?.name === name && !order.down });
  if (rows.length === 0) return <p class="quiet">{empty}</p>;
  return (
    <div class="scroll" role="group" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th
                key={column.name}
                scope="col"
                class={column.words ? "words" : ""}
                {...(order?.name === column.name && {
                  "aria-sort": order.down ? ("descending" as const) : ("ascending" as const),
                })}
              >
                {column.by ? (
                  <button type="button" class="plain" onClick={() => turn(column.name)}>
                    {column.name}
                  </button>
                ) : (
                  column.name
                )}
                {column.unit && <span class="unit">{column.unit}</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row, place) => (
            <tr key={keyOf(row, place)}>
              {columns.map((column) => (
                <td key={column.name} class={column.words ? "words" : ""}>
                  {column.show(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

type Key = number | string | null | undefined;

/** Compare two keys; what has none comes last either way. */
function compared(a: Key, b: Key, down: boolean): number {
  if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
  if (b === null || b === undefined) return -1;
  const order = typeof a === "string" ? a.localeCompare(String(b)) : a - Number(b);
  return down ? -order : order;
}
