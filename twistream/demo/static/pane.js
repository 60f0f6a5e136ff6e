// What the pages of the demo have in common: the pane that shows what arrives, as text and
// never as markup, and the line for curl, which can be copied.

const MOST_LINES = 200; // what a pane keeps of a stream that does not end

export class Pane {
  #list;

  constructor(list) {
    this.#list = list;
  }

  clear() {
    this.#list.replaceChildren();
  }

  add(...items) {
    const list = this.#list;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 8;
    list.append(...items);
    while (list.childElementCount > MOST_LINES) list.firstElementChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
  }
}

// A line of the pane. `parts` has the text of each of its parts by the part's class.
export function line(parts) {
  const item = document.createElement("li");
  for (const [name, text] of Object.entries(parts)) {
    const part = document.createElement("span");
    part.className = name;
    part.dir = "auto";
    part.textContent = text;
    item.append(part, " ");
  }
  return item;
}

export function addCopyButton(code) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy the curl command");
  button.addEventListener("click", async () => {
    button.textContent = (await copied(code)) ? "Copied" : "Selected";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  code.after(button);
}

// The clipboard is for secure pages only. Elsewhere the text is selected, ready to copy.
async function copied(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return false;
  }
}
