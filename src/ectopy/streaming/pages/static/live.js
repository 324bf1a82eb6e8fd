// The page of a running signal: what the server sends becomes state, and the state is drawn once per frame.

import { el, fill } from "/shared/dom.js";
import { forgetColours } from "/shared/paper.js";
import { Scope, drawBand } from "/static/scope.js";

const MOST_LISTED = 50, RATE_BEATS = 9, STALE_S = 4, KEPT_S = 60, BAND_S = 600;
const AGAIN_MS = [500, 1000, 2000, 5000];
const RATE_S = 10; // a heart rate is of the last so many seconds

const $ = (id) => document.getElementById(id);
const scope = new Scope($("scope"));
let state, socket, tries = 0, dirty = true, lastSignal = 0;

function empty() {
  return { fs: 250, now_s: 0, beats: new Map(), gaps: [], alarms: new Map(), rhythms: [], ectopic: [], n: { all: 0, V: 0, S: 0 }, final: -1, silent: null, ended: false };
}
state = empty();

const clock = (time_s) => {
  const whole = Math.floor(time_s), two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
};
const words = (name) => name.replaceAll("_", " ");
const seconds = (n) => `${n < 10 ? n.toFixed(1) : Math.round(n)} s`;

const takers = {
  start({ name, fs_hz, leads, model }) {
    state = empty();
    state.fs = fs_hz;
    scope.begin(fs_hz, leads);
    $("name").textContent = name;
    document.title = `${name} - ectopy stream`;
    $("model").textContent = model;
    fill($("alarms"), el("li", { class: "soft" }, "none"));
    fill($("gaps"), el("li", { class: "soft" }, "none"));
  },
  signal({ sample, values }) {
    scope.take(sample, values);
    state.now_s = Math.max(state.now_s, scope.end / state.fs);
    lastSignal = performance.now();
  },
  provisional(beat) {
    state.beats.set(beat.sample, beat);
  },
  revoked({ sample }) {
    state.beats.delete(sample);
  },
  beat(beat) {
    state.beats.set(beat.sample, beat);
    if (beat.sample <= state.final) return;
    state.final = beat.sample;
    state.n.all++;
    if (beat.label in state.n) state.n[beat.label]++;
    if (beat.label !== "N") state.ectopic.push(beat);
  },
  gap({ reason, sample, time_s, duration_s = 0 }) {
    const last = state.gaps.at(-1);
    if (reason === "lost") state.gaps.push({ start: sample, start_s: time_s, stop: null, stop_s: null });
    if (reason === "back" && last && last.stop === null) Object.assign(last, { stop: sample, stop_s: time_s });
    state.silent = reason === "silent" ? performance.now() : null;
    const texts = {
      lost: "No lead can be read", back: `Signal is back after ${seconds(duration_s)}`,
      clock: `The clock of the sender was set by ${seconds(Math.abs(duration_s))}`,
      silent: "The sender is silent", resumed: `The sender is back after ${seconds(duration_s)}`,
    };
    list("gaps", time_s, texts[reason] ?? reason);
  },
  rhythm({ label, time_s }) {
    state.rhythms.push({ name: label, start_s: time_s });
  },
  alarm({ label, time_s }) {
    if (!state.alarms.has(label)) state.alarms.set(label, list("alarms", time_s, words(label), "alarm"));
  },
  alarm_end({ label, time_s }) {
    const line = state.alarms.get(label);
    if (!line) return;
    line.className = "";
    line.append(` until ${clock(time_s)}`);
    state.alarms.delete(label);
  },
  end() {
    state.ended = true;
    state.silent = null;
  },
};

function list(id, time_s, text, kind = "") {
  const node = $(id), line = el("li", { class: kind }, el("time", {}, clock(time_s)), text);
  node.querySelector(".soft")?.remove();
  node.prepend(line);
  while (node.children.length > MOST_LISTED) node.lastChild.remove();
  return line;
}

// Forget what no picture shows any more: the page may be open for weeks.
function forget() {
  const from = state.now_s - KEPT_S, band = state.now_s - BAND_S;
  for (const [sample, beat] of state.beats) if (beat.time_s < from) state.beats.delete(sample);
  while (state.ectopic.length && state.ectopic[0].time_s < band) state.ectopic.shift();
  while (state.gaps.length && state.gaps[0].stop_s !== null && state.gaps[0].stop_s < band) state.gaps.shift();
  while (state.rhythms.length > 1 && state.rhythms[1].start_s < band) state.rhythms.shift();
}

// Return the rate of the last beats, or none if there are too few, or a gap is among them.
function heartRate() {
  const gap = state.gaps.at(-1);
  const since = Math.max(state.now_s - RATE_S, gap ? (gap.stop_s ?? Infinity) : 0);
  const times = [...state.beats.values()].map((beat) => beat.time_s).filter((time_s) => time_s > since).sort((a, b) => a - b).slice(-RATE_BEATS);
  if (times.length < 3) return null;
  const rr = times.slice(1).map((time_s, at) => time_s - times[at]).sort((a, b) => a - b);
  return Math.round(60 / rr[rr.length >> 1]);
}

function status() {
  const stale = (performance.now() - lastSignal) / 1000;
  if (state.ended) return ["ended", "ended", "The stream has ended. What is shown is the past."];
  if (socket?.readyState !== WebSocket.OPEN) return ["gone", "not connected", "The connection to ectopy is lost. It is tried again."];
  if (state.silent !== null) return ["gone", "sender silent", "The sender is silent: no samples come. What is shown is the past."];
  if (!lastSignal) return ["", "waiting", ""];
  if (stale > STALE_S) return ["gone", "no samples", "No samples come. What is shown is the past."];
  if (state.gaps.at(-1)?.stop === null) return ["gone", "no signal", "No lead can be read. Check the electrodes."];
  return ["receiving", "receiving", ""];
}

function show() {
  const [kind, text, trouble] = status();
  if ($("state").textContent !== text) {
    $("state").textContent = text;
    $("state").className = `state ${kind}`;
  }
  if ($("trouble").textContent !== trouble) $("trouble").textContent = trouble;
  $("trouble").hidden = !trouble;
  const alarms = kind === "ended" ? "" : [...state.alarms.keys()].map(words).join(", ");
  if ($("alarm").textContent !== alarms) $("alarm").textContent = alarms;
  $("alarm").hidden = !alarms;
  $("rate").textContent = kind === "gone" ? "-" : (heartRate() ?? "-");
  $("time").textContent = clock(state.now_s);
  $("n-beats").textContent = state.n.all;
  $("n-v").textContent = state.n.V;
  $("n-s").textContent = state.n.S;
  $("scale").textContent = `25 mm/s, ${scope.gain} mm/mV, ${scope.seconds().toFixed(1)} s`;
}

function frame() {
  if (dirty) {
    dirty = false;
    scope.draw(state.beats, state.gaps);
    drawBand($("band"), state.now_s, { rhythms: state.rhythms, ectopic: state.ectopic, gaps_s: state.gaps.map((gap) => [gap.start_s, gap.stop_s]) });
  }
  requestAnimationFrame(frame);
}

function connect() {
  socket = new WebSocket(`ws://${location.host}/updates`);
  socket.addEventListener("open", () => (tries = 0));
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    takers[message.kind]?.(message); // a kind that this page does not know is left out
    dirty = true;
  });
  socket.addEventListener("close", () => setTimeout(connect, AGAIN_MS[Math.min(tries++, AGAIN_MS.length - 1)]));
}

function shade(dark) {
  document.documentElement.dataset.shade = dark ? "dark" : "light";
  $("shade").textContent = dark ? "Light" : "Dark";
  forgetColours();
  dirty = true;
}
const wished = matchMedia("(prefers-color-scheme: dark)");
shade(wished.matches);
wished.addEventListener("change", () => shade(wished.matches));
$("shade").addEventListener("click", () => shade(document.documentElement.dataset.shade !== "dark"));
addEventListener("resize", () => (dirty = true));
setInterval(show, 250);
setInterval(forget, 5000);
requestAnimationFrame(frame);
connect();
