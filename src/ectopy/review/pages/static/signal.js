// The signal in tiles, fetched when they are needed and kept while there is room.

import { getBytes } from "./api.js";

const TILE_BINS = 4096, MOST_TILES = 500;

export class Signal {
  constructor(review) {
    this.review = review;
    this.tiles = new Map();
    this.waiting = new Map();
  }

  // A tile has, for each lead, the lowest and highest value of each bin of `step` samples.
  tile(step, number) {
    const id = `${step}:${number}`, kept = this.tiles.get(id);
    if (kept) { // the latest is last
      this.tiles.delete(id);
      this.tiles.set(id, kept);
      return kept;
    }
    if (!this.waiting.has(id)) this.waiting.set(id, this.fetch(id, step, number));
    return null;
  }

  async fetch(id, step, number) {
    const start = number * TILE_BINS * step;
    const stop = Math.min(start + TILE_BINS * step, this.review.doc.n_samples);
    try {
      const values = new Float32Array(await getBytes(`${this.review.path}/signal?start=${start}&stop=${stop}&step=${step}`));
      const n_bins = Math.ceil((stop - start) / step);
      this.tiles.set(id, { values, n_bins, per_bin: step === 1 ? 1 : 2 });
      if (this.tiles.size > MOST_TILES) this.tiles.delete(this.tiles.keys().next().value);
      this.review.changed("signal");
    } catch {
      this.tiles.set(id, { values: null, n_bins: 0, per_bin: 1 });
    } finally {
      this.waiting.delete(id);
    }
  }

  // Return [low, high] of each bin of one lead from sample `start` on; NaN where nothing is there (yet).
  read(lead, start, stop, step) {
    const first = Math.floor(start / step), last = Math.ceil(Math.min(stop, this.review.doc.n_samples) / step);
    const n = Math.max(last - first, 0);
    const low = new Float32Array(n).fill(NaN), high = step === 1 ? low : new Float32Array(n).fill(NaN);
    let complete = this.review.doc.signal;
    for (let number = Math.floor(first / TILE_BINS); complete !== null && number * TILE_BINS < last; number++) {
      if (number < 0 || !this.review.doc.signal) continue;
      const tile = this.tile(step, number);
      if (!tile?.values) {
        complete = false;
        continue;
      }
      const { values, n_bins, per_bin } = tile, offset = lead * n_bins * per_bin, tileAt = number * TILE_BINS;
      for (let at = Math.max(first, tileAt); at < Math.min(last, tileAt + n_bins); at++) {
        const source = offset + (at - tileAt) * per_bin;
        low[at - first] = values[source];
        if (per_bin === 2) high[at - first] = values[source + 1];
      }
    }
    return { low, high, first: first * step, step, complete };
  }

  // Ask for what will be looked at next.
  prepare(start, stop, step = 1) {
    if (!this.review.doc.signal) return;
    const reach = TILE_BINS * step;
    const from = Math.max(Math.floor(start / reach), 0), to = Math.min(stop, this.review.doc.n_samples);
    for (let number = from; number * reach < to; number++) this.tile(step, number);
  }
}
