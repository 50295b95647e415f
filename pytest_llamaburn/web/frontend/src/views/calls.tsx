// The calls of tools of an answer beside the expected ones. All of it is text of a model or a set.
import { Badge } from "../ui/card";
import { type Calls, written } from "./tool-calls";
import type { ToolCall } from "./document";

/** Show what was called and what should have been called. */
export function CallsOf({ of: { made, expected, missing } }: { of: Calls }) {
  return (
    <div class="columns">
      <div>
        <h3>Its calls</h3>
        {made.length === 0 && <p class="quiet">No tool was called.</p>}
        <ul class="calls">
          {made.map(({ call, fault }, place) => (
            <Call key={place} call={call}>
              <Badge tone={fault ? "bad" : "good"}>{fault || "right"}</Badge>
            </Call>
          ))}
        </ul>
      </div>
      <div>
        <h3>Expected calls</h3>
        {expected.length === 0 && <p class="quiet">No call is due.</p>}
        <ul class="calls">
          {expected.map((call, place) => (
            <Call key={place} call={call}>
              {missing.includes(call) && <Badge tone="bad">missing</Badge>}
            </Call>
          ))}
        </ul>
      </div>
    </div>
  );
}

function Call({ call, children }: { call: ToolCall; children: preact.ComponentChildren }) {
  return (
    <li>
      <code>{written(call)}</code> {children}
    </li>
  );
}
