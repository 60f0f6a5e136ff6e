// The ticker. This tab stores the id of the last event, so that a reload resumes after it.

import { Feed } from "./feed.js";

const KEY = `${location.pathname} last event id`;

// A browser that blocks cookies also refuses this. Then a reload starts afresh.
function storage() {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

new Feed(document.querySelector(".feed"), {
  read: ({ number, time }) => ({ time: `${time.slice(11, 19)} UTC`, text: `Tick ${number}` }),
  last: storage()?.getItem(KEY) ?? "",
  kept: (id) => storage()?.setItem(KEY, id),
});
