// A strip of ECG paper with all analysed leads: look, measure, choose beats, drag the edges of an event.

import { el } from "./dom.js";
import { PX_PER_MM, colours, extent, fitted, ofLabel, paper, trace } from "./paper.js";

const HEADER = 34, MM_PER_S = 25, MM_PER_MV = 10;
const MIN_LEAD_MM = 15, MAX_REACH_MM = 30, LEAST_GAIN = 0.125;
const EDGE_PX = 7, BEAT_PX = 14;
export const ZOOMS = [0.125, 0.25, 0.5, 1, 2, 4];

export class Strip {
  // `on` has functions: frame(onset, offset) when an edge was dragged, moved(start) and picked(indices).
  constructor(review, { label, on = {}, gain = 1 }) {
    this.review = review;
    this.on = on;
    this.start = 0;
    this.zoom = 1;
    this.gain = gain;
    this.frame = null;
    this.picked = [];
    this.caliper = null;
    this.canvas = el("canvas", {
      class: "strip", tabindex: "0", role: "application", "aria-label": label,
      "aria-roledescription": "ECG strip", "aria-describedby": "strip-help",
      onpointerdown: (event) => this.press(event),
      onpointermove: (event) => this.drag(event),
      onpointerup: (event) => this.release(event),
      onpointercancel: () => (this.held = null),
      onwheel: (event) => this.wheel(event),
    });
    this.readout = el("output", { class: "readout", "aria-live": "polite" });
    this.element = el("div", { class: "strip-box" }, this.canvas, this.readout);
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(this.canvas);
    this.follow = () => this.draw();
    review.addEventListener("change", this.follow);
  }

  close() {
    this.watch.disconnect();
    this.review.removeEventListener("change", this.follow);
  }

  get fs() { return this.review.doc.fs; }
  get px_per_s() { return MM_PER_S * PX_PER_MM * this.zoom; }
  get px_per_mv() { return MM_PER_MV * PX_PER_MM * this.gain; }
  get span() { return (this.canvas.clientWidth / this.px_per_s) * this.fs; }
  get stop() { return this.start + this.span; }
  x(sample) { return ((sample - this.start) / this.fs) * this.px_per_s; }
  sampleAt(x) { return this.start + (x / this.px_per_s) * this.fs; }

  // Show from a sample on; `lead_in_s` seconds before it, so that the eye has a beginning.
  show(sample, { frame = null, lead_in_s = 0, picked = [], keep = false } = {}) {
    this.start = this.bounded(sample - lead_in_s * this.fs);
    this.frame = frame;
    if (!keep) this.caliper = null;
    this.picked = picked;
    this.tell();
    this.draw();
  }

  bounded(start) {
    return Math.max(0, Math.min(Math.round(start), this.review.doc.n_samples - Math.min(this.span || 0, this.review.doc.n_samples)));
  }

  move(samples) {
    this.start = this.bounded(this.start + samples);
    this.on.moved?.(this.start);
    this.draw();
  }

  zoomBy(step, x = this.canvas.clientWidth / 2) {
    const middle = this.sampleAt(x), at = ZOOMS.indexOf(this.zoom);
    this.zoom = ZOOMS[Math.max(0, Math.min(ZOOMS.length - 1, at + step))];
    this.start = this.bounded(middle - (x / this.px_per_s) * this.fs);
    this.on.moved?.(this.start);
    this.tell();
    this.draw();
  }

  // --- drawing ---

  draw() {
    if (this.drawn) return;
    this.drawn = requestAnimationFrame(() => {
      this.drawn = null;
      if (this.canvas.isConnected && this.canvas.clientWidth) this.paint();
    });
  }

  paint() {
    const { review } = this, { leads, n_samples } = review.doc, shade = colours();
    const step = Math.max(1, 2 ** Math.floor(Math.log2(this.fs / this.px_per_s / 1.5)));
    const { start } = this, stop = Math.min(start + this.span, n_samples);
    const signals = leads.map((_, lead) => review.signal.read(lead, start, stop, step));
    const extents = signals.map(({ low, high, complete }, lead) => {
      const { middle } = extent(low), { below } = extent(low), { above } = extent(high);
      if (!complete && this.extents?.[lead]) return this.extents[lead];
      return { middle, below, above };
    });
    this.extents = extents;
    let bands = this.bands(extents);
    while (this.tallest && bands.tall > this.tallest && this.gain > LEAST_GAIN) {
      this.gain /= 2; // so that every lead is seen; the readout says the scale
      bands = this.bands(extents);
      this.tall = 0;
    }
    // A strip may only grow while it is looked at: what jumps up and down is hard to read.
    this.tall = Math.max(this.tall ?? 0, Math.ceil(bands.tall));
    const tall = Math.min(this.tall, this.tallest ?? 640), wanted = `${tall}px`;
    const spare = Math.max(0, (tall - bands.tall) / bands.length / PX_PER_MM);
    for (const band of bands) Object.assign(band, { up: band.up + spare / 2, height: band.height + spare }); // no empty paper below
    if (this.canvas.style.height !== wanted) this.canvas.style.height = wanted;
    const { context, width, height } = fitted(this.canvas);
    this.right = this.x(n_samples);
    paper(context, 0, 0, width, height, PX_PER_MM);
    this.shades(context, width, height);
    let top = HEADER;
    context.font = "600 12px system-ui, sans-serif";
    signals.forEach((signal, lead) => {
      const { px_per_mv } = this, y = top + bands[lead].up * PX_PER_MM;
      context.save();
      context.beginPath();
      context.rect(0, top, width, bands[lead].height * PX_PER_MM);
      context.clip();
      trace(context, signal, {
        x0: this.x(signal.first), dx: (signal.step / this.fs) * this.px_per_s, y: y + extents[lead].middle * px_per_mv,
        px_per_mv, colour: shade.trace,
      });
      context.restore();
      context.fillStyle = shade.trace;
      context.textAlign = "left";
      context.fillText(leads[lead], 6, top + 14);
      top += bands[lead].height * PX_PER_MM;
    });
    this.letters(context, width, height);
    this.marks(context, height);
    if (!review.doc.signal) {
      context.fillStyle = shade.soft;
      context.textAlign = "center";
      context.font = "14px system-ui, sans-serif";
      context.fillText("The original recording is not there, or has changed: beats are shown without their signal.", width / 2, height / 2);
    }
    this.drawCaliper(context, width, height);
    performance.mark("strip painted");
  }

  // The height of each lead in mm, and of all in px.
  bands(extents) {
    const bands = extents.map(({ below, above }) => {
      const [up, down] = [above, below].map((mv) => Math.min(mv * MM_PER_MV * this.gain, MAX_REACH_MM));
      return { up: up + 3, height: Math.ceil(Math.max(up + down + 5, MIN_LEAD_MM * Math.min(1, 2 * this.gain)) / 5) * 5 };
    });
    bands.tall = HEADER + bands.reduce((sum, band) => sum + band.height * PX_PER_MM, 0);
    return bands;
  }

  shades(context, width, height) {
    const shade = colours();
    context.fillStyle = shade.gap;
    for (const [from, to] of [...this.review.doc.unreadable, ...this.review.doc.artefact]) {
      if (to > this.start && from < this.stop) context.fillRect(this.x(from), HEADER, this.x(to) - this.x(from), height);
    }
    if (!this.frame) return;
    const [from, to] = [this.x(this.frame.onset), this.x(this.frame.offset)];
    context.fillStyle = shade.frame;
    context.fillRect(from, 0, Math.max(to - from, 1), height);
    if (!this.on.frame) return;
    context.fillStyle = shade.accent;
    for (const x of [from, to]) {
      context.fillRect(x - 0.75, 0, 1.5, height);
      context.fillRect(x - 3, height / 2 - 14, 6, 28);
    }
  }

  letters(context, width) {
    const { review } = this, { sample } = review.beats, shade = colours();
    const first = review.indexAt(this.start), picked = new Set(this.picked);
    context.textAlign = "center";
    let before = first > 0 ? this.x(sample[first - 1]) : -Infinity, written = -Infinity;
    for (let at = first; at < sample.length && sample[at] <= this.stop; at++) {
      const x = this.x(sample[at]), letter = review.letter(at);
      if (picked.has(at)) {
        context.fillStyle = shade.chosen;
        context.beginPath();
        context.roundRect(x - 11, 2, 22, 19, 5);
        context.fill();
      }
      context.fillStyle = picked.has(at) ? shade.card : ofLabel(letter);
      context.font = `${review.plain(at) ? 500 : 700} 13px system-ui, sans-serif`;
      if (x - written > 12 || !review.plain(at)) {
        context.fillText(letter + (review.unsure(at) ? "?" : ""), x, 16);
        written = x;
      }
      if (review.reviewed(at)) context.fillRect(x - 4, 20, 8, 1.5);
      if (x - before > 34 && Number.isFinite(before)) {
        context.fillStyle = shade.soft;
        context.font = "10.5px system-ui, sans-serif";
        context.fillText(Math.round(((sample[at] - sample[at - 1]) / this.fs) * 1000), (x + before) / 2, 31);
      }
      before = x;
    }
  }

  marks(context, height) {
    context.strokeStyle = colours().accent;
    context.setLineDash([4, 3]);
    for (const { sample } of this.review.doc.marks) {
      if (sample < this.start || sample > this.stop) continue;
      context.beginPath();
      context.moveTo(this.x(sample), 0);
      context.lineTo(this.x(sample), height);
      context.stroke();
    }
    context.setLineDash([]);
  }

  drawCaliper(context, width, height) {
    if (!this.caliper) return;
    const { from, to } = this.caliper, shade = colours();
    const [a, b] = [this.x(from.sample), this.x(to.sample)];
    context.strokeStyle = shade.accent;
    context.fillStyle = shade.frame;
    context.lineWidth = 1.2;
    context.fillRect(Math.min(a, b), HEADER, Math.abs(b - a), height - HEADER);
    context.beginPath();
    for (const x of [a, b]) {
      context.moveTo(x, HEADER);
      context.lineTo(x, height);
    }
    for (const y of [from.y, to.y]) {
      context.moveTo(Math.min(a, b) - 8, y);
      context.lineTo(Math.max(a, b) + 8, y);
    }
    context.stroke();
  }

  // --- pointer ---

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  press(event) {
    if (event.button) return;
    const { x, y } = this.place(event);
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const edge = this.on.frame && this.frame && ["onset", "offset"].find((name) => Math.abs(this.x(this.frame[name]) - x) <= EDGE_PX);
    if (edge) this.held = { edge };
    else this.held = { x, y, from: this.sampleAt(x), shift: event.shiftKey, header: y < HEADER };
  }

  drag(event) {
    const { x, y } = this.place(event);
    if (!this.held) {
      const near = this.on.frame && this.frame && [this.frame.onset, this.frame.offset].some((at) => Math.abs(this.x(at) - x) <= EDGE_PX);
      this.canvas.style.cursor = near ? "ew-resize" : y < HEADER ? "pointer" : "crosshair";
      return;
    }
    if (this.held.edge) {
      const at = Math.round(Math.max(0, Math.min(this.sampleAt(x), this.review.doc.n_samples)));
      const { onset, offset } = this.frame;
      this.frame = this.held.edge === "onset" ? { onset: Math.min(at, offset - 1), offset } : { onset, offset: Math.max(at, onset + 1) };
      this.held.moved = true;
    } else if (Math.abs(x - this.held.x) > 3 || Math.abs(y - this.held.y) > 3 || this.held.moved) {
      this.held.moved = true;
      if (this.held.header) this.pick(this.between(this.held.from, this.sampleAt(x)));
      else this.caliper = { from: { sample: this.held.from, y: this.held.y }, to: { sample: this.sampleAt(x), y } };
    }
    this.tell();
    this.draw();
  }

  release(event) {
    const { held } = this, { x } = this.place(event);
    this.held = null;
    if (!held) return;
    if (held.edge) {
      if (held.moved) this.on.frame(this.frame.onset, this.frame.offset);
      return;
    }
    if (held.moved) return;
    this.cursor = Math.round(this.sampleAt(x));
    this.caliper = null;
    const beat = this.review.nearest(this.sampleAt(x));
    const close = beat >= 0 && Math.abs(this.x(this.review.beats.sample[beat]) - x) <= Math.max(BEAT_PX, 0.12 * this.px_per_s);
    if (!close) this.pick([]);
    else if (held.shift && this.picked.length) this.pick(range(Math.min(...this.picked, beat), Math.max(...this.picked, beat)));
    else this.pick([beat]);
    this.draw();
  }

  wheel(event) {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) this.zoomBy(event.deltaY < 0 ? 1 : -1, this.place(event).x);
    else this.move(((event.deltaX || event.deltaY) / this.px_per_s) * this.fs);
  }

  between(from, to) {
    const [low, high] = [Math.min(from, to), Math.max(from, to)];
    return range(this.review.indexAt(low), this.review.indexAt(high + 1) - 1);
  }

  // --- what is chosen ---

  pick(indices) {
    this.picked = indices;
    this.caliper = null;
    this.on.picked?.(indices);
    this.tell();
    this.draw();
  }

  step(direction, extend) {
    const { review } = this, { sample } = review.beats;
    if (!sample.length) return;
    const last = this.picked.length ? (direction > 0 ? Math.max(...this.picked) : Math.min(...this.picked)) : null;
    let next = last === null ? review.indexAt(this.start + this.span / 3) : last + direction;
    next = Math.max(0, Math.min(sample.length - 1, next));
    this.pick(extend && last !== null ? range(Math.min(next, ...this.picked), Math.max(next, ...this.picked)) : [next]);
    this.cursor = sample[next];
    const x = this.x(sample[next]), width = this.canvas.clientWidth;
    if (x < 40 || x > width - 40) this.move(sample[next] - this.sampleAt(width / 2));
  }

  // The interval that is measured, or that the chosen beats span; half-open, in samples.
  get interval() {
    if (this.caliper) {
      const ends = [this.caliper.from.sample, this.caliper.to.sample].map(Math.round);
      return [Math.max(0, Math.min(...ends)), Math.min(this.review.doc.n_samples, Math.max(...ends))];
    }
    if (this.picked.length > 1) {
      const { sample } = this.review.beats;
      return [sample[Math.min(...this.picked)], sample[Math.max(...this.picked)] + 1];
    }
    return null;
  }

  // The peak of the first lead near the pointer, for a beat to insert.
  get peak() {
    const around = Math.round(0.08 * this.fs);
    const middle = Math.round(this.caliper ? this.caliper.from.sample : this.cursor ?? this.start + this.span / 2);
    const { low, first } = this.review.signal.read(0, middle - around, middle + around + 1, 1);
    const { middle: level } = extent(low);
    let best = -1, at = middle;
    low.forEach((value, index) => {
      if (Math.abs(value - level) > best) [best, at] = [Math.abs(value - level), first + index];
    });
    return Math.max(0, Math.min(at, this.review.doc.n_samples - 1));
  }

  tell() {
    const parts = [], { review } = this;
    if (this.caliper) {
      const s = Math.abs(this.caliper.to.sample - this.caliper.from.sample) / this.fs;
      const mv = Math.abs(this.caliper.to.y - this.caliper.from.y) / this.px_per_mv;
      parts.push(`${Math.round(s * 1000)} ms`, `${mv.toFixed(2)} mV`);
      if (s > 0.15) parts.push(`${Math.round(60 / s)} bpm`);
    } else if (this.picked.length === 1) {
      const at = this.picked[0];
      parts.push(`${review.letter(at)}${review.unsure(at) ? ", low confidence" : ""} at ${review.clock.text(review.beats.sample[at] / this.fs, { tenths: true })}`);
    } else if (this.picked.length > 1) {
      const { sample } = review.beats, n = this.picked.length;
      const s = (sample[Math.max(...this.picked)] - sample[Math.min(...this.picked)]) / this.fs;
      parts.push(`${n} beats`, `${Math.round(s * 1000)} ms`, `${Math.round((60 * (n - 1)) / s)} bpm`);
    } else {
      parts.push(`${(MM_PER_S * this.zoom).toLocaleString("en")} mm/s`, `${MM_PER_MV * this.gain} mm/mV`, "?: low confidence", "drag to measure");
    }
    const text = parts.join("  ·  ");
    if (this.readout.textContent !== text) this.readout.textContent = text;
  }
}

const range = (first, last) => Array.from({ length: Math.max(last - first + 1, 0) }, (_, at) => first + at);
