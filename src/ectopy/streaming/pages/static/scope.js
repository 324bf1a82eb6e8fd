// The running signal on a canvas: the newest sample is at the right edge, on paper of 25 mm/s.

import { PX_PER_MM, colours, fitted, ofLabel, ofRhythm, paper } from "/shared/paper.js";

const KEPT_S = 60, MM_PER_S = 25, BAND_S = 600, LETTERS_PX = 22;
const GAINS = [20, 10, 5, 2.5, 1]; // mm per mV

export class Scope {
  constructor(canvas) {
    this.canvas = canvas;
    this.begin(250, []);
  }

  begin(fs, leads) {
    Object.assign(this, { fs, leads, end: 0, gain: 10, judged: -Infinity, middle: leads.map(() => 0) });
    this.size = Math.ceil(KEPT_S * fs);
    this.samples = leads.map(() => new Float32Array(this.size).fill(NaN));
  }

  // Take samples of all leads from sample `first` on. What was left out is missing.
  take(first, values) {
    const n = values[0]?.length ?? 0;
    for (const [lead, row] of values.entries()) {
      const ring = this.samples[lead];
      for (let at = Math.max(this.end, first - this.size); at < first; at++) ring[at % this.size] = NaN;
      for (let at = 0; at < n; at++) ring[(first + at) % this.size] = row[at] ?? NaN;
    }
    this.end = Math.max(this.end, first + n);
  }

  seconds() {
    return this.canvas.clientWidth / (MM_PER_S * PX_PER_MM);
  }

  // Choose the gain of all leads, and where each lead has its middle, once a second.
  judge(from) {
    if (this.end - this.judged < this.fs) return;
    this.judged = this.end;
    let largest = 0;
    for (const [lead, ring] of this.samples.entries()) {
      const known = [];
      for (let at = from; at < this.end; at++) if (!Number.isNaN(ring[at % this.size])) known.push(ring[at % this.size]);
      if (!known.length) continue;
      known.sort((a, b) => a - b);
      this.middle[lead] = known[known.length >> 1];
      largest = Math.max(largest, known.at(-1) - this.middle[lead], this.middle[lead] - known[0]);
    }
    const room = (this.canvas.clientHeight - LETTERS_PX) / Math.max(this.leads.length, 1) / 2 / PX_PER_MM;
    this.gain = GAINS.find((gain) => gain * largest <= 1.15 * room) ?? GAINS.at(-1);
  }

  draw(beats, gaps) {
    const { context, width, height } = fitted(this.canvas), shade = colours();
    const per_sample = (MM_PER_S * PX_PER_MM) / this.fs;
    const from = Math.max(0, this.end - Math.ceil(width / per_sample), this.end - this.size + 1);
    const x = (sample) => width - (this.end - sample) * per_sample;
    this.judge(from);
    paper(context, 0, 0, width, height);
    context.fillStyle = shade.gap;
    for (const { start, stop } of gaps) {
      const left = Math.max(x(start), 0), right = Math.min(x(stop ?? this.end), width);
      if (right > left) context.fillRect(left, LETTERS_PX, right - left, height - LETTERS_PX);
    }
    const row = (height - LETTERS_PX) / Math.max(this.leads.length, 1);
    for (const [lead, ring] of this.samples.entries()) {
      const y = LETTERS_PX + (lead + 0.5) * row, scale = this.gain * PX_PER_MM;
      context.beginPath();
      let pen = false;
      for (let at = from; at < this.end; at++) {
        const value = ring[at % this.size];
        if (Number.isNaN(value)) {
          pen = false;
          continue;
        }
        const [px, py] = [x(at), y - (value - this.middle[lead]) * scale];
        if (pen) context.lineTo(px, py);
        else context.moveTo(px, py);
        pen = true;
      }
      Object.assign(context, { strokeStyle: shade.trace, lineWidth: 1.3, lineJoin: "round" });
      context.stroke();
      context.font = "600 13px system-ui, sans-serif";
      context.fillStyle = shade.ink;
      context.fillText(this.leads[lead], 6, LETTERS_PX + lead * row + 16);
    }
    context.textAlign = "center";
    for (const [sample, { label, kind }] of beats) {
      if (sample < from) continue;
      context.globalAlpha = kind === "beat" ? 1 : 0.5;
      context.font = `${label === "N" ? 500 : 700} 15px system-ui, sans-serif`;
      context.fillStyle = label === "N" ? shade.soft : ofLabel(label);
      context.fillText(label, x(sample), 16);
    }
    context.globalAlpha = 1;
    context.textAlign = "start";
  }
}

// Draw the last ten minutes: the rhythm as a band, ectopic beats as ticks, gaps in grey.
export function drawBand(canvas, now_s, { rhythms, ectopic, gaps_s }) {
  const { context, width, height } = fitted(canvas), shade = colours();
  const from = Math.max(0, now_s - BAND_S), x = (time_s) => ((time_s - from) / BAND_S) * width;
  context.clearRect(0, 0, width, height);
  for (const [at, { name, start_s }] of rhythms.entries()) {
    const stop_s = rhythms[at + 1]?.start_s ?? now_s, left = Math.max(x(start_s), 0);
    if (stop_s <= from) continue;
    context.fillStyle = ofRhythm(name);
    context.fillRect(left, 0, Math.max(x(stop_s) - left, 1), height / 2);
  }
  context.fillStyle = shade.gap;
  for (const [start_s, stop_s] of gaps_s) context.fillRect(x(start_s), 0, Math.max(x(stop_s ?? now_s) - x(start_s), 1), height);
  for (const { time_s, label } of ectopic) {
    if (time_s < from) continue;
    context.fillStyle = ofLabel(label);
    context.fillRect(x(time_s) - 0.75, height / 2 + 3, 1.5, height / 2 - 6);
  }
  context.strokeStyle = shade.line;
  context.beginPath();
  for (let minute = Math.ceil(from / 60); minute * 60 <= from + BAND_S; minute++) {
    context.moveTo(Math.round(x(minute * 60)) + 0.5, height - 4);
    context.lineTo(Math.round(x(minute * 60)) + 0.5, height);
  }
  context.stroke();
}
