// What the tab of results asks of the server.
import { post, remove, request, Refused } from "../api";
import type { Reference } from "../types";

/** A type of results, as the server lists it. */
export interface Folder {
  type: string;
  kind: string;
  total: number;
  compared: boolean;
}

/** A result file; what is in `results` depends on the kind. */
export interface Document {
  schema: string;
  run_id: string;
  status: string;
  timestamp: string;
  model?: { id: string; name: string } | null;
  server?: { kind: string; version: string | null; host: string } | null;
  config?: Record<string, unknown>;
  environment?: Record<string, unknown>;
  results: Record<string, unknown>;
  insights?: { id: string; text: string }[];
}

export interface Compared {
  result: Reference;
  passed: boolean;
  document: Document;
}

/** The formats that the page offers, and what their files end with. */
export const FORMATS: Record<string, string> = {
  csv: "csv",
  json: "json",
  html: "html",
  markdown: "md",
};

export const MOST_BYTES = 20_000_000; // of a file that is looked at; the server's limit as well

export const pathOf = ({ type, id }: Reference): string =>
  `/results/${encodeURIComponent(type)}/${encodeURIComponent(id)}`;

export const kindOf = (document: Document): string => document.schema.replace(/^llamaburn\//, "");

/** Move results to the trash; return those that were moved, and why the first other was not. */
export async function removeAll(results: Reference[]): Promise<[Reference[], unknown]> {
  const moved: Reference[] = [];
  for (const result of results) {
    try {
      await remove(pathOf(result));
      moved.push(result);
    } catch (error) {
      return [moved, error];
    }
  }
  return [moved, null];
}

/** Move results back to their places. */
export async function restoreAll(results: Reference[]): Promise<void> {
  for (const result of results) await post(`${pathOf(result)}/restore`, {});
}

/** Return the content of a file that is no result of this server; raises Refused. */
export async function look(file: File): Promise<Document> {
  if (file.size > MOST_BYTES) {
    const size = `${(file.size / 1e6).toFixed(0)} MB`;
    throw new Refused(413, `${file.name} has ${size}: at most ${MOST_BYTES / 1e6} MB are read here.`);
  }
  const headers = { "Content-Type": "application/json" };
  const answer = await request("/results/look", { method: "POST", headers, body: file });
  return answer.json() as Promise<Document>;
}
