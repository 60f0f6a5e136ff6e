// The chat. New and reloaded pages start with the oldest message in the history.

import { Feed } from "./feed.js";

const root = document.querySelector(".feed");
const form = root.querySelector("form");
const field = form.elements.text;
const online = root.querySelector(".tally");
const reason = root.querySelector("[role=alert]");
const messages = root.querySelector(".messages");

const GATEWAY_ERRORS = [502, 503, 504]; // a proxy says that it cannot reach the server
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
let sending = false;
let unreachable = false; // whether that is the reason on the page

const feed = new Feed(root, {
  read: ({ time, text }) => ({ time: clock.format(new Date(time)), text }),
  opened: () => {
    if (unreachable) explain("");
  },
  others: {
    presence: (event) => {
      online.textContent = `${event.data} online`;
      messages.ariaLive = "polite"; // from now on: screen readers skip the history
    },
  },
});

function explain(text) {
  reason.textContent = text;
  unreachable = false;
}

// The server validates messages. A message stays in the field until the server accepts it.
async function send() {
  const text = field.value;
  const response = await fetch(form.action, {
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
    feed.follow();
  }
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

form.elements.say.disabled = false; // it needs this script
