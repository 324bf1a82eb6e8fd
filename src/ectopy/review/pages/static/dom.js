// Build elements. Every text goes in as a text node, so a name in a file is never read as markup.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const key = (text) => el("kbd", {}, text);

export function fill(node, ...children) {
  node.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// Say something to everyone: shown for a while, and read out by screen readers.
let hush;
export function say(text, { bad = false } = {}) {
  const line = document.getElementById("said");
  line.textContent = text;
  line.classList.toggle("bad", bad);
  line.classList.add("shown");
  clearTimeout(hush);
  hush = setTimeout(() => line.classList.remove("shown"), bad ? 9000 : 3500);
}

// Ask a question in a dialog. `build` gets a function that closes it with an answer.
export function ask(title, build) {
  return new Promise((resolve) => {
    let answer = null;
    const close = (value) => {
      answer = value;
      dialog.close();
    };
    const heading = el("h2", { id: "asked" }, title);
    const dialog = el("dialog", { "aria-labelledby": "asked" }, heading, build(close));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector("[autofocus]")?.focus();
  });
}

// Ask for one of several; each has a key, and those that name none get digits and then letters.
export function choose(title, options) {
  const free = [..."123456789bcdefghijklmnoprstuvwxyz"].filter((name) => !options.some((option) => option.key === name));
  options = options.map((option) => ({ ...option, key: option.key ?? free.shift() }));
  return ask(title, (close) =>
    el(
      "ul",
      {
        class: options.length > 9 ? "choices many" : "choices",
        onkeydown: (event) => {
          const at = options.findIndex((option) => option.key && option.key === event.key.toLowerCase());
          if (at >= 0) { // the letter has done its work: no page behind the dialog may take it
            event.preventDefault();
            event.stopPropagation();
            close(options[at].value);
          }
          const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
          if (step) {
            event.preventDefault();
            const buttons = [...event.currentTarget.querySelectorAll("button")];
            const next = (buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length;
            buttons[next].focus();
          }
        },
      },
      options.map((option, at) =>
        el(
          "li",
          {},
          el("button", { type: "button", autofocus: at === 0, onclick: () => close(option.value) },
            option.key ? key(option.key.toUpperCase()) : null, option.text),
        ),
      ),
    ),
  );
}

// Ask for a line of text.
export function askText(title, { label, value = "", pattern = ".*", hint = "", max = 500, yes = "Save", many = false }) {
  return ask(title, (close) => {
    const input = el(many ? "textarea" : "input", { id: "answer", autofocus: true, maxlength: String(max), autocomplete: "off" });
    input.value = value;
    input.addEventListener("keydown", (event) => {
      if (many && event.key === "Enter" && !event.isComposing) done(event);
    });
    const done = (event) => {
      event.preventDefault();
      const text = input.value.trim().replace(/\s*\n\s*/g, " "); // pasted lines: a report shows one
      if (new RegExp(`^(?:${pattern})$`, "su").test(text)) close(text);
      else input.setAttribute("aria-invalid", "true");
    };
    return el(
      "form",
      { method: "dialog", onsubmit: done },
      el("label", { for: "answer" }, label),
      input,
      hint ? el("p", { class: "soft small" }, hint) : null,
      el("p", { class: "buttons" },
        el("button", { type: "submit", class: "primary" }, yes),
        el("button", { type: "button", onclick: () => close(null) }, "Cancel")),
    );
  });
}
