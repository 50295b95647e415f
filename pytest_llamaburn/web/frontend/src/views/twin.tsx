// The users of a twin: what a model of the server predicted beside what was measured, and the model.
import { capital, number, percent } from "../format";
import { Badge, Card, Figures, Sentences } from "../ui/card";
import { Table } from "../ui/table";
import { Value } from "../ui/value";
import type { Interval, Service, Twin } from "./document";
import { type Compared, comparedOf, usersOf, verdictOf } from "./predicted";

/** The load of the users, or why there is nothing to show of it. */
export function TwinCard({ of }: { of: Twin }) {
  const { tone, words, sentence } = verdictOf(of);
  return (
    <Card title="Users: prediction beside truth">
      <div class="stack">
        <p class="row">
          <Badge tone={tone}>{words}</Badge>
          <strong>{usersOf(of)}</strong>
          <span class="quiet">{number(of.requests)} requests</span>
        </p>
        {sentence && <p>{sentence}</p>}
        <Sentences of={(of.broken_assumptions ?? []).map(broken)} />
        <Table
          label="Prediction beside truth"
          rows={comparedOf(of)}
          keyOf={(row) => row.name}
          empty="Nothing was predicted."
          columns={[
            { name: "Of the users", words: true, show: (row) => <Label of={row} /> },
            { name: "Predicted", show: (row) => <Cell of={row.predicted} row={row} about="95 % of simulations" /> },
            { name: "95 %", show: (row) => <Ends of={row.predicted} row={row} /> },
            { name: "Measured", show: (row) => <Cell of={row.measured} row={row} /> },
            { name: "95 % measured", show: (row) => <Ends of={row.measured} row={row} /> },
            {
              name: "Difference",
              show: (row) =>
                row.difference === null ? (
                  <Value value={null} reason="One of both is not known, or 0 was predicted." />
                ) : (
                  `${row.difference < 0 ? "−" : "+"}${percent(Math.abs(row.difference))}`
                ),
            },
          ]}
        />
      </div>
    </Card>
  );
}

const broken = ({ assumption, sentence }: { assumption: string; sentence: string }) =>
  `Assumption that did not hold, ${assumption}: ${sentence}`;

function Label({ of: { label, unit } }: { of: Compared }) {
  return (
    <>
      {label} {unit !== "share" && <span class="unit">{unit}</span>}
    </>
  );
}

interface CellProps {
  of: Interval | undefined;
  row: Compared;
}

function Cell({ of, row, about }: CellProps & { about?: string }) {
  return (
    <Value
      value={of?.value}
      unit={row.unit}
      interval={of?.ci95}
      n={of?.n ?? undefined}
      note={about}
      bare
    />
  );
}

function Ends({ of, row }: CellProps) {
  if (!of?.ci95) return <Value value={null} reason="There are too few requests for an interval." />;
  const [low, high] = of.ci95.map((end) => (row.unit === "share" ? percent(end) : number(end)));
  return `${low} to ${high}`;
}

/** How the server works, as the levels showed it. */
export function ServiceCard({ of }: { of: Service }) {
  const { prefill, decode } = of;
  const wait = of.shares_processor ? "Prefill and decode share the processor." : "Prefill and decode do not wait for each other.";
  return (
    <Card title="Model of the server">
      <Figures
        of={[
          ["slots", <>{of.slots_known || "at least "}<Value value={of.slots} /></>],
          [
            "prefill",
            <Value value={prefill.tokens_per_sec} unit="tokens/s" reason="A prompt takes equally long at any length." note={prefill.reason ?? undefined} />,
          ],
          ["before each group of prompts", <Value value={prefill.fixed_ms.value} unit="ms" interval={prefill.fixed_ms.ci95} />],
          ...(decode ?? []).map(
            ({ batch, ms_per_token }): [string, preact.ComponentChildren] => [
              `token with ${batch} ${batch === 1 ? "answer" : "answers"} at once`,
              <Value
                value={ms_per_token.value}
                unit="ms"
                interval={ms_per_token.ci95}
                {...(ms_per_token.n === 0 && { mark: "~", note: "interpolated" })}
              />,
            ],
          ),
        ]}
      />
      <p class="quiet">{capital(of.stall_share === null ? "prompts were hardly read beside answers." : wait)}</p>
      <Sentences of={(of.broken_assumptions ?? []).map(broken)} />
    </Card>
  );
}
