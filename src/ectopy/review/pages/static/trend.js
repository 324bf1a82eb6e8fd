// The heart rate over the whole recording, with events and rhythms below: where am I, and where to next?

import { el } from "./dom.js";
import { colours, fitted, ofKind, ofRhythm } from "./paper.js";

const COLUMNS = 1200, LANES_PX = 34, LONGEST_RR_S = 3;

export class Trend {
  constructor(review, { go }) {
    this.review = review;
    this.go = go;
    this.plotBox = el("div", { class: "trend-plot" });
    this.lanes = el("canvas", { class: "trend-lanes", role: "img", "aria-label": "Events and rhythms over the recording" });
    this.element = el("div", { class: "trend" }, this.plotBox, this.lanes);
    this.lanes.addEventListener("pointerdown", (event) => {
      const { left } = this.plot.over.getBoundingClientRect();
      this.go(this.plot.posToVal(event.clientX - left, "x") * review.doc.fs);
    });
    this.watch = new ResizeObserver(() => this.fit());
    this.follow = (event) => ["edit", "labels"].includes(event.detail) && this.refresh();
    review.addEventListener("change", this.follow);
  }

  open() {
    this.build();
    this.watch.observe(this.element);
  }

  close() {
    this.watch.disconnect();
    this.review.removeEventListener("change", this.follow);
    this.plot?.destroy();
  }

  build() {
    const { review } = this, shade = colours();
    const axis = { stroke: shade.soft, grid: { stroke: shade.line, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    this.plot?.destroy();
    this.plot = new window.uPlot(
      {
        width: this.element.clientWidth || 800,
        height: 96,
        padding: [6, 26, 0, 0],
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
        scales: { x: { time: false }, y: { range: (_, low, high) => [Math.max(0, Math.floor((low - 5) / 10) * 10), Math.ceil((high + 5) / 10) * 10] } },
        axes: [
          { ...axis, size: 22, space: 90, values: (_, ticks) => ticks.map((s) => review.clock.text(s, { seconds: review.doc.duration_s < 3600 })),
            incrs: [10, 30, 60, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400] },
          { ...axis, size: 40, space: 26 },
        ],
        series: [
          {},
          { stroke: "transparent", points: { show: false } },
          { stroke: "transparent", points: { show: false } },
          { stroke: shade.accent, width: 1.3, points: { show: false } },
        ],
        bands: [{ series: [2, 1], fill: shade.band }],
        hooks: { draw: [(plot) => this.window(plot)] },
      },
      this.data(),
      this.plotBox,
    );
    this.plot.over.addEventListener("pointerdown", (event) => {
      const seek = ({ clientX }) => this.go(this.plot.posToVal(clientX - this.plot.over.getBoundingClientRect().left, "x") * review.doc.fs);
      seek(event);
      this.plot.over.setPointerCapture(event.pointerId);
      this.plot.over.onpointermove = seek;
      this.plot.over.onpointerup = () => (this.plot.over.onpointermove = null);
    });
    this.drawLanes();
  }

  // Mean, lowest and highest rate of each column, from the RR intervals of its beats.
  data() {
    const { beats, doc } = this.review, { sample } = beats;
    const n = Math.max(1, Math.min(COLUMNS, Math.ceil(sample.length / 2))), width = doc.n_samples / n;
    const sum = new Float64Array(n), hits = new Uint32Array(n);
    const low = new Float32Array(n).fill(Infinity), high = new Float32Array(n);
    for (let at = 8; at < sample.length; at++) { // means of 8 intervals, as in the report
      const s = (sample[at] - sample[at - 8]) / doc.fs;
      if (s > 8 * LONGEST_RR_S) continue;
      const column = Math.min(n - 1, Math.floor(sample[at] / width)), rate = 480 / s;
      sum[column] += rate;
      hits[column]++;
      if (rate < low[column]) low[column] = rate;
      if (rate > high[column]) high[column] = rate;
    }
    const columns = [...Array(n).keys()], known = (column) => hits[column] > 0;
    return [
      columns.map((column) => ((column + 0.5) * width) / doc.fs),
      columns.map((column) => (known(column) ? low[column] : null)),
      columns.map((column) => (known(column) ? high[column] : null)),
      columns.map((column) => (known(column) ? sum[column] / hits[column] : null)),
    ];
  }

  // Show which part is on the screen.
  at(start, stop) {
    this.shown = [start / this.review.doc.fs, stop / this.review.doc.fs];
    this.plot?.redraw(false, false);
  }

  window(plot) {
    if (!this.shown) return;
    const { ctx, bbox } = plot;
    const [from, to] = this.shown.map((s) => plot.valToPos(s, "x", true)), shade = colours();
    ctx.save();
    ctx.fillStyle = shade.frame;
    ctx.strokeStyle = shade.accent;
    ctx.lineWidth = 1.5;
    const width = Math.max(to - from, 3);
    ctx.fillRect(from, bbox.top, width, bbox.height);
    ctx.strokeRect(from, bbox.top, width, bbox.height);
    ctx.restore();
  }

  drawLanes() {
    const { context, width, height } = fitted(this.lanes), { doc } = this.review;
    if (!width || !this.plot) return;
    const left = this.plot.over.offsetLeft, wide = this.plot.over.clientWidth;
    const x = (sample) => left + (sample / doc.n_samples) * wide;
    context.clearRect(0, 0, width, height);
    for (const { rhythm, start, stop } of doc.intervals) {
      context.fillStyle = ofRhythm(doc.rhythms[rhythm].colour);
      context.fillRect(x(start), 1, Math.max(x(stop) - x(start), 1), 10);
    }
    for (const event of doc.events) {
      if (event.status === "rejected") continue;
      context.fillStyle = ofKind(doc.kinds[event.kind].colour);
      context.fillRect(x(event.onset), 14, Math.max(x(event.offset) - x(event.onset), 1.5), 10);
    }
    context.fillStyle = colours().accent;
    for (const { sample } of doc.marks) {
      context.beginPath();
      context.moveTo(x(sample), 26);
      context.lineTo(x(sample) - 4, 33);
      context.lineTo(x(sample) + 4, 33);
      context.fill();
    }
  }

  refresh() {
    if (!this.plot) return;
    this.plot.setData(this.data());
    this.drawLanes();
  }

  fit() {
    const width = this.element.clientWidth;
    if (!this.plot || !width) return;
    this.plot.setSize({ width, height: 96 });
    this.drawLanes();
  }
}
