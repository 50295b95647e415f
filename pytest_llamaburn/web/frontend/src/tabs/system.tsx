// This machine: gauges and traces of ten minutes, models in memory, sensors, and the doctor.
import { useEffect, useState } from "preact/hooks";
import { get, sentence } from "../api";
import { number, UNKNOWN, withUnit } from "../format";
import { active, loadSamples, samples } from "../store";
import { Badge, Card, Figures, Problem, type Tone, Waiting } from "../ui/card";
import { Table } from "../ui/table";
import { Tip } from "../ui/tip";
import { Gauges } from "../system/gauges";
import { Traces } from "../system/traces";
import type { Check, Loaded, Probe, Status } from "../system/types";

/** The tab. */
export default function System() {
  const status = useAsked<Status>("/system/status");
  const doctor = useAsked<Check[]>("/system/doctor");
  const reasons = status.data?.null_reasons ?? {};
  useEffect(() => void loadSamples(), []);
  return (
    <>
      <Card title="Now">
        <Gauges sample={samples.value.at(-1)} reasons={reasons} />
      </Card>
      <Card title="The last ten minutes">
        <Traces of={samples.value} />
      </Card>
      <Card title="Models in memory" actions={<AskButton asked={status} what="the server" />}>
        <Answer asked={status}>{(found) => <Models status={found} />}</Answer>
      </Card>
      <Card title="Sensors">
        <Answer asked={status}>{(found) => <Sensors of={found.probes} />}</Answer>
      </Card>
      <Card title="Doctor" actions={<AskButton asked={doctor} what="the doctor" />}>
        <Answer asked={doctor}>{(checks) => <Doctor checks={checks} />}</Answer>
      </Card>
    </>
  );
}

/** An answer that costs the machine some work: while a job runs it is only asked on demand. */
interface Asked<T> {
  data: T | null;
  problem: string;
  waits: boolean;
  ask: () => void;
}

function useAsked<T>(path: string): Asked<T> {
  const [data, setData] = useState<T | null>(null);
  const [problem, setProblem] = useState("");
  const [waits, setWaits] = useState(false);
  const ask = () => {
    setWaits(true);
    get<T>(path)
      .then(
        (found) => (setData(found), setProblem("")),
        (error) => setProblem(sentence(error)),
      )
      .finally(() => setWaits(false));
  };
  useEffect(() => {
    if (!active.value) ask();
  }, [path]);
  return { data, problem, waits, ask };
}

function AskButton({ asked, what }: { asked: Asked<unknown>; what: string }) {
  const word = asked.data ? "Ask again" : "Ask now";
  return (
    <button type="button" disabled={asked.waits} aria-label={`${word}: ${what}`} onClick={asked.ask}>
      {word}
    </button>
  );
}

interface AnswerProps<T> {
  asked: Asked<T>;
  children: (data: T) => preact.ComponentChildren;
}

function Answer<T>({ asked, children }: AnswerProps<T>) {
  if (asked.problem) return <Problem>{asked.problem}</Problem>;
  if (asked.data) return <>{children(asked.data)}</>;
  if (asked.waits) return <Waiting>Asking …</Waiting>;
  return <p class="quiet">Not asked while a job runs, because that would disturb it.</p>;
}

function Models({ status }: { status: Status }) {
  const { server, loaded, null_reasons: reasons } = status;
  const columns = [
    { name: "Model", words: true, show: (model: Loaded) => model.name },
    { name: "Size", unit: "MB", show: (model: Loaded) => number(model.size_mb) },
    {
      name: "On the GPU",
      show: (model: Loaded) =>
        model.gpu_share === null ? (
          <Tip text="The server does not say it.">{UNKNOWN}</Tip>
        ) : (
          withUnit(Math.round(model.gpu_share * 100), "%")
        ),
    },
    { name: "Context", unit: "tokens", show: (model: Loaded) => number(model.context_length) },
  ];
  return (
    <>
      {server ? (
        <Figures of={[["Server", `${server.kind} ${server.version ?? ""}`], ["Address", server.host]]} />
      ) : (
        <p class="quiet">{reasons.server}</p>
      )}
      {server && loaded === null && <p class="quiet">{reasons.loaded}</p>}
      {loaded && (
        <Table
          label="Models in memory"
          columns={columns}
          rows={loaded}
          keyOf={(model) => model.name}
          empty="No model is in memory."
        />
      )}
    </>
  );
}

function Sensors({ of }: { of: Probe[] }) {
  const columns = [
    { name: "Sensor", words: true, show: (probe: Probe) => probe.name },
    {
      name: "State",
      words: true,
      show: (probe: Probe) => (
        <Badge tone={probe.ok ? "good" : "plain"}>{probe.ok ? "is read" : "not there"}</Badge>
      ),
    },
    { name: "Why", words: true, show: (probe: Probe) => probe.message },
  ];
  return <Table label="Sensors" columns={columns} rows={of} keyOf={(probe) => probe.name} />;
}

const TONES: Record<string, Tone> = { ok: "good", warn: "warn", fail: "bad" };
const ORDER = ["fail", "warn", "ok"];

function Doctor({ checks }: { checks: Check[] }) {
  const sorted = [...checks].sort((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level));
  const columns = [
    {
      name: "Level",
      words: true,
      show: (check: Check) => <Badge tone={TONES[check.level] ?? "plain"}>{check.level}</Badge>,
    },
    { name: "Check", words: true, show: (check: Check) => <code>{check.id}</code> },
    { name: "Finding", words: true, show: (check: Check) => check.finding },
    { name: "What to do", words: true, show: (check: Check) => check.fix },
  ];
  return <Table label="Doctor" columns={columns} rows={sorted} keyOf={(check) => check.id} />;
}
