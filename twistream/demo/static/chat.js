// The chat. New and reloaded pages start with the oldest message in the history.

import { Feed } from "./feed.js";

const root = document.querySelector(".feed");
const form = root.querySelector("form");
const field = form.elements.text;
const online = root.querySelector(".tally");
const reason = root.querySelector("[role=alert]");
const messages = root.querySelector(".messages");

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
let sending = false;

new Feed(root, {
  read: ({ time, text }) => ({ time: clock.format(new Date(time)), text }),
  others: {
    presence: (event) => {
      online.textContent = `${event.data} online`;
      messages.ariaLive = "polite"; // from now on: screen readers skip the history
    },
  },
});

// The server validates messages. A message stays in the field until the server accepts it.
async function send() {
  const text = field.value;
  const response = await fetch(form.action, {
    method: "POST",
    headers: { Accept: "text/plain", "Content-Type": "text/plain; charset=utf-8" },
    body: text,
    signal: AbortSignal.timeout(10000),
  }).catch(() => {
    throw new Error("The server cannot be reached.");
  });
  if (!response.ok) throw new Error((await response.text()).trim());
  if (field.value === text) field.value = "";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (sending) return;
  sending = true;
  reason.textContent = "";
  await send().catch((error) => (reason.textContent = error.message));
  sending = false;
  field.focus();
});

form.elements.say.disabled = false; // it needs this script
