// The ticker. This tab stores the id of the last event, so that a reload resumes after it.

import { Feed } from "./feed.js";

const KEY = `${location.pathname} last event id`;

new Feed(document.querySelector(".feed"), {
  read: ({ number, time }) => ({ time: `${time.slice(11, 19)} UTC`, text: `Tick ${number}` }),
  last: sessionStorage.getItem(KEY) ?? "",
  kept: (id) => sessionStorage.setItem(KEY, id),
});
