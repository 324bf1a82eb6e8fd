// Full disclosure: the whole recording line by line, with a strip of what was clicked.

import { el, fill, key } from "./dom.js";
import { colours, extent, fitted, ofLabel, trace } from "./paper.js";
import { pressOnStrip, relabel } from "./beatkeys.js";
import { CLASS_NAMES, LABEL_KEYS } from "./review.js";
import { Strip } from "./strip.js";
import { Trend } from "./trend.js";

const LINE_S = [10, 20, 30, 60, 120, 300, 600], NAMES_PX = 84;
const BEFORE_S = 0.15, AFTER_S = 0.35; // around an R peak, in the colour of its class, as in the report

export class Disclosure {
  constructor(app, sample) {
    this.app = app;
    this.review = app.review;
    this.first = sample ?? app.spot ?? 0;
    this.line_s = app.line_s ?? (this.review.doc.duration_s > 3600 ? 60 : 20);
    this.lead = Math.min(app.lead ?? 0, this.review.doc.leads.length - 1);
  }

  open(host) {
    const { review } = this;
    this.trend = new Trend(review, { go: (sample) => this.go(sample) });
    this.strip = new Strip(review, { label: "Strip of the chosen place", on: { moved: () => this.placed() } });
    this.strip.tallest = 250;
    this.canvas = el("canvas", { class: "lines", role: "img", "aria-label": "Full disclosure" });
    this.filler = el("div", { class: "filler" }, this.canvas);
    this.scroller = el("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Full disclosure, line by line", onscroll: () => this.draw() }, this.filler);
    this.canvas.addEventListener("pointerdown", (event) => this.click(event));
    this.canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.length = el("select", { "aria-label": "Length of a line", onchange: (event) => this.setLine(Number(event.target.value)) },
      ...LINE_S.map((s) => el("option", { value: String(s), selected: s === this.line_s }, s < 60 ? `${s} s a line` : `${s / 60} min a line`)));
    const lead = el("select", { "aria-label": "Lead", onchange: (event) => { this.lead = this.app.lead = Number(event.target.value); this.draw(); } },
      ...review.doc.leads.map((name, at) => el("option", { value: String(at), selected: at === this.lead }, name)));
    const jump = (text, name, direction, of) => el("button", { type: "button", class: "quiet", onclick: () => this.jump(direction, of) }, text, key(name));
    fill(host, el("div", { class: "page disclosure" },
      this.trend.element,
      el("div", { class: "bar small" }, el("h1", { class: "unseen" }, "Full disclosure"), this.length, lead,
        jump("ectopic beat ", ".", 1, "beat"), jump("event ", ";", 1, "event"), review.doc.marks.length ? jump("patient mark ", "'", 1, "mark") : null,
        el("span", { class: "spring" }),
        ...Object.entries(LABEL_KEYS).map(([letter, label]) => el("button", { type: "button", class: `label ${label}`, title: CLASS_NAMES[label], "aria-label": `${label}: ${CLASS_NAMES[label]}`, onclick: () => relabel(this.strip, review, label) }, letter.toUpperCase())),
        ...[["Insert ", "I", "i"], ["Delete ", "Del", "Delete"], ["Mark ", "M", "m"], ["Event ", "E", "e"]].map(([text, name, press]) =>
          el("button", { type: "button", onclick: () => pressOnStrip({ key: press }, this.strip, review) }, text, key(name)))),
      this.scroller, this.strip.element));
    this.watch = new ResizeObserver(() => { this.layout(); this.draw(); });
    this.watch.observe(this.scroller);
    this.trend.open();
    this.layout();
    this.go(this.first, { top: true });
  }

  close() {
    this.app.spot = this.strip.start;
    this.trend.close();
    this.strip.close();
    this.watch.disconnect();
  }

  changed(what) {
    if (what !== "saving" && what !== "progress") this.draw();
  }

  get line() { return this.line_s * this.review.doc.fs; }
  get tall() { return this.line_s <= 30 ? 84 : this.line_s <= 60 ? 60 : 44; }
  get n_lines() { return Math.ceil(this.review.doc.n_samples / this.line); }

  layout() {
    this.filler.style.height = `${this.n_lines * this.tall}px`;
    this.canvas.style.height = `${this.scroller.clientHeight}px`;
  }

  setLine(line_s) {
    const middle = this.strip.start;
    this.line_s = this.app.line_s = line_s;
    this.length.value = String(line_s);
    this.layout();
    this.go(middle, { top: true });
  }

  go(sample, { top = false, picked = [] } = {}) {
    const at = Math.max(0, Math.min(sample, this.review.doc.n_samples - 1));
    const y = Math.floor(at / this.line) * this.tall, { scrollTop, clientHeight } = this.scroller;
    if (top || y < scrollTop || y + this.tall > scrollTop + clientHeight) this.scroller.scrollTop = y - clientHeight / 3;
    this.strip.show(at, { lead_in_s: top && !picked.length ? 0 : 2, picked });
    this.draw();
  }

  placed() {
    const y = Math.floor(this.strip.start / this.line) * this.tall, { scrollTop, clientHeight } = this.scroller;
    if (y < scrollTop || y + this.tall > scrollTop + clientHeight) this.scroller.scrollTop = y - clientHeight / 2;
    this.draw();
  }

  draw() {
    this.drawn ??= requestAnimationFrame(() => {
      this.drawn = null;
      if (this.canvas.isConnected && this.canvas.clientWidth) this.paint();
    });
  }

  paint() {
    const { doc, signal, clock } = this.review, { context, width, height } = fitted(this.canvas), shade = colours();
    const { scrollTop } = this.scroller, wide = width - NAMES_PX, px = wide / this.line;
    context.clearRect(0, 0, width, height);
    const first = Math.floor(scrollTop / this.tall), last = Math.min(this.n_lines, Math.ceil((scrollTop + height) / this.tall));
    const step = Math.max(1, 2 ** Math.floor(Math.log2(this.line / wide)));
    const parts = [];
    for (let line = first; line < last; line++) parts.push(signal.read(this.lead, line * this.line, (line + 1) * this.line, step));
    // One scale for all lines, robust against a spike: three of four lines fit. It shrinks at once, and grows late.
    const reach = parts.map(({ low, high }) => { const { middle, below } = extent(low), { above } = extent(high); return { middle, below, above }; });
    const most = (side) => { const all = reach.map((one) => one[side]).sort((a, b) => a - b); return Math.max(all[Math.floor(0.75 * all.length)] ?? 1, 0.1); };
    const usual = { below: most("below"), above: most("above") }, size = ({ below, above }) => below + above;
    const fits = this.usual && usual.below <= this.usual.below && usual.above <= this.usual.above;
    if (!fits || size(usual) < 0.65 * size(this.usual)) this.usual = usual;
    const px_per_mv = (this.tall * 0.88) / size(this.usual), zero = this.tall * 0.06 + this.usual.above * px_per_mv;
    parts.forEach((part, number) => {
      const line = first + number, from = line * this.line, to = Math.min(from + this.line, doc.n_samples);
      const top = line * this.tall - scrollTop, x = (sample) => NAMES_PX + (sample - from) * px;
      context.fillStyle = shade.gap;
      for (const [start, stop] of [...doc.unreadable, ...doc.artefact]) {
        if (stop > from && start < to) context.fillRect(x(Math.max(start, from)), top, (Math.min(stop, to) - Math.max(start, from)) * px, this.tall);
      }
      const [a, b] = [Math.max(this.strip.start, from), Math.min(this.strip.stop, to)];
      if (b > a) {
        context.fillStyle = shade.frame;
        context.fillRect(x(a), top, (b - a) * px, this.tall);
      }
      context.fillStyle = shade.line;
      context.fillRect(NAMES_PX, top + this.tall - 1, wide, 1);
      context.fillStyle = shade.soft;
      context.font = "12px system-ui, sans-serif";
      context.textAlign = "right";
      context.fillText(clock.text(from / doc.fs).split(" ").at(-1), NAMES_PX - 8, top + this.tall / 2 + 4);
      context.save();
      context.beginPath();
      context.rect(NAMES_PX, top, wide, this.tall);
      context.clip();
      const place = { x0: x(part.first), dx: step * px, y: top + zero + reach[number].middle * px_per_mv, px_per_mv };
      trace(context, part, { ...place, colour: shade.trace, width: 1 });
      this.beats(context, part, place, { from, to, top, x, step });
      context.restore();
    });
    this.trend.at(first * this.line, Math.min(last * this.line, doc.n_samples));
    performance.mark("lines painted");
  }

  beats(context, part, place, { from, to, top, x, step }) {
    const { review } = this, { sample } = review.beats, { fs } = review.doc;
    for (let at = review.indexAt(from); at < sample.length && sample[at] < to; at++) {
      const letter = review.letter(at);
      if (review.plain(at)) continue;
      const bins = [sample[at] - BEFORE_S * fs, sample[at] + AFTER_S * fs].map((edge) => Math.round((edge - part.first) / step));
      trace(context, part, { ...place, colour: ofLabel(letter), width: 1.4, from: bins[0], to: bins[1] });
      context.fillStyle = ofLabel(letter);
      context.fillRect(x(sample[at]) - 0.75, top + (letter === "S" ? this.tall - 6 : 1), 1.5, 5);
    }
    context.fillStyle = colours().accent;
    for (const mark of review.doc.marks) if (mark.sample >= from && mark.sample < to) context.fillRect(x(mark.sample) - 1, top, 2, this.tall);
  }

  click(event) {
    const box = this.canvas.getBoundingClientRect();
    const line = Math.floor((event.clientY - box.top + this.scroller.scrollTop) / this.tall);
    const share = Math.max(0, Math.min(1, (event.clientX - box.left - NAMES_PX) / (box.width - NAMES_PX)));
    const sample = (line + share) * this.line, beat = this.review.nearest(sample);
    const close = beat >= 0 && Math.abs(this.review.beats.sample[beat] - sample) < this.review.doc.fs * 0.4;
    this.go(sample, { picked: close ? [beat] : [] });
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const at = LINE_S.indexOf(this.line_s) + (event.deltaY > 0 ? 1 : -1);
    if (LINE_S[at]) this.setLine(LINE_S[at]);
  }

  jump(direction, of) {
    const { review } = this, { doc } = review, { sample } = review.beats;
    const here = this.strip.picked.length ? sample[this.strip.picked.at(-1)] : this.strip.start + 2 * doc.fs;
    if (of === "beat") {
      for (let at = review.indexAt(here + (direction > 0 ? 1 : 0)) - (direction > 0 ? 0 : 1); at >= 0 && at < sample.length; at += direction) {
        if (!review.plain(at)) return this.go(sample[at], { picked: [at] });
      }
      return;
    }
    const places = of === "mark" ? doc.marks.map((mark) => mark.sample) : doc.events.filter(({ status }) => status !== "rejected").map(({ onset }) => onset);
    const next = direction > 0 ? places.find((place) => place > here + 1) : places.findLast((place) => place < here - 1);
    if (next !== undefined) this.go(next, { picked: [review.nearest(next)] });
  }

  press(event) {
    const plain = event.key.length === 1 ? event.key.toLowerCase() : event.key, doc = this.review.doc;
    const line = { ArrowDown: 1, ArrowUp: -1 }[plain], jumps = { ".": [1, "beat"], ",": [-1, "beat"], ";": [1, "event"], ":": [-1, "event"], "'": [1, "mark"], '"': [-1, "mark"] };
    if (line) this.go(this.strip.start + line * this.line);
    else if (plain === "PageDown" || plain === "PageUp") {
      const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.tall) - 1);
      this.go(this.strip.start + (plain === "PageDown" ? 1 : -1) * page * this.line);
    } else if (plain === "Home" || plain === "End") this.go(plain === "Home" ? 0 : doc.n_samples - 1);
    else if (event.key in jumps) this.jump(...jumps[event.key]);
    else if (event.shiftKey && (event.key === "+" || event.key === "_")) this.wheel({ ctrlKey: true, preventDefault() {}, deltaY: event.key === "_" ? 1 : -1 });
    else if (!/^(Arrow(Left|Right)|Delete|Backspace|[nsvfqaimel+=-])$/.test(plain)) return false;
    else pressOnStrip(event, this.strip, this.review);
    return true;
  }
}

Disclosure.keys = [["↑ ↓", "a line up or down"], ["Page Up, Page Down", "a page"], ["Home, End", "start or end of the recording"], [", .", "the ectopic beat before or after"],
  [": ;", "the event before or after"], ["\" '", "the patient mark before or after"], ["Ctrl + wheel", "longer or shorter lines"]];
