// The REST API with the token. The token comes in the fragment of the address, which no server
// sees, and is kept for this browser tab alone.
import { signal } from "@preact/signals";

const KEPT = "llamaburn-token";

/** An answer that refuses: its sentence, and the field that it is about. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly field: string | null = null,
  ) {
    super(message);
  }
}

/** Why the page has no access, or null. */
export const locked = signal<string | null>(null);
let token = "";

/** Take the token of an address or a text; return whether there is one. */
export function takeToken(text: string): boolean {
  const found = /#token=([^&\s]+)/.exec(text)?.[1] ?? text.trim();
  if (!/^[\w.~-]{16,}$/.test(found)) return false;
  token = found;
  sessionStorage.setItem(KEPT, token);
  locked.value = null;
  return true;
}

/** Take the token of this page's address, now or later, else the one that was kept. */
export function begin(): void {
  token = sessionStorage.getItem(KEPT) ?? "";
  takeFromAddress();
  window.addEventListener("hashchange", takeFromAddress);
  if (!token) locked.value = "This page has no token yet.";
}

function takeFromAddress(): void {
  if (location.hash.startsWith("#token=") && takeToken(location.hash)) location.replace("#/");
}

/** Send a request; raises Refused, or TypeError where the server cannot be reached. */
export async function request(path: string, options: RequestInit = {}): Promise<Response> {
  const headers = new Headers(options.headers);
  headers.set("Authorization", `Bearer ${token}`);
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401) locked.value = "The token of this page is no longer valid.";
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

async function refusal(answer: Response): Promise<Refused> {
  const said = await answer.json().catch(() => ({}));
  const sentence = typeof said.detail === "string" ? said.detail : `status ${answer.status}`;
  return new Refused(answer.status, sentence, said.field ?? null);
}

/** Return the answer to GET as JSON. */
export async function get<T>(path: string, cancel?: AbortSignal): Promise<T> {
  return (await request(path, cancel ? { signal: cancel } : {})).json() as Promise<T>;
}

/** Return the answer to a POST of JSON. */
export async function post<T>(path: string, body: unknown, cancel?: AbortSignal): Promise<T> {
  const answer = await request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    ...(cancel ? { signal: cancel } : {}),
  });
  return answer.json() as Promise<T>;
}

/** Send DELETE. */
export async function remove(path: string): Promise<void> {
  await request(path, { method: "DELETE" });
}

/** Have the browser save the answer to GET as a file. */
export async function save(path: string, name: string): Promise<void> {
  const url = URL.createObjectURL(await (await request(path)).blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Return what to say of an error. */
export function sentence(error: unknown): string {
  if (error instanceof Refused) return error.message;
  if (error instanceof TypeError) return "The server does not answer: llamaburn serve may have ended.";
  return String(error);
}
