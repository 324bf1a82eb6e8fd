// One recording under review: its beats, what the server says of it, and edits that are saved at once.

import { getBytes, getJSON, post } from "./api.js";
import { say } from "./dom.js";
import { Signal } from "./signal.js";
import { Clock, count } from "./times.js";

export const CLASS_NAMES = {
  N: "Normal", S: "Supraventricular ectopic", V: "Ventricular ectopic", F: "Fusion", P: "Paced", Q: "Unclassifiable", A: "Artefact",
};
export const LABEL_KEYS = { n: "N", s: "S", v: "V", f: "F", q: "Q", a: "A" };
export const NO_CLUSTER = 65535;
const LOW_CONFIDENCE = 1, REVIEWED = 2;
const POLL_MS = 3000;

export class Review extends EventTarget {
  static async open(name, initials) {
    const review = new Review(name, initials);
    await Promise.all([review.load(), review.loadBeats()]);
    review.clock = new Clock(review.doc);
    review.signal = new Signal(review);
    review.loadClusters();
    review.poll = setInterval(() => review.look(), POLL_MS);
    review.watch = setInterval(() => (review.seconds += document.hidden ? 0 : 1), 1000);
    return review;
  }

  constructor(name, initials) {
    super();
    this.path = `/api/recordings/${encodeURIComponent(name)}`;
    this.initials = initials;
    this.clusters = null;
    this.pending = 0;
    this.seconds = 0; // that somebody looks at this recording
    this.queue = Promise.resolve();
  }

  close() {
    clearInterval(this.poll);
    clearInterval(this.watch);
    this.closed = true;
  }

  changed(what) {
    if (!this.closed) this.dispatchEvent(new CustomEvent("change", { detail: what }));
  }

  async load() {
    this.take(await getJSON(this.path));
  }

  take(doc) {
    this.doc = { decisions: [], ...this.doc, ...doc };
    this.byId = new Map(this.doc.events.map((event) => [event.id, event]));
  }

  async loadBeats() {
    const bytes = await getBytes(`${this.path}/beats`);
    const n = new DataView(bytes).getInt32(0, true);
    this.beats = {
      sample: new Int32Array(bytes, 4, n),
      cluster: new Uint16Array(bytes, 4 + 4 * n, n),
      label: new Uint8Array(bytes, 4 + 6 * n, n),
      flags: new Uint8Array(bytes, 4 + 7 * n, n),
    };
  }

  // The clusters are found in the background; until then the pages say how far that is.
  async loadClusters() {
    const found = await getJSON(`${this.path}/clusters`).catch(() => null);
    if (this.closed) return;
    if (!found?.ready) {
      this.progress = found?.progress ?? 0;
      this.failure = found?.failure;
      this.changed("progress");
      if (!this.failure) setTimeout(() => this.loadClusters(), 400);
      return;
    }
    const shapes = new Float32Array(await getBytes(`${this.path}/clusters/shapes`));
    const { n_leads, length, clusters } = found;
    const size = n_leads * length;
    let at = 0;
    for (const cluster of clusters) {
      cluster.average = shapes.subarray(at, at + size);
      cluster.examples = Array.from({ length: cluster.n_examples }, (_, number) =>
        shapes.subarray(at + (number + 1) * size, at + (number + 2) * size));
      at += (cluster.n_examples + 1) * size;
    }
    this.clusters = found;
    await Promise.all([this.loadBeats(), this.loadDecisions()]);
    this.changed("clusters");
  }

  // What to ask next, after the edits so far. It takes longer than an edit, and nobody waits for it.
  async loadDecisions() {
    const { decisions } = await getJSON(`${this.path}/decisions`);
    const asked = new Int32Array(await getBytes(`${this.path}/decisions/beats`));
    if (this.pending) return;
    let at = 0;
    for (const decision of decisions) decision.samples = asked.subarray(at, (at += decision.n_beats));
    // Another window may have edited between both answers: what does not fit is asked the next time.
    this.doc.decisions = decisions.filter(({ event, first, n_beats, samples }) => event || (samples[0] === first && samples.length === n_beats));
    this.changed("decisions");
  }

  // Another window may have edited: take over what it did.
  async look() {
    if (document.hidden || this.pending) return;
    try {
      const { last_id, status, signal, arrangement } = await getJSON(`${this.path}/changes`);
      if (!this.pending && this.clusters && arrangement !== this.clusters.arrangement) await this.loadClusters();
      if (this.pending || (last_id === this.doc.last_id && status === this.doc.status && signal === this.doc.signal)) return;
      if (last_id !== this.doc.last_id) say("Another window changed this recording. Its edits are shown.");
      await Promise.all([this.load(), this.loadBeats(), this.loadDecisions()]);
      this.changed("edit");
    } catch (error) {
      say(error.message, { bad: true });
    }
  }

  // --- beats ---

  indexAt(sample) { // of the first beat at or after a sample
    const { sample: all } = this.beats;
    let [low, high] = [0, all.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (all[middle] < sample) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  nearest(sample) {
    const { sample: all } = this.beats, at = this.indexAt(sample);
    if (at === 0) return all.length ? 0 : -1;
    return at < all.length && all[at] - sample < sample - all[at - 1] ? at : at - 1;
  }

  letter(index) { return String.fromCharCode(this.beats.label[index]); }
  // Whether a beat is like the rhythm that it is in: a normal one, or a paced one.
  plain(index) { return "NP".includes(this.letter(index)); }
  unsure(index) { return (this.beats.flags[index] & LOW_CONFIDENCE) > 0; }
  reviewed(index) { return (this.beats.flags[index] & REVIEWED) > 0; }

  // Beats of each cluster by label, from the labels as they are shown now.
  tally() {
    const { cluster, label, flags } = this.beats;
    const counts = []; // a table of cluster, label and flags: a day has 100,000 beats, and every edit counts them
    for (let at = 0; at < label.length; at++) {
      const of = (counts[cluster[at]] ??= new Uint32Array(512));
      of[(label[at] << 2) | flags[at]]++;
    }
    const tallies = new Map();
    counts.forEach((of, number) => {
      if (number === NO_CLUSTER) return;
      const tally = { n: 0, low: 0, reviewed: 0, labels: {} };
      of.forEach((n, kind) => {
        if (!n) return;
        const letter = String.fromCharCode(kind >> 2);
        tally.n += n;
        tally.labels[letter] = (tally.labels[letter] ?? 0) + n;
        tally.low += n * (kind & LOW_CONFIDENCE);
        tally.reviewed += n * ((kind & REVIEWED) >> 1);
      });
      tallies.set(number, tally);
    });
    return tallies;
  }

  beatsAsked(decision) {
    return Array.from(decision.samples, (sample) => this.indexAt(sample)).filter((at, number) => this.beats.sample[at] === decision.samples[number]);
  }

  beatsOf(clusters) {
    const wanted = new Set(clusters), found = [];
    this.beats.cluster.forEach((number, at) => wanted.has(number) && found.push(at));
    return found;
  }

  // --- edits: shown at once, saved in order ---

  relabelClusters(numbers, letter) {
    const beats = this.beatsOf(numbers);
    this.show(beats, letter);
    return this.edit({ action: "relabel_clusters", clusters: numbers, arrangement: this.clusters.arrangement, to: letter, answer: true });
  }

  relabelBeats(indices, letter, answer = false) {
    const samples = indices.map((index) => this.beats.sample[index]);
    this.show(indices, letter);
    return this.edit({ action: "relabel_beats", samples, to: letter, answer });
  }

  show(indices, letter) {
    const code = letter.charCodeAt(0);
    for (const index of indices) {
      this.beats.label[index] = code;
      this.beats.flags[index] = REVIEWED;
    }
    this.changed("labels");
    say(`${count(indices.length)} beat${indices.length === 1 ? " is" : "s are"} ${CLASS_NAMES[letter].toLowerCase()} now. Z undoes.`);
  }

  // Clusters may be rearranged at will: that changes no label and is no edit. Return the numbers of those to look at.
  async rearrange(what) {
    try {
      await this.queue; // an answer that is being saved means the templates as they were
      const { numbers } = await post(`${this.path}/clusters`, what);
      await this.loadClusters();
      return numbers;
    } catch (error) {
      say(error.message, { bad: true });
      return null;
    }
  }

  edit(action) { return this.send("edits", action); }
  undo() { say(`Undone: ${this.doc.undo}`); return this.send("undo", {}); }
  redo() { say(`Done again: ${this.doc.redo}`); return this.send("redo", {}); }
  confirm() { return this.send("confirm", { seconds: this.seconds }); }
  reopen() { return this.send("reopen", {}); }

  send(where, body) {
    this.pending++;
    this.changed("saving");
    const run = async () => {
      try {
        const by = await this.initials();
        if (!by) throw new Error("Nothing was saved: every edit needs the initials of its reader.");
        const answer = await post(`${this.path}/${where}`, { ...body, by, last_id: this.doc.last_id });
        this.take(answer.recording);
        if (answer.said) say(answer.said);
        this.failed = false;
        if (this.pending === 1) await this.loadBeats();
        return true;
      } catch (error) {
        this.failed = true;
        say(error.message, { bad: true });
        await Promise.all([this.load(), this.loadBeats()]).catch(() => {});
        return false;
      } finally {
        this.pending--;
        this.changed("edit");
        if (!this.pending) this.deciding = this.loadDecisions().catch((error) => say(error.message, { bad: true }));
      }
    };
    this.queue = this.queue.then(run);
    return this.queue;
  }
}
