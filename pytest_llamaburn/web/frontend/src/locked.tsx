// The page without a valid token: why, and how to get one.
import { useState } from "preact/hooks";
import { takeToken } from "./api";
import { Problem } from "./ui/card";

/** Say how to get the token, and take it. */
export function Locked({ why }: { why: string }) {
  const [text, setText] = useState("");
  const [refused, setRefused] = useState(false);
  const submit = (event: Event) => {
    event.preventDefault();
    setRefused(!takeToken(text));
  };
  return (
    <main class="locked">
      <h1>{why}</h1>
      <p>
        <code>llamaburn serve</code> makes a new token each time it starts. The first line that it
        prints is the address of this page with the token of today. Open that address, or paste it
        here:
      </p>
      <form onSubmit={submit}>
        <label>
          Address or token
          <input
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
            autocomplete="off"
            spellcheck={false}
          />
        </label>
        <button type="submit" class="primary">
          Open
        </button>
      </form>
      {refused && <Problem>This has no token: copy the whole line, with all that follows #token=.</Problem>}
      <p class="quiet">
        To keep one token over restarts, start the server with one of your own in the variable{" "}
        <code>LLAMABURN_TOKEN</code>.
      </p>
    </main>
  );
}
