// A run: a text that the server writes, whether this page reads it or not. A reloaded page receives
// all of it; a page that lost its connection, the messages after the last one that it has.

import { addCopyButton, messages } from "./pane.js";
import "./source.js";

const POLL = 300; // milliseconds between two looks at what this page misses
const ENOUGH = 3; // as many missed messages are worth a demonstration

const ENDS = ["done", "stopped", "failed", "lost"];

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const numberOf = (id) => Number(id.slice(id.lastIndexOf("-") + 1));

class Run {
  #root;
  #url;
  #source = null;
  #last = ""; // the id of the last message that this page has
  #end = ""; // how the run ended
  #dropped = null; // stands for the time in which this page is disconnected on purpose
  #replay = { from: 0, to: 0, texts: [] }; // the messages that the page missed

  constructor(root) {
    this.#root = root;
    this.#url = new URL(root.dataset.url, document.baseURI);
    for (const code of root.querySelectorAll(".curl code")) {
      code.querySelector(".url").textContent = this.#url.href;
      addCopyButton(code);
    }
    const actions = { reconnect: "open", stop: "stop", new: "restart", drop: "drop" };
    for (const [name, action] of Object.entries(actions)) {
      const button = this.#part(name);
      button.addEventListener("click", () => {
        if (button.ariaDisabled !== "true") this[action]();
      });
    }
    root.querySelector("fieldset").disabled = false; // the buttons need this script
    // The back/forward cache may keep the page. It must not stay connected there.
    addEventListener("pageshow", () => this.open());
    addEventListener("pagehide", () => this.close());
  }

  open() {
    this.close();
    const url = new URL(this.#url);
    if (this.#last) url.searchParams.set("last_event_id", this.#last);
    const source = new EventSource(url);
    this.#source = source;
    this.#show("connecting");
    source.onopen = () => this.#show("running");
    source.onerror = () => {
      // After the end, the browser reconnects once, and a 204 makes it stop.
      if (this.#end) this.#show(this.#end);
      else this.#show(source.readyState === EventSource.CLOSED ? "ended" : "reconnecting");
    };
    source.onmessage = (event) => this.#add(event.data, event.lastEventId);
    source.addEventListener("gap", () => this.#clear()); // a new text, or a new server
    source.addEventListener("end", (event) => {
      this.#last = event.lastEventId;
      this.#end = JSON.parse(event.data).state;
      this.#show(this.#end);
    });
  }

  close() {
    this.#source?.close();
    this.#dropped = null;
  }

  async stop() {
    await this.#order("stop");
  }

  async restart() {
    this.close();
    if (await this.#order("new")) this.#clear();
    this.open();
  }

  // Disconnects until the page has missed a few messages, or the run has ended, and reconnects.
  async drop() {
    this.close();
    const dropped = {};
    this.#dropped = dropped;
    this.#show("disconnected");
    this.#part("replay").textContent = "";
    this.#miss(0);
    const from = numberOf(this.#last);
    let missed = 0;
    let running = true;
    while (running && missed < ENOUGH) {
      await pause(POLL);
      const state = await this.#ask();
      if (this.#dropped !== dropped) return;
      running = state?.state === "running";
      const ended = ENDS.includes(state?.state); // the end is a message, too, but has no text
      missed = Math.max(missed, (state?.published ?? 0) - Number(ended) - from);
      this.#miss(missed);
    }
    this.#replay = { from, to: from + missed, texts: [] };
    this.open();
  }

  async #ask() {
    const headers = { Accept: "application/json" };
    const response = await fetch(this.#url, { cache: "no-store", headers }).catch(() => null);
    return response?.ok ? response.json().catch(() => null) : null;
  }

  async #order(word) {
    const reason = this.#part("reason");
    reason.textContent = "";
    const headers = { Accept: "text/plain", "Content-Type": "text/plain" };
    const options = { method: "POST", body: word, headers };
    const response = await fetch(this.#url, options).catch(() => null);
    if (!response) reason.textContent = "The server cannot be reached.";
    else if (!response.ok) reason.textContent = (await response.text().catch(() => "")).trim();
    return response?.ok;
  }

  #add(text, id) {
    this.#last = id;
    const { from, to, texts } = this.#replay;
    const number = numberOf(id);
    const isReplay = from < number && number <= to;
    const piece = document.createElement(isReplay ? "mark" : "span");
    piece.textContent = text;
    const paper = this.#part("paper");
    const missing = paper.querySelector(".missing");
    if (missing) missing.replaceWith(piece);
    else paper.append(piece);
    this.#part("tally").textContent = messages(number);
    if (!isReplay) return;
    texts.push(text);
    if (number === to) {
      this.#part("gap").hidden = true;
      const what = `${messages(texts.length)} that fell into the gap`;
      this.#part("replay").textContent = `The server replayed ${what}: “${texts.join("").trim()}”`;
    }
  }

  // Shows how many messages the page does not have.
  #miss(count) {
    const paper = this.#part("paper");
    while (paper.querySelectorAll(".missing").length < count) {
      const place = document.createElement("span");
      place.className = "missing";
      paper.append(place, " ");
    }
    const gap = this.#part("gap");
    gap.textContent = `Disconnected. ${messages(count)} fell into the gap.`;
    gap.hidden = false;
  }

  #clear() {
    this.#last = "";
    this.#end = "";
    this.#replay = { from: 0, to: 0, texts: [] };
    this.#part("paper").replaceChildren();
    this.#part("tally").textContent = "";
    this.#part("replay").textContent = "";
    this.#part("gap").hidden = true;
  }

  #show(state) {
    this.#root.dataset.state = state;
    this.#root.querySelector("[role=status]").textContent = state;
    // A button that is disabled would lose the focus.
    for (const name of ["stop", "drop"]) this.#part(name).ariaDisabled = String(state !== "running");
  }

  #part(name) {
    return this.#root.querySelector(`.${name}`);
  }
}

new Run(document.querySelector(".run"));
