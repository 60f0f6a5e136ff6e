// A stream of events in a pane, with its status. The browser reconnects by itself and resumes
// after the last event it received. If the server cannot resume there, it sends a `gap` event.

import { Pane, addCopyButton, line, part } from "./pane.js";

const GAPS = {
  unknown: "The server was restarted. Messages from before may be missing.",
  trimmed: "This page was offline for too long. Some messages are missing.",
  rewound: "The server lost recent messages. Some may be missing.",
  dropped: "This page was too slow. Some messages were dropped.",
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
  #opened;
  #complete;
  #query;
  #source = null;

  // `read` turns the data of a message into the parts of a line. The stream resumes after the
  // id `last`, and `kept` is called with every new id. `opened` is called when the stream is live, at
  // first and after each reconnect. `complete` adds to the line of a message what its event has besides
  // the data; by default the id. `query` returns more parameters for the request. `others` has
  // listeners for other events.
  constructor(
    root,
    { read, last = "", kept = () => {}, opened = () => {}, complete = showId, query = () => ({}), others = {} },
  ) {
    this.#root = root;
    this.#status = root.querySelector("[role=status]");
    this.#pane = new Pane(root.querySelector(".messages"));
    this.#url = new URL(root.dataset.url, document.baseURI);
    this.#read = read;
    this.#last = last;
    this.#kept = kept;
    this.#others = others;
    this.#opened = opened;
    this.#complete = complete;
    this.#query = query;
    if (last) this.#note(`Resuming after ${last}.`);

    for (const code of root.querySelectorAll(".curl code")) {
      code.querySelector(".url").textContent = this.#url.href;
      addCopyButton(code);
    }
    root.querySelector(".reconnect").addEventListener("click", () => this.#open());
    // The back/forward cache may keep the page. It must not stay connected there.
    addEventListener("pageshow", () => this.#open());
    addEventListener("pagehide", () => this.#source?.close());
  }

  // Scrolls to the newest message.
  follow() {
    this.#pane.follow();
  }

  // Changes how messages look. If the newest one was in view, it stays there.
  restyle(change) {
    this.#pane.restyle(change);
  }

  // Asks again, with what `query` returns now.
  reopen() {
    this.#source?.close();
    this.#open();
  }

  #open() {
    const url = new URL(this.#url);
    for (const [key, value] of Object.entries(this.#query())) url.searchParams.set(key, value);
    if (this.#last) url.searchParams.set("last_event_id", this.#last);
    const source = new EventSource(url);
    this.#source = source;
    this.#show("connecting");
    source.onopen = () => {
      this.#show("live");
      this.#opened();
    };
    source.onerror = () => {
      this.#show(source.readyState === EventSource.CLOSED ? "ended" : "reconnecting");
    };
    source.onmessage = (event) => {
      const item = line(this.#read(JSON.parse(event.data)));
      this.#complete(item, event);
      this.#pane.add(item);
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

function showId(item, event) {
  item.append(part("id", event.lastEventId));
}
