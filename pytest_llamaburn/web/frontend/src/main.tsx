// Begins the page.
import { render } from "preact";
import { begin } from "./api";
import { App } from "./app";
import { start } from "./store";

begin();
start();
render(<App />, document.body);
