// Drawing on canvases: ECG paper, traces, letters. One renderer for strips, templates and full disclosure.

export const PX_PER_MM = 96 / 25.4;
const NAMES = ["paper", "fine", "bold", "trace", "frame", "ink", "soft", "line", "card", "accent", "v", "s", "f", "q", "gap", "band",
  "important", "note", "chosen"];

let shades = null;
export function colours() {
  if (!shades) {
    const style = getComputedStyle(document.documentElement);
    shades = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }
  return shades;
}
export const forgetColours = () => (shades = null);

export function ofLabel(letter) {
  const shade = colours();
  return { V: shade.v, S: shade.s, F: shade.f, Q: shade.q, P: shade.q, A: shade.q }[letter] ?? shade.trace;
}
export const ofKind = (name) =>
  ({ ventricular: colours().v, supraventricular: colours().s, important: colours().important }[name] ?? colours().note);

export function ofRhythm(name) {
  const shade = colours();
  return {
    vf: shade.v, vt: shade.v, asystole: shade.ink, af: shade.f, svt: shade.s, idioventricular: shade.important,
    pattern: shade.q, slow: shade.accent, fast: shade.accent, artefact: shade.gap,
  }[name] ?? shade.band;
}

// Fit a canvas to its place and its screen; return its context in CSS pixels, and its size.
export function fitted(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas, ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, width, height };
}

export function paper(context, x, y, width, height, mm = PX_PER_MM) {
  const shade = colours();
  context.fillStyle = shade.paper;
  context.fillRect(x, y, width, height);
  for (const [every, colour, from] of [[1, shade.fine, 2.5], [5, shade.bold, 0]]) {
    if (mm * every < 3 || mm < from) continue;
    context.beginPath();
    for (let at = 0; at <= width; at += mm * every) {
      context.moveTo(Math.round(x + at) + 0.5, y);
      context.lineTo(Math.round(x + at) + 0.5, y + height);
    }
    for (let at = 0; at <= height; at += mm * every) {
      context.moveTo(x, Math.round(y + at) + 0.5);
      context.lineTo(x + width, Math.round(y + at) + 0.5);
    }
    context.strokeStyle = colour;
    context.lineWidth = every === 1 ? 0.6 : 1;
    context.stroke();
  }
}

// Draw bins of signal. x0 is the place of the first bin, dx the width of a bin, y the place of 0 mV.
export function trace(context, { low, high }, { x0, dx, y, px_per_mv, colour, width = 1.3, from = 0, to = low.length }) {
  context.beginPath();
  let pen = false;
  for (let at = Math.max(from, 0); at < Math.min(to, low.length); at++) {
    const bottom = low[at], top = high[at];
    if (bottom !== bottom) { // NaN: the pen is lifted
      pen = false;
      continue;
    }
    const x = x0 + at * dx;
    if (pen) context.lineTo(x, y - bottom * px_per_mv);
    else context.moveTo(x, y - bottom * px_per_mv);
    if (top !== bottom) context.lineTo(x, y - top * px_per_mv);
    pen = true;
  }
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.stroke();
}

// Return the median of some of the values, and how far they reach to either side of it.
export function extent(values, step = Math.max(1, values.length >> 10)) {
  const some = [];
  let low = Infinity, high = -Infinity;
  for (let at = 0; at < values.length; at += 1) {
    const value = values[at];
    if (value !== value) continue;
    if (value < low) low = value;
    if (value > high) high = value;
    if (at % step === 0) some.push(value);
  }
  if (!some.length) return { middle: 0, below: 0.5, above: 0.5 };
  some.sort((a, b) => a - b);
  const middle = some[some.length >> 1];
  return { middle, below: middle - low, above: high - middle };
}
