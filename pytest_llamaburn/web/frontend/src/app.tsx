// The shell: the list of tabs, the job that runs, the tab that is shown, and the page without access.
import { useEffect } from "preact/hooks";
import { locked } from "./api";
import { Locked } from "./locked";
import { go, href, route } from "./routes";
import { connection } from "./store";
import { type Tab, tabs } from "./tabs";
import { Problem, Waiting } from "./ui/card";
import { JobBar } from "./ui/job-bar";
import { Tips } from "./ui/tip";

/** The whole page. */
export function App() {
  if (locked.value !== null) return <Locked why={locked.value} />;
  const all = tabs.value;
  const shown = all.find((tab) => tab.id === (route.value.tab || all[0]?.id));
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <header class="top">
        <h1 class="brand">LlamaBurn</h1>
        <TabList all={all} shown={shown} />
        <ConnectionState />
      </header>
      <JobBar />
      <main id="main" tabIndex={-1}>
        {shown ? <Shown key={shown.id} tab={shown} /> : <Unknown all={all} />}
      </main>
      <Tips />
    </>
  );
}

function skip(event: Event): void {
  event.preventDefault(); // the fragment of the address is the tab
  document.getElementById("main")?.focus();
}

/** The tabs; arrow keys go from one to the next. */
function TabList({ all, shown }: { all: Tab[]; shown: Tab | undefined }) {
  const key = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step === undefined || all.length === 0) return;
    event.preventDefault();
    const place = all.findIndex((tab) => tab.id === shown?.id);
    const next = Number.isFinite(step) ? (place + step + all.length) % all.length : step < 0 ? 0 : all.length - 1;
    go(all[next]!.id);
    document.getElementById(`tab-${all[next]!.id}`)?.focus();
  };
  return (
    <nav aria-label="Tabs">
      <div role="tablist" onKeyDown={key}>
        {all.map((tab) => (
          <a
            key={tab.id}
            id={`tab-${tab.id}`}
            role="tab"
            href={href(tab.id)}
            aria-selected={tab.id === shown?.id}
            aria-controls="panel"
            tabIndex={tab.id === (shown ?? all[0])?.id ? 0 : -1}
          >
            {tab.name}
          </a>
        ))}
      </div>
    </nav>
  );
}

function Shown({ tab }: { tab: Tab }) {
  useEffect(() => {
    document.title = `${tab.name} · LlamaBurn`;
    const item = document.getElementById(`tab-${tab.id}`); // the list may be wider than the page
    item?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [tab.id]);
  return (
    <div role="tabpanel" id="panel" class="stack" aria-labelledby={`tab-${tab.id}`}>
      <h1 class="unseen">{tab.name}</h1>
      <tab.Content kind={tab.id} />
    </div>
  );
}

function Unknown({ all }: { all: Tab[] }) {
  if (all.length === 0) return <Waiting />;
  return (
    <Problem>
      There is no tab “{route.value.tab}”. The tabs are: {all.map((tab) => tab.name).join(", ")}.
    </Problem>
  );
}

function ConnectionState() {
  const words = { connecting: "connecting …", live: "live", lost: "no connection; trying again" };
  return (
    <span class={`connection ${connection.value}`} role="status">
      {words[connection.value]}
    </span>
  );
}
