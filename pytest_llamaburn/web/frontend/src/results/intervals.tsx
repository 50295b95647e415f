// Changes on one scale: each a point with its interval, around the line of no change.
import { type Change, signed } from "./changes";
import { nameOf, toneOf } from "./comparison";
import { Badge } from "../ui/card";

const MOST_PERCENT = 100; // what changed more is drawn at the end of the scale

/** The changes of each unit on a scale of their own; those without a number have no line. */
export function Intervals({ of }: { of: Change[] }) {
  const known = of.filter((one) => one.change !== null);
  if (known.length === 0) return <p class="quiet">No change could be measured.</p>;
  const units = [...new Set(known.map((one) => one.changeUnit))];
  return (
    <>
      {units.map((unit) => (
        <Scale key={unit} unit={unit} of={known.filter((one) => one.changeUnit === unit)} />
      ))}
    </>
  );
}

function Scale({ unit, of }: { unit: string; of: Change[] }) {
  const ends = of.flatMap((one) => [one.change ?? 0, ...(one.interval ?? [])]);
  const largest = Math.max(...ends.map(Math.abs)) || 1;
  const most = unit === "%" ? Math.min(largest, MOST_PERCENT) : largest;
  const place = (value: number) => 50 + (Math.max(-most, Math.min(value, most)) / most) * 48;
  const several = new Set(of.map((one) => one.file)).size > 1;
  return (
    <figure class="intervals" aria-label={`Changes in ${unit}`}>
      <ul>
        {of.map((one) => (
          <li key={`${one.file} ${nameOf(one)}`} class={toneOf(one.verdict)}>
            <span class="name">{several ? `${one.file}: ${nameOf(one)}` : nameOf(one)}</span>
            <Line change={one} place={place} />
            <span class="number">{signed(one.change ?? 0, unit)}</span>
            <Badge tone={toneOf(one.verdict)}>{one.verdict}</Badge>
          </li>
        ))}
      </ul>
      <figcaption class="axis" aria-hidden="true">
        <span>
          {signed(-most, unit)}
          {largest > most && " or less"}
        </span>
        <span>no change</span>
        <span>
          {signed(most, unit)}
          {largest > most && " or more"}
        </span>
      </figcaption>
    </figure>
  );
}

interface LineProps {
  change: Change;
  place: (value: number) => number;
}

function Line({ change: { change, interval, changeUnit }, place }: LineProps) {
  const [low, high] = interval ?? [null, null];
  const spoken = interval && `interval ${signed(interval[0], changeUnit)} to ${signed(interval[1], changeUnit)}`;
  return (
    <svg role="img" aria-label={spoken ?? "no interval"} width="100%" height="20">
      <line class="none" x1="50%" x2="50%" y1="0" y2="20" />
      {low !== null && high !== null && (
        <>
          <line class="range" x1={`${place(low)}%`} x2={`${place(high)}%`} y1="10" y2="10" />
          <line class="range" x1={`${place(low)}%`} x2={`${place(low)}%`} y1="5" y2="15" />
          <line class="range" x1={`${place(high)}%`} x2={`${place(high)}%`} y1="5" y2="15" />
        </>
      )}
      <circle cx={`${place(change ?? 0)}%`} cy="10" r="4.5" />
    </svg>
  );
}
