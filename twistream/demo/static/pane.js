// Shared by the pages of the demo: the pane that shows messages, as text and never as markup,
// and the button that copies a curl command.

const MOST_LINES = 200; // older lines are removed

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

// A line of the pane. `parts` maps a class to the text of each part.
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
