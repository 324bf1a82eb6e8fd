// The frame of all pages: which recording, which page, keys, undo, confirm.

import { ask, askText, choose, el, fill, key, say } from "./dom.js";
import { Disclosure } from "./disclosure.js";
import { STRIP_KEYS } from "./beatkeys.js";
import { Events } from "./events.js";
import { forgetColours } from "./paper.js";
import { getJSON } from "./api.js";
import { Review } from "./review.js";
import { Templates } from "./templates.js";
import { count } from "./times.js";
import { nextOpen, WorkList } from "./worklist.js";

const VIEWS = { templates: ["Templates", "1", Templates], events: ["Events", "2", Events], disclosure: ["Full disclosure", "3", Disclosure] };
const questions = (n) => `${count(n)} question${n === 1 ? " is" : "s are"}`;
const MAIN_KEYS = [["1 2 3", "templates, events, full disclosure"], ["0", "work list"], ["]", "next unreviewed recording"],
  ["Z", "undo; with Shift redo"], ["Ctrl Enter", "confirm"], ["?", "this page"]];

class App {
  async start() {
    this.host = document.getElementById("view");
    this.header = document.getElementById("header");
    this.theme(localStorage.getItem("theme"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.theme(localStorage.getItem("theme")));
    const { recordings, by } = await getJSON("/api/recordings");
    this.recordings = recordings;
    this.by = by || localStorage.getItem("initials") || "";
    addEventListener("hashchange", () => this.route());
    addEventListener("keydown", (event) => this.press(event));
    addEventListener("beforeunload", (event) => this.review?.pending && event.preventDefault());
    await this.route();
  }

  // --- places ---

  address(name, view = "templates") { return `#/${encodeURIComponent(name)}/${view}`; }
  go(name, view) { location.hash = this.address(name, view); }

  show(view, where) {
    this.where = where;
    this.go(this.review.doc.name, view);
  }

  async route() {
    const [, name, view] = location.hash.split("/").map(decodeURIComponent);
    const asked = (this.asked = Symbol("route"));
    try {
      if (!name) {
        this.leave();
        await this.place(new WorkList(this));
      } else {
        if (this.review?.doc.name !== name) {
          this.leave();
          fill(this.host, el("p", { class: "page soft" }, "Opening …"));
          const review = await Review.open(name, () => this.reader());
          if (asked !== this.asked) return review.close();
          this.review = review;
          review.addEventListener("change", (event) => this.changed(event.detail));
          [this.spot, this.lead, this.line_s] = [];
        }
        const View = (VIEWS[view] ?? VIEWS.templates)[2];
        await this.place(new View(this, this.where));
        this.where = undefined;
      }
      performance.mark("page usable");
    } catch (error) {
      fill(this.host, el("div", { class: "page" }, el("h1", {}, "This does not work"), el("p", {}, error.message), el("p", {}, el("a", { href: "#/" }, "Back to the work list"))));
    }
  }

  async place(view) {
    this.view?.close();
    this.view = view;
    this.head();
    await view.open(this.host);
    document.title = `${this.review?.doc.name ?? "Work list"} · ectopy review`;
  }

  leave() {
    this.view?.close();
    this.view = null;
    this.review?.close();
    this.review = null;
  }

  async next() {
    const { recordings } = await getJSON("/api/recordings");
    this.recordings = recordings;
    const name = nextOpen(recordings, this.review?.doc.name);
    if (name && name !== this.review?.doc.name) this.go(name);
    else say("Every other recording is confirmed.");
  }

  changed(what) {
    if (what !== "signal") this.head();
    this.view?.changed?.(what);
  }

  // --- the header ---

  head() {
    const { review } = this, doc = review?.doc, current = location.hash.split("/")[2] || "templates";
    const stamp = JSON.stringify([doc && [doc.name, doc.status, doc.undo, doc.redo, doc.notes, doc.conflicts, doc.figures], current, this.by, Boolean(review?.pending), review?.failed, document.documentElement.dataset.shade]);
    if (stamp === this.stamp) return;
    this.stamp = stamp;
    const focused = document.activeElement?.id;
    fill(this.header,
      el("a", { class: "brand", href: "#/", id: "to-list", title: "Work list (0)" }, "ectopy review"),
      doc ? el("strong", { class: "name" }, doc.name) : null,
      doc ? el("span", { class: `state ${doc.status.replace(" ", "-")}` }, doc.status, doc.confirmed_by ? ` by ${doc.confirmed_by}` : "") : null,
      doc ? el("nav", { "aria-label": "Pages" }, Object.entries(VIEWS).map(([view, [title, name]]) =>
        el("a", { href: this.address(doc.name, view), id: `to-${view}`, "aria-current": view === current ? "page" : null }, title, key(name)))) : null,
      el("span", { class: "spring" }),
      doc ? el("span", { class: `saved small ${review.failed ? "failed" : "soft"}`, role: "status" }, review.pending ? "Saving …" : review.failed ? "Not saved" : doc.last_id ? "Saved" : "") : null,
      doc ? el("button", { type: "button", id: "undo", disabled: !doc.undo, title: doc.undo ? `Undo: ${doc.undo}` : "Nothing to undo", onclick: () => review.undo() }, "Undo ", key("Z")) : null,
      doc ? el("button", { type: "button", id: "redo", disabled: !doc.redo, title: doc.redo ? `Redo: ${doc.redo}` : "Nothing to redo", onclick: () => review.redo() }, "Redo") : null,
      doc ? (doc.status === "confirmed"
        ? el("button", { type: "button", id: "reopen", onclick: () => review.reopen() }, "Reopen")
        : el("button", { type: "button", class: "primary", id: "confirm", onclick: () => this.confirm() }, "Confirm")) : null,
      el("button", { type: "button", class: "quiet", id: "initials", title: "Your initials", onclick: () => this.askInitials() }, this.by ? `Reader: ${this.by}` : "Reader?"),
      el("button", { type: "button", class: "quiet", id: "theme", "aria-label": "Light or dark", title: "Light or dark", onclick: () => this.toggleTheme() }, "◐"),
      el("button", { type: "button", class: "quiet", id: "keys", "aria-label": "Keys", title: "Keys (?)", onclick: () => this.keys() }, "?"));
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    const notes = doc ? [...doc.notes, ...doc.conflicts] : [];
    fill(document.getElementById("notes"), notes.slice(0, 4).map((note) => el("p", { class: "note" }, note)));
    fill(document.getElementById("figures"), doc ? doc.figures.map(({ name, value, unit, note }) =>
      el("div", { title: note }, el("dt", {}, name), el("dd", {}, value, unit ? el("span", { class: "unit" }, ` ${unit}`) : null))) : []);
    document.getElementById("top").hidden = !doc;
  }

  async askInitials() {
    const by = await askText("Who reads?", { label: "Your initials, kept with every edit", value: this.by, pattern: "[\\p{L}\\p{N} .\\-]{1,20}", max: 20, hint: "Up to 20 letters or digits." });
    if (by) {
      this.by = by;
      localStorage.setItem("initials", by);
      this.head();
    }
    return Boolean(by);
  }

  // Every edit has a reader: the first one asks who reads, and so do two at once, once.
  async reader() {
    if (!this.by) await (this.asking ??= this.askInitials().finally(() => (this.asking = null)));
    return this.by;
  }

  async confirm() {
    if (!(await this.reader())) return;
    const { review } = this, { doc } = review;
    await review.queue;
    await review.deciding;
    const open = review.doc.decisions.length, { changes } = await getJSON(`${review.path}/changed`);
    const yes = await ask(`Confirm ${doc.name}?`, (close) => el("form", { method: "dialog", onsubmit: (event) => { event.preventDefault(); close(true); } },
      el("p", {}, changes.length ? "Changed from the automatic analysis:" : "Nothing was changed from the automatic analysis."),
      changes.length ? el("ul", { class: "plain" }, changes.map((text) => el("li", {}, text))) : null,
      open ? el("p", { class: "note" }, `${questions(open)} still open.`) : null,
      review.clusters || review.failure ? null : el("p", { class: "note" }, "The templates are still being found, so nobody knows yet which questions are open."),
      el("p", { class: "soft small" }, "The report, the statistics, the annotations and FHIR are written anew, with your initials. The automatic files stay."),
      el("p", { class: "buttons" }, el("button", { type: "submit", class: "primary", autofocus: true }, `Confirm as ${this.by}`), el("button", { type: "button", onclick: () => close(false) }, "Cancel"))));
    if (!yes) return;
    const anyway = !open || (await choose(`${questions(open)} open. Confirm nevertheless?`, [
      { value: false, text: "Answer them first", key: "a" }, { value: true, text: "Confirm nevertheless", key: "c" }]));
    if (!anyway) return this.show("templates");
    say("The report is being written …");
    if (!(await review.confirm())) return;
    const next = nextOpen((await getJSON("/api/recordings")).recordings, doc.name);
    const open_next = await ask(`${doc.name} is confirmed`, (close) => el("div", {},
      el("p", {}, el("a", { href: `${review.path}/report`, target: "_blank", rel: "noopener" }, "Open the report")),
      el("p", { class: "buttons" },
        next ? el("button", { type: "button", class: "primary", autofocus: true, onclick: () => close(true) }, `Next: ${next}`) : null,
        el("button", { type: "button", autofocus: !next, onclick: () => close(false) }, "Stay here"))));
    if (open_next) this.go(next);
  }

  keys() {
    const list = (title, keys) => [el("h3", {}, title), el("dl", { class: "keys" }, keys.map(([names, what]) => [el("dt", {}, key(names)), el("dd", {}, what)]).flat())];
    ask("Keys", (close) => el("div", { class: "key-page" },
      el("div", {}, ...list("Everywhere", MAIN_KEYS)),
      ...[["Work list", WorkList], ...Object.values(VIEWS).map(([title, , View]) => [title, View])]
        .map(([title, View]) => el("div", {}, ...list(title, View.keys))),
      el("div", {}, ...list("On every strip, when it has been clicked", STRIP_KEYS)),
      el("p", { class: "buttons" }, el("button", { type: "button", autofocus: true, onclick: () => close(null) }, "Close"))));
  }

  // --- light or dark ---

  theme(chosen) {
    const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.shade = dark ? "dark" : "light";
    forgetColours();
    this.head?.call(this);
    this.view?.trend?.build();
    this.view?.changed?.("labels");
    this.review?.changed("labels");
  }

  toggleTheme() {
    const next = document.documentElement.dataset.shade === "dark" ? "light" : "dark";
    localStorage.setItem("theme", next);
    this.theme(next);
  }

  // --- keys ---

  press(event) {
    if (document.querySelector("dialog[open]") || event.isComposing) return;
    const typing = event.target.closest?.("input:not([type=checkbox]), textarea, select");
    if (typing) {
      if (event.key === "Escape") typing.blur();
      if (event.key !== "Escape" && !(typing.type === "search" && ["Enter", "ArrowDown", "ArrowUp"].includes(event.key))) return;
    }
    const command = event.ctrlKey || event.metaKey, plain = event.key.toLowerCase();
    if (this.review && (plain === "z" || (command && plain === "y"))) {
      if (plain === "y" || event.shiftKey) this.review.doc.redo && this.review.redo();
      else if (this.review.doc.undo) this.review.undo();
    } else if (command && plain === "enter" && this.review) this.confirm();
    else if (command || event.altKey) return;
    else if (event.key === "?") this.keys();
    else if (event.key === "0") location.hash = "#/";
    else if (event.key === "]") this.next();
    else if (this.review && "123".includes(event.key)) this.show(Object.keys(VIEWS)[Number(event.key) - 1]);
    else if (!this.view?.press?.(event)) return;
    event.preventDefault();
  }
}

const app = new App();
app.start().catch((error) => say(error.message, { bad: true }));
