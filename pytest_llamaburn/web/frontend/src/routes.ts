// The address of what is shown: #/results/benchmarks/ID is the tab `results` and two parts.
import { signal } from "@preact/signals";

export interface Route {
  tab: string;
  parts: string[];
  query: URLSearchParams;
}

export const route = signal<Route>(read());

function read(): Route {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [tab = "", ...parts] = path.split("/").map(decoded);
  return { tab, parts: parts.filter(Boolean), query: new URLSearchParams(query) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Return the address of a tab and its parts. */
export function href(tab: string, ...parts: string[]): string {
  return `#/${[tab, ...parts].map(encodeURIComponent).join("/")}`;
}

/** Show a tab. */
export function go(tab: string, ...parts: string[]): void {
  location.hash = href(tab, ...parts);
}

window.addEventListener("hashchange", () => {
  route.value = read();
});
