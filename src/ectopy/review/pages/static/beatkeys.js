// Keys that work on a strip, the same on every page.

import { choose, say } from "./dom.js";
import { LABEL_KEYS } from "./review.js";

export const STRIP_KEYS = [
  ["← →", "choose the beat before or after; with Shift several"],
  ["N S V F Q", "relabel the chosen beats"],
  ["A", "the chosen beats are artefact"],
  ["I", "insert a beat where you clicked or measured"],
  ["Delete", "delete the chosen beats"],
  ["Drag", "measure ms, mV and bpm"],
  ["M", "mark the measured interval as a rhythm or as artefact"],
  ["E", "add an event over the measured interval"],
  ["L", "leave the measured interval out of rates and pauses"],
  ["+ −", "zoom"],
  ["Page Up, Page Down", "move along"],
];

export async function pressOnStrip(event, strip, review) {
  const { doc } = review, plain = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (plain === "ArrowLeft" || plain === "ArrowRight") strip.step(plain === "ArrowRight" ? 1 : -1, event.shiftKey);
  else if (plain === "+" || plain === "=" || plain === "-") strip.zoomBy(plain === "-" ? -1 : 1);
  else if (plain === "PageDown" || plain === "PageUp") strip.move(strip.span * (plain === "PageDown" ? 0.8 : -0.8));
  else if (plain in LABEL_KEYS) relabel(strip, review, LABEL_KEYS[plain]);
  else if (plain === "Delete" || plain === "Backspace") remove(strip, review);
  else if (plain === "i") insert(strip, review);
  else if (plain === "m") {
    const [start, stop] = measured(strip) ?? [];
    if (start === undefined) return true;
    const rhythm = await choose(`Rhythm of ${((stop - start) / doc.fs).toFixed(1)} s`, [
      { value: "artefact", text: "Artefact", key: "a" },
      ...Object.entries(doc.rhythms).filter(([name]) => name !== "artefact").map(([value, { title }]) => ({ value, text: title })),
    ]);
    if (rhythm) review.edit({ action: "mark_interval", start, stop, rhythm });
  } else if (plain === "e") {
    const [onset, offset] = measured(strip) ?? [];
    if (onset === undefined) return true;
    const kind = await chooseKind(`Event of ${((offset - onset) / doc.fs).toFixed(1)} s`, doc);
    if (kind) review.edit({ action: "add_event", kind, onset, offset });
  } else if (plain === "l") {
    const [start, stop] = measured(strip) ?? [];
    if (start !== undefined) review.edit({ action: "exclude_rates", start, stop });
  } else return false;
  return true;
}

export const chooseKind = (title, doc) =>
  choose(title, Object.entries(doc.kinds).map(([value, { title: text }]) => ({ value, text })));

function measured(strip) {
  if (strip.interval) return strip.interval;
  say("Measure an interval first: drag over the strip, or choose several beats with Shift.", { bad: true });
  return null;
}

export function relabel(strip, review, letter) {
  if (strip.picked.length) review.relabelBeats(strip.picked, letter);
  else say("Choose beats first: click a letter, or press ← or →.", { bad: true });
}

function remove(strip, review) {
  if (!strip.picked.length) return say("Choose beats first: click a letter, or press ← or →.", { bad: true });
  const samples = strip.picked.map((at) => review.beats.sample[at]);
  strip.pick([]);
  say(`${samples.length} beat${samples.length === 1 ? " is" : "s are"} deleted. Z undoes.`);
  review.edit({ action: "delete_beats", samples });
}

async function insert(strip, review) {
  const sample = strip.peak;
  if (await review.edit({ action: "insert_beat", sample, label: "N" })) {
    strip.pick([review.nearest(sample)]);
    say("A normal beat is inserted. A letter gives it another class, Z undoes.");
  }
}
