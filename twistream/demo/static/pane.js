// Shared by the pages of the demo: the pane that shows messages, as text and never as markup,
// and the button that copies a curl command.

const MOST_LINES = 200; // older lines are removed

const LONG = 400; // a text of more characters or lines is shown in part,
const LONG_LINES = 5; // as in `.messages .long` of the style sheet

export const messages = (count) => `${count} ${count === 1 ? "message" : "messages"}`;

// A list that follows its end until the reader scrolls up. Then a button counts what arrives.
export class Pane {
  #list;
  #button = document.createElement("button");
  #announcer = document.createElement("span");
  #unread = 0;
  #following = true;
  #top = 0; // where the pane was scrolled to when it was at its end

  constructor(list) {
    this.#list = list;
    this.#button.type = "button";
    this.#button.className = "unread";
    this.#button.hidden = true;
    this.#button.addEventListener("click", () => {
      list.focus({ preventScroll: true }); // the button goes away
      this.follow();
    });
    this.#announcer.className = "hidden";
    this.#announcer.ariaLive = "polite";
    list.after(this.#button, this.#announcer);
    list.addEventListener("scroll", () => this.#moved());
    // A smaller pane, as above the keyboard of a phone, still shows its end.
    new ResizeObserver(() => (this.#following ? this.follow() : this.#moved())).observe(list);
  }

  clear() {
    this.#list.replaceChildren();
    this.follow();
  }

  add(...items) {
    const list = this.#list;
    this.#moved(); // the event for a scroll comes later
    list.append(...items);
    while (list.childElementCount > MOST_LINES) list.firstElementChild.remove();
    for (const item of items) this.#shorten(item);
    if (this.#following) {
      this.follow();
    } else {
      this.#show(this.#unread + items.filter((item) => item.className !== "note").length);
    }
  }

  // Scrolls to the end, and stays there.
  follow() {
    this.#list.scrollTop = this.#list.scrollHeight;
    this.#moved();
  }

  // Changes how messages look, and stays at the end if it was there.
  restyle(change) {
    const following = this.#following;
    change();
    if (following) this.follow();
    else this.#moved(false);
  }

  // A smaller pane is not at its end either, but nobody has scrolled up there.
  #moved(resized = true) {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    const atEnd = scrollHeight - scrollTop - clientHeight < 8;
    if (atEnd) {
      this.#top = scrollTop;
      this.#show(0);
    }
    this.#following = atEnd || (resized && this.#following && scrollTop >= this.#top);
  }

  #show(unread) {
    // Once is enough: the messages themselves may be announced, too.
    if (!unread) this.#announcer.textContent = "";
    else if (!this.#unread) this.#announcer.textContent = "New messages below";
    this.#unread = unread;
    this.#button.hidden = !unread;
    this.#button.textContent = `${Math.min(unread, MOST_LINES)} new ${messages(unread).split(" ")[1]}`;
  }

  // Shows the first lines of a long text only. Screen readers still read all of it.
  #shorten(item) {
    const text = item.querySelector(".text");
    const { length } = text.textContent;
    if (length <= LONG && text.textContent.split("\n").length <= LONG_LINES) return;
    item.classList.add("long");
    if (text.scrollHeight <= text.clientHeight) {
      item.classList.remove("long");
      return;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.className = "more";
    button.append("Show all");
    button.ariaExpanded = "false";
    button.addEventListener("click", () => {
      const shortened = item.classList.toggle("long");
      button.firstChild.data = shortened ? "Show all" : "Show less";
      button.ariaExpanded = String(!shortened);
      if (shortened) item.scrollIntoView({ block: "nearest" });
      this.#moved(false);
    });
    item.append(button);
  }
}

// A line of the pane. `parts` maps a class to the text of each part.
export function line(parts) {
  const item = document.createElement("li");
  for (const [name, text] of Object.entries(parts)) item.append(part(name, text), " ");
  return item;
}

export function part(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.dir = "auto";
  element.textContent = text;
  return element;
}

export function addCopyButton(code) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  const word = new Text("Copy");
  const what = document.createElement("span"); // for screen readers, which also need the result
  what.className = "hidden";
  what.textContent = " the curl command";
  button.append(word, what);
  button.addEventListener("click", async () => {
    word.data = (await copied(code)) ? "Copied" : "Selected";
    setTimeout(() => (word.data = "Copy"), 1500);
  });
  code.after(button);
}

// Browsers offer the clipboard to secure pages only. Elsewhere, select the text instead.
async function copied(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return false;
  }
}
