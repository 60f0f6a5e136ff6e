// The ticker. The id of its last event is kept for this tab, so that a reload goes on after it.

import { Feed } from "./feed.js";

const KEY = `${location.pathname} last event id`;

new Feed(document.querySelector(".feed"), {
  read: ({ number, time }) => ({ time: `${time.slice(11, 19)} UTC`, text: `Tick ${number}` }),
  last: sessionStorage.getItem(KEY) ?? "",
  kept: (id) => sessionStorage.setItem(KEY, id),
});
