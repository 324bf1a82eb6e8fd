// Events: every finding with its strip on paper.

import { askText, el, fill, key, say } from "./dom.js";
import { chooseKind, pressOnStrip } from "./beatkeys.js";
import { Strip } from "./strip.js";
import { count, facts } from "./times.js";
import { ofKind } from "./paper.js";

const ROW = 34;
const WORDS = { automatic: "", accepted: "✓", rejected: "✕", changed: "✎", added: "+" };

export class Events {
  constructor(app, chosen) {
    this.app = app;
    this.review = app.review;
    this.id = chosen ?? null;
    this.kind = "";
    this.open_only = false;
  }

  open(host) {
    this.strip = new Strip(this.review, { label: "Strip of the event", on: { frame: (onset, offset) => this.moveTo(onset, offset) } });
    this.strip.tallest = 400;
    this.around = new Strip(this.review, { label: "What is around the event" });
    this.around.zoom = 0.25;
    this.around.tallest = 300;
    this.list = el("div", { class: "event-list", role: "listbox", "aria-label": "Events", tabindex: "0", onscroll: () => this.rows() });
    this.inner = el("div", { class: "event-rows", role: "presentation" });
    this.list.append(this.inner);
    this.filters = el("div", { class: "bar" });
    this.about = el("div", { class: "about" });
    this.more = el("p", { class: "soft small" });
    const button = (text, name, act, kind) => el("button", { type: "button", class: kind, onclick: () => act.call(this) }, `${text} `, key(name));
    this.actions = el("div", { class: "buttons" },
      button("Accept", "Enter", this.accept, "primary"), button("Reject", "X", this.reject), button("Kind", "T", this.relabel),
      button("Strip for the report", "O", this.chooseStrip), button("Comment", "C", this.comment), button("Leave out", "L", this.exclude));
    fill(host, el("div", { class: "page events" },
      el("section", { class: "side", "aria-label": "List of events" }, this.filters, this.list),
      el("section", { class: "panel", "aria-label": "Event" }, this.about, this.actions, this.strip.element, this.more, el("h2", { class: "small soft" }, "Around it"), this.around.element)));
    this.watch = new ResizeObserver(() => this.rows());
    this.watch.observe(this.list);
    this.draw();
    this.showChosen();
  }

  close() {
    this.strip.close();
    this.around.close();
    this.watch.disconnect();
  }

  changed(what) {
    if (what === "signal" || what === "saving" || what === "progress") return;
    this.draw();
    if (what === "edit") this.showChosen({ keep: true });
  }

  // Extremes come first, then the events, each kind together and the most urgent kind first.
  items() {
    const { doc } = this.review, order = Object.keys(doc.kinds);
    const extremes = this.kind && this.kind !== "extremes" ? [] : doc.extremes.map((one) => ({ ...one, id: `extreme ${one.name}`, extreme: true }));
    const events = doc.events.filter((event) =>
      (!this.kind || event.kind === this.kind) && (!this.open_only || event.status === "automatic"));
    events.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || a.onset - b.onset);
    return [...(this.open_only ? [] : extremes), ...events];
  }

  get chosen() { return this.shown.find(({ id }) => id === this.id) ?? null; }

  draw() {
    const { doc } = this.review;
    this.shown = this.items();
    if (!this.chosen) { // what was here is gone: the one that took its place
      this.id = this.shown[Math.min(this.at ?? 0, this.shown.length - 1)]?.id ?? null;
    }
    this.at = Math.max(0, this.shown.findIndex(({ id }) => id === this.id));
    const kinds = new Map();
    doc.events.forEach(({ kind }) => kinds.set(kind, (kinds.get(kind) ?? 0) + 1));
    const stamp = JSON.stringify([[...kinds], this.kind, this.open_only]);
    if (stamp !== this.stamp) {
      this.stamp = stamp;
      fill(this.filters,
        el("select", { "aria-label": "Kind", onchange: (event) => { this.kind = event.target.value; this.id = null; this.at = 0; this.draw(); this.showChosen(); } },
          el("option", { value: "" }, `All kinds (${count(doc.events.length)})`),
          el("option", { value: "extremes", selected: this.kind === "extremes" }, "Longest, slowest, fastest"),
          ...Object.entries(doc.kinds).filter(([name]) => kinds.has(name)).map(([name, { title }]) =>
            el("option", { value: name, selected: this.kind === name }, `${title} (${count(kinds.get(name))})`))),
        el("label", { class: "check" }, el("input", { type: "checkbox", checked: this.open_only, onchange: (event) => { this.open_only = event.target.checked; this.at = 0; this.draw(); this.showChosen(); } }), "open only"));
    }
    this.inner.style.height = `${this.shown.length * ROW}px`;
    this.rows();
  }

  // Only the rows that are in view exist: a day may have thousands of events.
  rows() {
    const { scrollTop, clientHeight } = this.list, first = Math.max(0, Math.floor(scrollTop / ROW) - 4);
    const { doc, clock } = this.review;
    fill(this.inner, this.shown.slice(first, first + Math.ceil(clientHeight / ROW) + 8).map((item, offset) => {
      const at = first + offset, chosen = at === this.at;
      const row = el("div", {
        role: "option", id: `event-${at}`, class: `event-row ${item.status ?? ""}${chosen ? " chosen" : ""}`, "aria-selected": String(chosen),
        "aria-posinset": String(at + 1), "aria-setsize": String(this.shown.length), onclick: () => this.choose(at),
      }, el("span", { class: "dot", "aria-hidden": "true" }), el("span", { class: "kind" }, item.extreme ? item.title : doc.kinds[item.kind].title),
      el("span", { class: "soft" }, item.extreme ? item.text : clock.text(item.onset / doc.fs)), el("span", { class: "sign" }, WORDS[item.status] ?? ""));
      row.style.transform = `translateY(${at * ROW}px)`;
      row.firstChild.style.background = item.extreme ? "var(--accent)" : ofKind(doc.kinds[item.kind].colour);
      return row;
    }));
    this.list.setAttribute("aria-activedescendant", `event-${this.at}`);
  }

  choose(at) {
    this.at = Math.max(0, Math.min(this.shown.length - 1, at));
    this.id = this.shown[this.at]?.id ?? null;
    const top = this.at * ROW, { scrollTop, clientHeight } = this.list;
    if (top < scrollTop || top + ROW > scrollTop + clientHeight) this.list.scrollTop = top - clientHeight / 3;
    this.rows();
    this.showChosen();
    const from = this.pressed ?? performance.now();
    requestAnimationFrame(() => performance.measure("next item drawn", { start: from }));
    const next = this.shown[this.at + 1];
    if (next) this.review.signal.prepare(next.onset - 3 * this.review.doc.fs, next.onset + 9 * this.review.doc.fs);
  }

  showChosen({ keep = false } = {}) {
    const item = this.chosen, { doc, clock } = this.review;
    this.actions.hidden = !item;
    if (!item) return void fill(this.about, el("h1", {}, "No event"), el("p", { class: "soft" }, "Measure an interval in full disclosure and press E to add one."));
    const [onset_s, offset_s] = [item.onset / doc.fs, item.offset / doc.fs];
    const told = item.extreme ? `${item.text}  ·  ${clock.text(onset_s)} to ${clock.text(offset_s)}` : facts(item, this.review);
    fill(this.about,
      el("h1", {}, item.extreme ? item.title : doc.kinds[item.kind].title,
        item.status && item.status !== "automatic" ? el("span", { class: `state ${item.status}` }, item.status) : null),
      el("p", { class: "soft" }, told, item.strip !== null && item.strip !== undefined ? "  ·  strip chosen for the report" : ""),
      item.comment ? el("p", { class: "comment" }, item.comment) : null);
    for (const [at, hidden] of [[1, item.extreme], [2, item.extreme], [3, item.extreme], [4, item.extreme]]) this.actions.children[at].hidden = hidden;
    this.actions.children[0].hidden = Boolean(item.extreme);
    this.more.textContent = item.extreme ? "If this is artefact, leave it out: the next one takes its place." : doc.kinds[item.kind].rule;
    const around_s = this.around.canvas.clientWidth / this.around.px_per_s || 40;
    this.around.show(item.onset, { frame: { onset: item.onset, offset: item.offset }, lead_in_s: around_s / 3 });
    if (keep && this.strip.frame && item.id === this.drawn) {
      this.strip.frame = { onset: item.onset, offset: item.offset };
      this.strip.draw();
      return;
    }
    this.drawn = item.id;
    const width_s = this.strip.canvas.clientWidth / this.strip.px_per_s || 10;
    const lead_in_s = Math.max(1.2, Math.min((width_s - (offset_s - onset_s)) / 2, width_s / 3));
    this.strip.on.frame = item.extreme ? null : (onset, offset) => this.moveTo(onset, offset);
    this.strip.show(item.strip ?? item.onset - lead_in_s * doc.fs, { frame: { onset: item.onset, offset: item.offset } });
  }

  get focused() { return document.activeElement === this.around.canvas ? this.around : this.strip; }

  // --- deciding ---

  answer(action, more = {}, { next = false } = {}) {
    const item = this.chosen;
    if (!item || item.extreme) return null;
    if (next) {
      item.status = action === "accept_event" ? "accepted" : "rejected";
      const known = this.review.byId.get(item.id);
      if (known) known.status = item.status;
    }
    const saved = this.review.edit({ action, event: item.ref, ...more });
    if (next) this.choose(this.at + 1);
    return saved;
  }

  accept() { this.answer("accept_event", {}, { next: true }); }
  reject() { this.answer("reject_event", {}, { next: true }); }
  moveTo(onset, offset) { this.answer("move_event", { onset: Math.round(onset), offset: Math.round(offset) }); }

  chooseStrip() {
    this.answer("choose_strip", { start: Math.round(this.strip.start) });
    say("The report will show this strip.");
  }

  async relabel() {
    const item = this.chosen;
    if (!item || item.extreme) return;
    const kind = await chooseKind("This event is", this.review.doc);
    if (!kind) return;
    await this.answer("relabel_event", { kind });
    const id = `${kind} ${item.onset} ${item.offset}`; // the list has it elsewhere now
    if (!this.review.byId.has(id)) return;
    this.id = id;
    this.draw();
    this.choose(this.at);
  }

  async comment() {
    const item = this.chosen;
    if (!item || item.extreme) return;
    const text = await askText("Comment", { label: "Shown in the report", hint: "Enter saves.", value: item.comment ?? "", max: 2000, many: true });
    if (text !== null) this.answer("comment", { text });
  }

  exclude() {
    const item = this.chosen, { interval } = this.strip;
    if (interval) return this.review.edit({ action: "exclude_rates", start: interval[0], stop: interval[1] });
    if (item) this.review.edit({ action: "exclude_rates", start: item.onset, stop: Math.min(item.offset + 1, this.review.doc.n_samples) });
  }

  press(event) {
    this.pressed = performance.now();
    const plain = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[plain];
    const act = { x: this.reject, t: this.relabel, o: this.chooseStrip, c: this.comment }[plain];
    if (step) this.choose(this.at + step);
    else if (plain === "Enter" && !event.target.closest("button, a, select")) this.accept();
    else if (act) act.call(this);
    else if (plain === "l" && !this.strip.interval) this.exclude();
    else if (plain === "Home" || plain === "End") this.choose(plain === "Home" ? 0 : this.shown.length - 1);
    else return pressable(plain) && (pressOnStrip(event, this.focused, this.review), true);
    return true;
  }
}

const pressable = (name) => /^(Arrow(Left|Right)|Page(Up|Down)|Delete|Backspace|[nsvfqaimel+=-])$/.test(name);

Events.keys = [["↑ ↓ or J K", "choose an event"], ["Enter", "accept it"], ["X", "reject it"], ["T", "change its kind"], ["Drag an edge", "change onset or offset"],
  ["O", "the strip as it stands goes into the report"], ["C", "comment"], ["L", "leave an extreme out: the next one takes its place"]];
