// The list of results: which are shown, which are selected, and what is done with those.
import { useEffect, useState } from "preact/hooks";
import { get, post, save, sentence } from "../api";
import { bytes, number, UNKNOWN, when } from "../format";
import { go, href } from "../routes";
import { jobs, loadMeasures } from "../store";
import type { Page, Reference, Row } from "../types";
import { Badge, Card, Problem, type Tone, Waiting } from "../ui/card";
import { type Column, Table } from "../ui/table";
import { Tip } from "../ui/tip";
import { fullLabelOf, measureUnit } from "../views/measure";
import { type Compared, type Folder, FORMATS, pathOf, removeAll, restoreAll } from "./api";
import { TrendButton } from "./trend";

const LIMIT = 50;
const STATUSES = ["complete", "partial", "interrupted", "failed", "unreadable"];
const PAUSE_MS = 300; // after a key, before the server is asked

interface Filter {
  model: string;
  status: string;
  since: string;
  until: string;
  sort: string;
  offset: number;
}

const ALL: Filter = { model: "", status: "", since: "", until: "", sort: "-time", offset: 0 };

/** The results of one type. */
export function ResultList({ folder }: { folder: Folder }) {
  const [filter, setFilter] = useState(ALL);
  const [chosen, setChosen] = useState<string[]>([]);
  const [removed, setRemoved] = useState<Reference[]>([]);
  const { page, problem, again } = usePage(folder.type, filter);
  useEffect(loadMeasures, []);
  const change = (changed: Partial<Filter>) => setFilter({ ...filter, offset: 0, ...changed });
  const selected = chosen.map((id) => ({ type: folder.type, id }));
  const afterRemoval = (moved: Reference[]) => {
    setRemoved(moved);
    setChosen(chosen.filter((id) => !moved.some((one) => one.id === id)));
    again();
  };
  return (
    <>
      <Filters filter={filter} rows={page?.rows ?? []} change={change} />
      <Removed of={removed} restored={() => (setRemoved([]), again())} />
      {problem && <Problem>{problem}</Problem>}
      <TrendButton folder={folder} rows={page?.rows ?? []} narrowed={filter.model !== ""} since={filter.since} />
      <Selection folder={folder} selected={selected} clear={() => setChosen([])} removed={afterRemoval} />
      {page ? (
        <>
          <Rows page={page} filter={filter} chosen={chosen} choose={setChosen} />
          <Pager page={page} filter={filter} to={(offset) => setFilter({ ...filter, offset })} />
        </>
      ) : (
        !problem && <Waiting />
      )}
    </>
  );
}

/** Read a page of results whenever the filter changes or a job ends. */
function usePage(type: string, filter: Filter) {
  const [page, setPage] = useState<Page | null>(null);
  const [problem, setProblem] = useState("");
  const [count, setCount] = useState(0);
  const over = jobs.value.filter((job) => job.ended).length;
  useEffect(() => {
    const cancel = new AbortController();
    const ask = () =>
      get<Page>(`/results/${type}?${queryOf(filter)}`, cancel.signal).then(
        (found) => {
          setPage(found);
          setProblem("");
          if (found.unread > 0) setCount((known) => known + 1);
        },
        (error) => !cancel.signal.aborted && setProblem(sentence(error)),
      );
    const timer = setTimeout(ask, page ? PAUSE_MS : 0);
    return () => {
      cancel.abort();
      clearTimeout(timer);
    };
  }, [type, JSON.stringify(filter), count, over]);
  return { page, problem, again: () => setCount(count + 1) };
}

function queryOf({ model, status, since, until, sort, offset }: Filter): URLSearchParams {
  const dayAfter = until && new Date(Date.parse(until) + 86_400_000).toISOString().slice(0, 10);
  const given = { model, status, since, until: dayAfter, sort };
  const known = Object.entries(given).filter(([, value]) => value);
  return new URLSearchParams([...known, ["offset", String(offset)], ["limit", String(LIMIT)]]);
}

interface FiltersProps {
  filter: Filter;
  rows: Row[];
  change: (changed: Partial<Filter>) => void;
}

function Filters({ filter, rows, change }: FiltersProps) {
  const measures = [...new Set(rows.flatMap((row) => Object.keys(row.measures)))].sort();
  const set = (name: keyof Filter) => (event: { currentTarget: { value: string } }) =>
    change({ [name]: event.currentTarget.value });
  return (
    <form class="fields result-filters" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
      <label>
        Model
        <input type="search" value={filter.model} placeholder="part of the name" onInput={set("model")} />
      </label>
      <label>
        Status
        <select value={filter.status} onChange={set("status")}>
          <option value="">all</option>
          {STATUSES.map((status) => (
            <option key={status}>{status}</option>
          ))}
        </select>
      </label>
      <label>
        From
        <input type="date" value={filter.since} onChange={set("since")} />
      </label>
      <label>
        To
        <input type="date" value={filter.until} onChange={set("until")} />
      </label>
      <label>
        Order
        <select value={filter.sort} onChange={set("sort")}>
          <option value="-time">newest first</option>
          <option value="time">oldest first</option>
          <option value="model">model, A to Z</option>
          <option value="status">status</option>
          {measures.flatMap((name) => [
            <option key={`-${name}`} value={`-${name}`}>{`${fullLabelOf(name)}: highest first`}</option>,
            <option key={name} value={name}>{`${fullLabelOf(name)}: lowest first`}</option>,
          ])}
        </select>
      </label>
    </form>
  );
}

interface RowsProps {
  page: Page;
  filter: Filter;
  chosen: string[];
  choose: (ids: string[]) => void;
}

function Rows({ page, filter, chosen, choose }: RowsProps) {
  const measures = [...new Set(page.rows.flatMap((row) => Object.keys(row.measures)))];
  const turn = (id: string) =>
    choose(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id]);
  const columns: Column<Row>[] = [
    {
      name: "Select",
      words: true,
      show: (row) => (
        <input
          type="checkbox"
          aria-label={`Select ${row.id}`}
          checked={chosen.includes(row.id)}
          onChange={() => turn(row.id)}
        />
      ),
    },
    { name: "Result", words: true, show: (row) => <NameOf row={row} /> },
    { name: "Status", words: true, show: (row) => <StatusOf row={row} /> },
    { name: "Time", words: true, show: (row) => <span class="number">{when(row.time)}</span> },
    { name: "Requests", show: (row) => <RequestsOf row={row} /> },
    ...measures.map((name) => ({
      name: fullLabelOf(name),
      unit: measureUnit(name.split(".")[0]!) || undefined,
      show: (row: Row) => number(row.measures[name]),
    })),
    { name: "Size", show: (row) => bytes(row.size_bytes) },
  ];
  return (
    <Table
      label="Results"
      columns={columns}
      rows={page.rows}
      keyOf={(row) => row.id}
      empty={emptyList(page, filter)}
    />
  );
}

function emptyList(page: Page, { model, status, since, until }: Filter): string {
  if (page.unread > 0) return "The files are still being read …";
  if (model || status || since || until) return "No result matches these filters.";
  return "There are no results of this type yet. A run writes one when it ends.";
}

function NameOf({ row }: { row: Row }) {
  const name = row.models.join(", ") || row.id;
  return (
    <>
      <a href={href("results", row.type, row.id)}>{name}</a>
      {name !== row.id && <span class="unit">{row.id}</span>}
    </>
  );
}

const TONES: Record<string, Tone> = {
  complete: "good",
  partial: "warn",
  interrupted: "warn",
  failed: "bad",
  unreadable: "bad",
};

/** The status of a result; why it cannot be read is told on demand. */
export function StatusOf({ row }: { row: { status: string; reason?: string | null } }) {
  const badge = <Badge tone={TONES[row.status] ?? "plain"}>{row.status}</Badge>;
  return row.reason ? <Tip text={row.reason}>{badge}</Tip> : badge;
}

function RequestsOf({ row: { requests } }: { row: Row }) {
  if (!requests) return <>{UNKNOWN}</>;
  return <>{`${number(requests.succeeded)} of ${number(requests.planned)}`}</>;
}

function Pager({ page, filter, to }: { page: Page; filter: Filter; to: (offset: number) => void }) {
  const last = Math.min(filter.offset + LIMIT, page.total);
  return (
    <nav class="pager" aria-label="Pages">
      <span class="quiet" role="status">
        {page.total === 0 ? "0 results" : `${filter.offset + 1} to ${last} of ${number(page.total)}`}
        {page.unread > 0 && `; ${number(page.unread)} more files are still being read`}
      </span>
      <button
        type="button"
        disabled={filter.offset === 0}
        onClick={() => to(Math.max(0, filter.offset - LIMIT))}
      >
        Previous
      </button>
      <button type="button" disabled={last >= page.total} onClick={() => to(filter.offset + LIMIT)}>
        Next
      </button>
    </nav>
  );
}

interface SelectionProps {
  folder: Folder;
  selected: Reference[];
  clear: () => void;
  removed: (moved: Reference[]) => void;
}

/** What can be done with the selected results. */
function Selection({ folder, selected, clear, removed }: SelectionProps) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  if (selected.length === 0) return null;
  const doing = async (what: () => Promise<void>) => {
    setBusy(true);
    setProblem("");
    await what().catch((error) => setProblem(sentence(error)));
    setBusy(false);
  };
  const compare = async () => {
    const body = { type: folder.type, ids: selected.map((one) => one.id) };
    const { result } = await post<Compared>("/compare", body);
    go("results", result.type, result.id);
  };
  const removeThem = async () => {
    const [moved, error] = await removeAll(selected);
    if (moved.length > 0) removed(moved);
    if (error) throw error;
  };
  return (
    <Card
      title={`${selected.length} selected`}
      actions={
        <>
          {folder.compared && (
            <button
              type="button"
              class="primary"
              disabled={busy || selected.length < 2}
              onClick={() => void doing(compare)}
            >
              Compare
            </button>
          )}
          <ExportButtons results={selected} doing={doing} busy={busy} />
          <button type="button" class="stop" disabled={busy} onClick={() => void doing(removeThem)}>
            Delete
          </button>
          <button type="button" onClick={clear}>
            Select none
          </button>
        </>
      }
    >
      {folder.compared && (
        <p class="quiet">
          {selected.length < 2
            ? "Select another result to compare the two."
            : `The others are compared with the first that you selected: ${selected[0]!.id}`}
        </p>
      )}
      {problem && <Problem>{problem}</Problem>}
    </Card>
  );
}

interface ExportProps {
  results: Reference[];
  doing: (what: () => Promise<void>) => Promise<void>;
  busy?: boolean;
}

/** A button for each format; each result becomes a file. */
export function ExportButtons({ results, doing, busy = false }: ExportProps) {
  const exporting = (format: string, suffix: string) => async () => {
    for (const one of results) await save(`${pathOf(one)}?format=${format}`, `${one.id}.${suffix}`);
  };
  return (
    <div class="actions" role="group" aria-label="Export">
      <span class="quiet">Export</span>
      {Object.entries(FORMATS).map(([format, suffix]) => (
        <button
          key={format}
          type="button"
          class="small"
          disabled={busy}
          aria-label={`Export as ${format === "markdown" ? "Markdown" : format.toUpperCase()}`}
          onClick={() => void doing(exporting(format, suffix))}
        >
          {format === "markdown" ? "Markdown" : format.toUpperCase()}
        </button>
      ))}
    </div>
  );
}

/** That results were deleted, and the way back. */
export function Removed({ of, restored }: { of: Reference[]; restored: () => void }) {
  const [problem, setProblem] = useState("");
  if (of.length === 0) return null;
  const what = of.length === 1 ? of[0]!.id : `${of.length} results`;
  const undo = () => restoreAll(of).then(restored, (error) => setProblem(sentence(error)));
  return (
    <div class="removed" role="status">
      <span>Deleted: {what}</span>
      <button type="button" onClick={undo}>
        Undo
      </button>
      {problem && <Problem>{problem}</Problem>}
    </div>
  );
}
