// The ticker. This tab stores the id of the last event, so that a reload resumes after it.

import { Feed } from "./feed.js";
import "./source.js";
import { recall, remember } from "./storage.js";

const KEY = `${location.pathname} last event id`;

new Feed(document.querySelector(".feed"), {
  read: ({ number, time }) => ({ time: `${time.slice(11, 19)} UTC`, text: `Tick ${number}` }),
  last: recall("sessionStorage", KEY) ?? "",
  kept: (id) => remember("sessionStorage", KEY, id),
});
