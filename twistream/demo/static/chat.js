// The chat. New and reloaded pages start with the oldest message in the history. The browser keeps the
// reader's name, and the ids of the reader's own messages.

import { Feed } from "./feed.js";
import { part } from "./pane.js";
import "./source.js";
import { recall, remember } from "./storage.js";

const root = document.querySelector(".feed");
const form = root.querySelector("form");
const field = form.elements.text;
const name = root.querySelector("#name");
const online = root.querySelector(".tally");
const here = root.querySelector(".here");
const reason = root.querySelector("[role=alert]");
const messages = root.querySelector(".messages");
const toggle = root.querySelector(".wire-toggle");

const NAME = `${location.pathname} name`;
const OWN = `${location.pathname} own messages`;
const MOST_OWN = 200; // the history of the server has no more

const GATEWAY_ERRORS = [502, 503, 504]; // a proxy says that it cannot reach the server
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const own = new Set((recall("localStorage", OWN) ?? "").split(" "));
let sending = false;
let unreachable = false; // whether that is the reason on the page

name.value = recall("localStorage", NAME) ?? "";
let asked = ""; // the name with which the stream was requested

const feed = new Feed(root, {
  query: () => {
    asked = name.value.trim();
    return asked ? { name: asked } : {};
  },
  read: ({ time, name, text }) => ({
    name: name || "Somebody",
    time: clock.format(new Date(time)),
    text,
  }),
  complete: (item, event) => {
    item.dataset.id = event.lastEventId;
    if (own.has(event.lastEventId)) markOwn(item);
    item.append(part("wire", wire(event)));
  },
  opened: () => {
    if (unreachable) explain("");
  },
  others: {
    presence: (event) => {
      showPresent(event.data);
      messages.ariaLive = "polite"; // from now on: screen readers skip the history
    },
    members: (event) => showMembers(JSON.parse(event.data)),
  },
});

function showPresent(count) {
  online.textContent = `${count} online`;
}

function showMembers(names) {
  here.hidden = !names.length;
  here.textContent = names.length ? `Here: ${names.join(", ")}` : "";
}

// The event as the server sent it. Its data is one line of JSON.
function wire(event) {
  return `id: ${event.lastEventId}\ndata: ${event.data}\n`;
}

function explain(text) {
  reason.textContent = text;
  unreachable = false;
}

// The server validates messages. A message stays in the field until the server accepts it.
async function send() {
  const text = field.value;
  const url = new URL(form.action);
  if (name.value.trim()) url.searchParams.set("name", name.value);
  const response = await fetch(url, {
    method: "POST",
    headers: { Accept: "text/plain", "Content-Type": "text/plain; charset=utf-8" },
    body: text,
    signal: AbortSignal.timeout(10000),
  }).catch(() => null);
  if (!response || GATEWAY_ERRORS.includes(response.status)) {
    explain("The server cannot be reached.");
    unreachable = true;
  } else if (!response.ok) {
    explain((await response.text().catch(() => "")).trim() || response.statusText);
  } else {
    if (field.value === text) field.value = "";
    claim((await response.text().catch(() => "")).trim());
    feed.follow();
  }
}

// Shows a message as the reader's own. It may be on the page already.
function claim(id) {
  if (!id) return;
  own.add(id);
  remember("localStorage", OWN, [...own].slice(-MOST_OWN).join(" "));
  const item = messages.querySelector(`[data-id="${CSS.escape(id)}"]`);
  if (item) markOwn(item);
}

function markOwn(item) {
  item.classList.add("own");
  item.querySelector(".name").textContent = "You";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (sending) return;
  sending = true;
  explain("");
  await send();
  sending = false;
  field.focus();
});

name.addEventListener("input", () => remember("localStorage", NAME, name.value.trim()));
// The others see the name of a reader who says nothing, too.
name.addEventListener("change", () => {
  if (name.value.trim() !== asked) feed.reopen();
});
name.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault(); // it would submit the form of the field that has the focus then
  field.focus();
});

toggle.addEventListener("click", () => {
  feed.restyle(() => {
    toggle.ariaPressed = String(root.classList.toggle("with-wire"));
  });
});

// They need this script.
form.elements.say.disabled = false;
name.disabled = false;
