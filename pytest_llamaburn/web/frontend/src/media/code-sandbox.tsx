// Code that a model wrote is tried here, in its sandbox.
import { useState } from "preact/hooks";
import { type Example, EXAMPLES } from "../sandbox/examples";
import { type Language, onServer } from "../sandbox/code-blocks";
import { Card } from "../ui/card";
import { LIMITS, NAMES, RunButtons, RunOutput, useRun } from "../ui/run-code";

/** An editor for code, and what comes of it. */
export function CodeSandbox() {
  const [{ language, code }, setBlock] = useState<Example>(EXAMPLES[0]!);
  const run = useRun();
  const block = { language, code };
  const edit = (changed: Partial<Example>) => setBlock({ name: "", language, code, ...changed });
  const choose = (name: string) => {
    const found = EXAMPLES.find((one) => one.name === name);
    if (found) setBlock(found);
  };
  return (
    <Card title="Generated code" actions={<RunButtons run={run} block={block} label="the code" />}>
      <div class="fields">
        <label>
          Language
          <select
            value={language}
            onChange={(event) => edit({ language: event.currentTarget.value as Language })}
          >
            {Object.entries(NAMES).map(([id, name]) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label>
          Example
          <select onChange={(event) => choose(event.currentTarget.value)}>
            {EXAMPLES.map(({ name }) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
      <div class="sandbox">
        <label class="editor">
          Code
          <textarea
            rows={18}
            value={code}
            spellcheck={false}
            autocomplete="off"
            autocapitalize="off"
            onInput={(event) => edit({ code: event.currentTarget.value })}
          />
        </label>
        <div>
          {run.state === "idle" && <p class="quiet">Run the code to see what it draws and prints.</p>}
          <RunOutput run={run} />
        </div>
      </div>
      <p class="quiet">{onServer(language) ? LIMITS.server : LIMITS.frame}</p>
    </Card>
  );
}
