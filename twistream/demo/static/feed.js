// A stream of events in a pane, and what people are to know of it: whether it is live, and
// where something is missing. The browser comes back by itself, after the last event that it
// has got; the server says in an event `gap` if it cannot go on from there.

import { Pane, addCopyButton, line } from "./pane.js";

const GAPS = {
  unknown: "The server was started again; what came in between may be missing.",
  trimmed: "This page was away for longer than the server remembers; some of what came is missing.",
  rewound: "The server has gone back to an earlier time; what came since may be missing.",
  dropped: "This page was too slow; some of what came is missing.",
};

export class Feed {
  #root;
  #status;
  #pane;
  #url;
  #read;
  #last;
  #kept;
  #others;
  #source = null;

  // `read` makes the parts of a line from the data of a message. `last` is the id of the event
  // to go on after, and `kept` is called with each that is to be known for that. `others` has
  // listeners for events of other names.
  constructor(root, { read, last = "", kept = () => {}, others = {} }) {
    this.#root = root;
    this.#status = root.querySelector("[role=status]");
    this.#pane = new Pane(root.querySelector(".messages"));
    this.#url = new URL(root.dataset.url, document.baseURI);
    this.#read = read;
    this.#last = last;
    this.#kept = kept;
    this.#others = others;
    if (last) this.#note(`Going on after ${last}.`);

    for (const code of root.querySelectorAll(".curl code")) {
      code.querySelector(".url").textContent = this.#url.href;
      addCopyButton(code);
    }
    root.querySelector(".again").addEventListener("click", () => this.#open());
    // A page that was left may be kept for the way back, and is not to listen there.
    addEventListener("pageshow", () => this.#open());
    addEventListener("pagehide", () => this.#source?.close());
  }

  #open() {
    const url = new URL(this.#url);
    if (this.#last) url.searchParams.set("last_event_id", this.#last);
    const source = new EventSource(url);
    this.#source = source;
    this.#show("connecting");
    source.onopen = () => this.#show("live");
    source.onerror = () => {
      this.#show(source.readyState === EventSource.CLOSED ? "ended" : "reconnecting");
    };
    source.onmessage = (event) => {
      this.#pane.add(line({ ...this.#read(JSON.parse(event.data)), id: event.lastEventId }));
      this.#keep(event.lastEventId);
    };
    source.addEventListener("gap", (event) => {
      this.#note(GAPS[JSON.parse(event.data).reason]);
      this.#keep(event.lastEventId);
    });
    for (const [name, listener] of Object.entries(this.#others)) {
      source.addEventListener(name, listener);
    }
  }

  #keep(id) {
    this.#last = id;
    this.#kept(id);
  }

  #note(text) {
    const item = line({ text });
    item.className = "note";
    this.#pane.add(item);
  }

  #show(state) {
    this.#root.dataset.state = state;
    this.#status.textContent = state;
  }
}
