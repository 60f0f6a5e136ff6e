// Reads each stream of the page as it arrives. Messages are shown as text, never as markup.
// A response that was aborted is shown as failed.

import { Pane, addCopyButton, line, messages } from "./pane.js";
import "./source.js";

const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;

// Splits text that arrives in pieces into messages at the separators.
class Splitter {
  #separator;
  #rest = "";

  constructor(separator) {
    this.#separator = separator;
  }

  feed(text) {
    const parts = (this.#rest + text).split(this.#separator);
    this.#rest = parts.pop();
    return parts;
  }

  finish() {
    return this.#rest ? [this.#rest] : [];
  }
}

class Stream {
  #root;
  #button;
  #input;
  #status;
  #tally;
  #reason;
  #pane;
  #code;
  #run = null; // the current request

  constructor(root) {
    this.#root = root;
    this.#button = root.querySelector("button");
    this.#input = root.querySelector("input");
    this.#status = root.querySelector("[role=status]");
    this.#tally = root.querySelector(".tally");
    this.#reason = root.querySelector("[role=alert]");
    this.#pane = new Pane(root.querySelector(".messages"));
    this.#code = root.querySelector(".curl code");

    // Without this script, the form opens the stream. With it, the button starts and stops
    // the stream, and Enter in the field restarts it at the new interval.
    this.#button.type = "button";
    this.#button.addEventListener("click", () => (this.#run ? this.stop() : this.start()));
    root.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.start();
    });
    this.#input.addEventListener("input", () => this.#showCommand());
    addCopyButton(this.#code);
    this.#showCommand();
    this.#show("idle", "not started");
  }

  async start() {
    this.stop();
    const run = { abort: new AbortController(), started: performance.now(), count: 0 };
    this.#run = run;
    this.#pane.clear();
    this.#tally.textContent = "";
    this.#reason.textContent = "";
    this.#label("Stop");
    this.#show("waiting", "waiting for the server");
    try {
      await this.#read(run);
      this.#end(run, "complete", "complete");
    } catch (error) {
      this.#end(run, "failed", "failed", error.message); // does nothing after stop()
    }
  }

  stop() {
    if (!this.#run) return;
    this.#run.abort.abort();
    this.#end(this.#run, "stopped", "stopped by you");
  }

  async #read(run) {
    const response = await fetch(this.#url(), {
      cache: "no-store",
      headers: { Accept: "text/plain, */*;q=0.5" },
      signal: run.abort.signal,
    }).catch(() => {
      throw new Error("The server cannot be reached.");
    });
    if (!response.ok) throw new Error((await response.text()).trim());

    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const splitter = new Splitter(this.#root.dataset.separator);
    for (;;) {
      const { done, value } = await reader.read().catch(() => {
        this.#add(run, splitter.finish());
        throw new Error("The response was cut off before its end.");
      });
      // A character may be split between two chunks; the decoder keeps the first part.
      this.#add(run, splitter.feed(decoder.decode(value, { stream: !done })));
      if (done) break;
    }
    this.#add(run, splitter.finish());
  }

  #add(run, texts) {
    if (run !== this.#run || !texts.length) return;
    if (!run.count) this.#show("streaming", "streaming");
    run.count += texts.length;
    const arrived = `+${seconds(performance.now() - run.started)}`;
    this.#pane.add(...texts.map((text) => line({ arrived, text })));
    this.#tally.textContent = messages(run.count);
  }

  #end(run, state, words, reason = "") {
    if (run !== this.#run) return;
    this.#run = null;
    this.#label("Start");
    this.#show(state, words);
    if (run.count) {
      const time = seconds(performance.now() - run.started);
      this.#tally.textContent = `${messages(run.count)} in ${time}`;
    }
    this.#reason.textContent = reason;
  }

  #show(state, words) {
    this.#root.dataset.state = state;
    this.#status.textContent = words;
  }

  #label(word) {
    this.#button.firstChild.data = word;
  }

  // The server validates the interval, so the field is sent as it is.
  #url() {
    const form = this.#root.querySelector("form");
    const url = new URL(form.getAttribute("action"), document.baseURI);
    if (this.#input.value !== this.#input.defaultValue) {
      url.searchParams.set("interval", this.#input.value);
    }
    return url.href;
  }

  #showCommand() {
    const url = this.#url();
    this.#code.textContent = `curl -N ${/[^\w.:/-]/.test(url) ? `'${url}'` : url}`;
  }
}

for (const root of document.querySelectorAll(".stream")) {
  const stream = new Stream(root);
  if ("autostart" in root.dataset) stream.start();
}
