// Templates: the beats of the recording as clusters. The decision that changes most comes first.

import { el, fill, key, say, choose } from "./dom.js";
import { colours, extent, fitted, ofLabel, trace } from "./paper.js";
import { CLASS_NAMES, LABEL_KEYS } from "./review.js";
import { Strip } from "./strip.js";
import { count, facts } from "./times.js";
import { pressOnStrip } from "./beatkeys.js";

const CARD_LEAD = 62, LARGE_LEAD = 92, FAINT = 0.22;
const CARD_LEADS = 3, LARGE_LEADS = 12, GRID_MV = 0.5, GRID_S = 0.1, MOST_EXAMPLES = 40;

export class Templates {
  constructor(app) {
    this.app = app;
    this.review = app.review;
    this.chosen = [];
    this.answered = new Set();
    this.only = "";
  }

  open(host) {
    this.question = el("div", { class: "question" });
    this.large = el("canvas", { class: "template large", role: "img" });
    this.facts = el("ul", { class: "facts plain soft small" });
    this.strip = new Strip(this.review, { label: "A beat of the template in its rhythm" });
    this.strip.tallest = 290;
    this.grid = el("div", { class: "cards", role: "listbox", "aria-label": "Templates", "aria-multiselectable": "true", tabindex: "0" });
    this.heading = el("h2", {}, "Templates");
    this.filter = el("select", { "aria-label": "Class", onchange: (event) => { this.only = event.target.value; this.draw(); } },
      el("option", { value: "" }, "Class: all"), ...Object.entries(CLASS_NAMES).map(([value, text]) => el("option", { value }, `${value}  ${text}`)));
    this.yes = el("button", { type: "button", class: "primary", onclick: () => this.agree() });
    this.no = el("button", { type: "button", onclick: () => this.reject() }, "Reject ", key("X"));
    this.look = el("button", { type: "button", class: "quiet", onclick: () => this.app.show("events", this.decision.event) }, "Open in events");
    this.wait = el("button", { type: "button", class: "quiet", onclick: () => this.later() }, "Later ", key("Space"));
    this.ofBeats = [...Object.entries(LABEL_KEYS).map(([letter, label]) =>
      el("button", { type: "button", class: `label ${label}`, title: CLASS_NAMES[label], "aria-label": `${label}: ${CLASS_NAMES[label]}`, onclick: () => this.label(label) }, letter.toUpperCase())),
      el("button", { type: "button", onclick: () => this.split() }, "Split ", key("P")),
      el("button", { type: "button", onclick: () => this.move() }, "Move ", key("G"))];
    this.beside = el("div", { class: "beside" }, this.large, this.facts);
    this.which = el("span", { class: "soft" });
    fill(host, el("div", { class: "page templates" },
      el("section", { class: "panel", "aria-label": "Decision" },
        this.question,
        el("div", { class: "buttons" }, this.yes, this.no, ...this.ofBeats, this.look, this.wait),
        this.beside,
        el("div", { class: "context" },
          el("div", { class: "bar small" }, this.which, el("span", { class: "spring" }),
            el("button", { type: "button", class: "quiet", onclick: () => this.example(-1) }, key(","), " before"),
            el("button", { type: "button", class: "quiet", onclick: () => this.example(1) }, key("."), " next")),
          this.strip.element)),
      el("section", { class: "all", "aria-label": "All templates" },
        el("div", { class: "bar" }, this.heading, el("span", { class: "spring" }), this.filter), this.grid)));
    this.grid.addEventListener("click", (event) => this.click(event));
    this.watch = new ResizeObserver(() => this.paintLarge());
    this.watch.observe(this.large);
    this.draw();
    if (this.review.clusters) this.advance();
  }

  close() {
    this.strip.close();
    this.watch.disconnect();
  }

  changed(what) {
    if (what === "signal" || what === "saving") return;
    if (what === "clusters") [this.chosen, this.decision] = [[], null]; // clusters have other numbers now: ask anew
    if (what === "decisions") this.answered.clear();
    if (what === "decisions" && this.decision) { // the same question may stand elsewhere now, or be answered
      this.decision = this.review.doc.decisions.find(({ id }) => id === this.decision.id) ?? null;
    }
    this.draw();
    if (!this.decision && this.review.clusters && (this.asking || !this.chosen.length)) this.advance();
  }

  // --- what there is to decide ---

  get open_decisions() { return this.review.doc.decisions.filter(({ id }) => !this.answered.has(id)); }

  advance() {
    const from = performance.now();
    this.decision = this.open_decisions[0] ?? null;
    if (this.decision?.cluster !== undefined && this.decision?.cluster !== null) this.choose([this.decision.cluster], { asking: true });
    else if (!this.decision) {
      const open = this.ordered().find((cluster) => !this.isDone(cluster));
      this.choose(open ? [open.number] : this.chosen);
    } else this.choose([], { asking: true });
    requestAnimationFrame(() => performance.measure("next item drawn", { start: this.pressed ?? from }));
  }

  isDone({ number }) {
    const tally = this.tallies.get(number);
    return !tally || tally.reviewed === tally.n;
  }

  ordered() {
    const { clusters, doc } = this.review;
    if (!clusters) return [];
    this.tallies ??= this.review.tally();
    const rank = new Map(doc.decisions.map((one, at) => [one.cluster, at]));
    const size = (cluster) => this.tallies.get(cluster.number)?.n ?? 0;
    return clusters.clusters
      .filter((cluster) => size(cluster) > 0 && (!this.only || this.labelOf(cluster.number) === this.only))
      .sort((a, b) => (rank.get(a.number) ?? 1e6) - (rank.get(b.number) ?? 1e6) || size(b) - size(a));
  }

  labelOf(number) {
    const labels = Object.entries(this.tallies.get(number)?.labels ?? { Q: 0 });
    return labels.reduce((best, one) => (one[1] > best[1] ? one : best))[0];
  }

  // --- drawing ---

  draw() {
    const { clusters, doc } = this.review;
    this.tallies = this.review.tally();
    if (!clusters) {
      fill(this.question, el("h1", {}, this.review.failure ? "No templates" : "Templates are being found"),
        el("p", { class: "soft" }, this.review.failure || "All beats are compared with each other, once. The other pages can be used meanwhile."),
        this.review.failure ? null : el("progress", { "aria-label": "Templates are being found" }));
      fill(this.grid);
      for (const one of [this.yes, this.no, this.wait, this.look, this.beside]) one.hidden = true;
      return;
    }
    // The order stays while the page is open: a grid that jumps cannot be learned.
    const order = this.ordered();
    this.places ??= new Map();
    order.forEach(({ number }) => this.places.has(number) || this.places.set(number, this.places.size));
    order.sort((a, b) => this.places.get(a.number) - this.places.get(b.number));
    this.heading.textContent = `${order.length} templates`;
    const kept = new Map([...this.grid.children].map((card) => [card.dataset.number, card]));
    fill(this.grid, order.map((cluster) => this.card(cluster, kept.get(String(cluster.number)))));
    this.ask(doc);
    this.paintLarge();
  }

  card(cluster, kept) {
    const tally = this.tallies.get(cluster.number), label = this.labelOf(cluster.number), done = this.isDone(cluster);
    const low = Math.round((100 * tally.low) / tally.n), chosen = this.chosen.includes(cluster.number);
    const n_other = tally.n - (tally.labels[label] ?? 0);
    const card = kept ?? el("div", { role: "option", id: `template-${cluster.number}`, "data-number": String(cluster.number) },
      el("canvas", { class: "template", "aria-hidden": "true" }), el("span", { class: "what" }), el("span", { class: "n" }), el("span", { class: "low small" }));
    const [canvas, what, n, doubt] = card.children;
    card.className = `card${chosen ? " chosen" : ""}${done ? " done" : ""}`;
    card.setAttribute("aria-selected", String(chosen));
    what.className = `what ${label}`;
    what.textContent = label + (n_other ? "+" : "");
    n.textContent = count(tally.n);
    doubt.textContent = done ? "✓ reviewed" : low ? `${low} % uncertain` : "";
    card.setAttribute("aria-label", `${CLASS_NAMES[label]}, ${tally.n} beats, ${done ? "reviewed" : `${low} % uncertain`}`);
    const stamp = `${label}${document.documentElement.dataset.shade}${cluster.n_examples}`;
    if (canvas.dataset.stamp !== stamp || kept?.cluster !== cluster) {
      canvas.dataset.stamp = stamp;
      card.cluster = cluster;
      canvas.style.height = `${CARD_LEAD * Math.min(this.review.clusters.n_leads, CARD_LEADS)}px`;
      requestAnimationFrame(() => this.paint(canvas, cluster, label, CARD_LEAD, CARD_LEADS));
    }
    return card;
  }

  // One scale for all templates of a lead, so that they can be compared: the tallest of most of them fits.
  scales() {
    const { clusters, n_leads, length } = this.review.clusters;
    if (this.scaled?.of === this.review.clusters) return this.scaled;
    const leads = Array.from({ length: n_leads }, (_, lead) => {
      const reach = clusters.map(({ average }) => { const { middle, below, above } = extent(average.subarray(lead * length, (lead + 1) * length), 1); return [middle, below, above]; })
        .filter(([middle]) => middle === middle);
      const high = (column) => { const all = reach.map((one) => one[column]).sort((a, b) => a - b); return Math.max(all[Math.floor(0.9 * (all.length - 1))] ?? 0.5, 0.1); };
      return { below: high(1), above: high(2) };
    });
    return (this.scaled = { of: this.review.clusters, leads });
  }

  paint(canvas, cluster, label, lead_px, most) {
    if (!canvas.clientWidth) return;
    const { context, width } = fitted(canvas), { n_leads, length } = this.review.clusters, shade = colours();
    const large = lead_px === LARGE_LEAD, dx = width / (length - 1);
    context.clearRect(0, 0, width, canvas.clientHeight);
    const { leads } = this.scales(), n = Math.min(n_leads, most);
    const px_per_mv = Math.min(...leads.slice(0, n).map(({ below, above }) => (0.88 * lead_px) / (below + above)));
    if (large) this.gridOf(context, width, n * lead_px, px_per_mv, dx);
    for (let lead = 0; lead < n; lead++) {
      const { below, above } = leads[lead], middle = ((above - below) / 2) * px_per_mv;
      const part = (values) => { const low = values.subarray(lead * length, (lead + 1) * length); return { low, high: low }; };
      const at = { x0: 0, dx, y: lead_px * (lead + 0.5) + middle, px_per_mv };
      context.save();
      context.beginPath();
      context.rect(0, lead * lead_px, width, lead_px);
      context.clip();
      context.globalAlpha = FAINT;
      for (const example of large ? cluster.examples : cluster.examples.slice(0, 8)) trace(context, part(example), { ...at, colour: shade.soft, width: 0.8 });
      context.globalAlpha = 1;
      trace(context, part(cluster.average), { ...at, colour: ofLabel(label), width: large ? 2 : 1.6 });
      context.restore();
      if (large) {
        context.fillStyle = shade.trace;
        context.font = "600 12px system-ui, sans-serif";
        context.fillText(this.review.clusters.leads[lead], 6, lead * lead_px + 15);
      }
    }
  }

  gridOf(context, width, height, px_per_mv, dx) {
    const shade = colours(), across = dx * this.review.clusters.fs * GRID_S, down = px_per_mv * GRID_MV;
    context.fillStyle = shade.paper;
    context.fillRect(0, 0, width, height);
    context.fillStyle = shade.fine;
    for (let x = 0; x < width; x += across) context.fillRect(Math.round(x), 0, 1, height);
    for (let y = 0; y < height; y += down) context.fillRect(0, Math.round(y), width, 1);
  }

  paintLarge() {
    const cluster = this.review.clusters?.clusters.find(({ number }) => number === this.chosen[0]);
    const height = cluster ? `${LARGE_LEAD * Math.min(this.review.clusters.n_leads, LARGE_LEADS)}px` : "0px";
    if (this.large.style.height !== height) this.large.style.height = height;
    this.large.hidden = !cluster; // a finding is asked: its strip is below
    if (!cluster) {
      fill(this.facts);
      return;
    }
    const label = this.labelOf(cluster.number), tally = this.tallies.get(cluster.number);
    this.paint(this.large, cluster, label, LARGE_LEAD, LARGE_LEADS);
    this.large.setAttribute("aria-label", `Average of ${tally.n} beats with ${cluster.n_examples} of them, in leads ${this.review.clusters.leads.join(", ")}`);
    const labels = Object.entries(tally.labels).sort((a, b) => b[1] - a[1]).map(([letter, n]) => `${count(n)} ${letter}`);
    const lines = [labels.join(", "), `${Math.round((100 * tally.low) / tally.n)} % uncertain`,
      tally.reviewed ? `${count(tally.reviewed)} reviewed` : null, `Line: average; grey: ${cluster.n_examples} beats.`, `Grid: ${1000 * GRID_S} ms, ${GRID_MV} mV.`].filter(Boolean);
    if (this.facts.innerText !== lines.join("\n")) fill(this.facts, lines.map((text) => el("li", {}, text)));
  }

  ask(doc) {
    const open = this.open_decisions, decision = open.find(({ id }) => id === this.decision?.id);
    const n = this.chosen.reduce((sum, number) => sum + (this.tallies.get(number)?.n ?? 0), 0);
    const progress = el("p", { class: "soft small", role: "status" },
      open.length ? `${count(open.length)} open question${open.length === 1 ? "" : "s"}, the one that changes most first` : "No open question. You can confirm.");
    this.wait.hidden = open.length < 2;
    this.yes.hidden = !decision && !this.chosen.length;
    const ofEvent = Boolean(decision?.event) && !this.chosen.length; // there is no class to give, and no template
    this.no.hidden = this.look.hidden = !ofEvent;
    this.beside.hidden = ofEvent;
    for (const button of this.ofBeats) button.hidden = ofEvent;
    this.which.textContent = ofEvent ? "The event in its rhythm" : "One of these beats in its rhythm";
    if (ofEvent) {
      fill(this.yes, "Accept ", key("Enter"));
      const event = this.review.byId.get(decision.event);
      fill(this.question, progress, el("h1", {}, decision.question), event ? el("p", { class: "soft" }, facts(event, this.review)) : null);
    } else if (!this.chosen.length) fill(this.question, progress, el("h1", {}, "Choose a template"));
    else {
      const asked = this.asking ? decision?.question : null;
      const words = this.chosen.length > 1 ? `${this.chosen.length} templates, ${count(n)} beats: what are they?` : asked ?? `${count(n)} beat${n === 1 ? "" : "s"} like this: what are they?`;
      fill(this.yes, CLASS_NAMES[this.proposal], " ", key("Enter"));
      fill(this.question, progress, el("h1", {}, words));
    }
  }

  get proposal() {
    return this.asking && this.decision ? this.decision.proposal : this.labelOf(this.chosen[0]);
  }

  // --- choosing ---

  choose(numbers, { asking = false } = {}) {
    this.chosen = numbers;
    this.asking = asking;
    for (const card of this.grid.children) {
      const chosen = numbers.includes(Number(card.dataset.number));
      card.classList.toggle("chosen", chosen);
      card.setAttribute("aria-selected", String(chosen));
    }
    if (numbers.length) {
      this.grid.setAttribute("aria-activedescendant", `template-${numbers.at(-1)}`);
      document.getElementById(`template-${numbers.at(-1)}`)?.scrollIntoView({ block: "nearest" });
    }
    this.shown = 0;
    this.ask(this.review.doc);
    this.paintLarge();
    this.example(0);
  }

  example(step) {
    const { review, decision } = this;
    if (!this.chosen.length && decision?.event) {
      const event = review.byId.get(decision.event);
      if (event) this.strip.show(event.onset, { frame: event, lead_in_s: 1.2 });
      return;
    }
    const cluster = review.clusters?.clusters.find(({ number }) => number === this.chosen[0]);
    const samples = this.examplesOf(cluster), n = samples.length;
    if (!n) return;
    this.shown = ((this.shown ?? 0) + step + n) % n;
    const sample = samples[this.shown], at = review.nearest(sample);
    const lead_in_s = Math.max(0.4, this.strip.canvas.clientWidth / this.strip.px_per_s / 2 || 3);
    this.strip.show(sample, { lead_in_s, picked: [at] });
    const next = samples[(this.shown + 1) % n];
    review.signal.prepare(next - 4 * review.doc.fs, next + 4 * review.doc.fs);
  }

  // Beats to look at: those that are asked for, spread over the recording, or those of the drawing.
  examplesOf(cluster) {
    if (!this.asking || !this.decision) return cluster?.samples ?? [];
    const beats = this.review.beatsAsked(this.decision), n = Math.min(beats.length, MOST_EXAMPLES);
    return Array.from({ length: n }, (_, at) => this.review.beats.sample[beats[Math.floor((at * beats.length) / n)]]);
  }

  click(event) {
    const card = event.target.closest(".card");
    if (!card) return;
    const number = Number(card.dataset.number);
    if (event.shiftKey && this.chosen.length) {
      const order = [...this.grid.children].map((one) => Number(one.dataset.number));
      const [from, to] = [order.indexOf(this.chosen[0]), order.indexOf(number)].sort((a, b) => a - b);
      this.choose(order.slice(from, to + 1));
    } else if (event.ctrlKey || event.metaKey) {
      this.choose(this.chosen.includes(number) ? this.chosen.filter((one) => one !== number) : [...this.chosen, number]);
    } else this.choose([number]);
  }

  step(event) {
    const cards = [...this.grid.children];
    if (!cards.length) return;
    const at = cards.findIndex((card) => Number(card.dataset.number) === this.chosen.at(-1));
    const across = cards.filter((card) => card.offsetTop === cards[0].offsetTop).length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
    const next = Number(cards[Math.max(0, Math.min(cards.length - 1, at < 0 ? 0 : at + step))].dataset.number);
    this.choose(event.shiftKey ? [...new Set([...this.chosen, next])] : [next]);
  }

  // --- deciding ---

  label(letter) {
    if (!this.chosen.length) return say(this.decision?.event ? "Accept the event with Enter, or reject it with X." : "Choose a template first.", { bad: true });
    const numbers = [...this.chosen];
    if (this.asking && this.decision) {
      const beats = this.review.beatsAsked(this.decision);
      this.answered.add(this.decision.id);
      if (beats.length) this.review.relabelBeats(beats, letter, true);
      return this.advance();
    }
    for (const one of this.review.doc.decisions) if (numbers.includes(one.cluster)) this.answered.add(one.id);
    this.review.relabelClusters(numbers, letter);
    this.advance();
  }

  agree() {
    if (this.decision?.event && !this.chosen.length) return this.answerEvent("accept_event");
    if (this.chosen.length) this.label(this.proposal);
  }

  reject() {
    if (this.decision?.event && !this.chosen.length) this.answerEvent("reject_event");
  }

  answerEvent(action) {
    const { decision } = this;
    this.answered.add(decision.id);
    this.review.edit({ action, event: decision.ref });
    this.advance();
  }

  later() {
    if (this.decision) this.answered.add(this.decision.id);
    this.advance();
  }

  async split() {
    if (this.chosen.length !== 1) return say("Choose one template to split.", { bad: true });
    const [number] = this.chosen, members = this.asking && this.decision ? Array.from(this.decision.samples) : undefined;
    const parts = await this.review.rearrange({ split: number, members }); // a question may be about a part of a template
    if (!parts) return;
    for (const part of parts) if (part !== number) this.places.set(part, this.places.get(number) + 0.5); // beside each other
    this.draw();
    this.choose(parts);
    say(`The template is ${parts.length} now: ${parts.map((part) => count(this.tallies.get(part).n)).join(", ")} beats.`);
  }

  // Move the chosen beats of the strip, or whole templates, to another template.
  async move() {
    const beats = this.strip.picked, whole = this.chosen.length > 1;
    if (!whole && !beats.length) return say("Choose beats in the strip, or several templates.", { bad: true });
    const targets = whole ? this.chosen : this.ordered().map(({ number }) => number).filter((number) => number !== this.chosen[0]);
    const to = await choose(whole ? "Unite the templates as" : `Move ${beats.length} beat${beats.length === 1 ? "" : "s"} to`,
      targets.slice(0, 12).map((number) => ({ value: number,
        text: `${this.labelOf(number)}, ${count(this.tallies.get(number).n)} beats` })));
    if (to === null) return;
    const left = await this.review.rearrange(whole ? { unite: this.chosen, to } : { samples: beats.map((at) => this.review.beats.sample[at]), to });
    if (!left) return;
    this.choose(left);
    say(whole ? "The templates are one now." : "The beats are moved.");
  }

  press(event) {
    this.pressed = performance.now();
    const plain = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const onStrip = document.activeElement === this.strip.canvas;
    if (onStrip && plain !== "Enter" && plain !== "," && plain !== ".") {
      pressOnStrip(event, this.strip, this.review);
      return plain !== "Tab";
    }
    if (plain.startsWith("Arrow")) this.step(event);
    else if (plain in LABEL_KEYS) this.label(LABEL_KEYS[plain]);
    else if (plain === "Enter" && !event.target.closest("button, a, select")) this.agree();
    else if (plain === "x") this.reject();
    else if (plain === "p") this.split();
    else if (plain === "g") this.move();
    else if (plain === "," || plain === ".") this.example(plain === "." ? 1 : -1);
    else if (plain === " " && !event.target.closest("button, a, select")) this.later();
    else return false;
    return true;
  }
}

Templates.keys = [
  ["Enter", "agree with the proposed class, or accept the finding"], ["N S V F Q A", "give the chosen templates a class; A is artefact"],
  ["X", "reject the finding that is asked"], ["Space", "later: the next question first"], ["← → ↑ ↓", "choose a template; with Shift or Ctrl several"],
  ["P", "split the chosen template"], ["G", "unite templates, or move beats that are chosen in the strip"], [", .", "another beat of the template"],
];
