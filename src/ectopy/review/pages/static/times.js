// Times of a recording as text.

const two = (number) => String(number).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export class Clock {
  constructor({ start, duration_s }) {
    // Recorders know no time zone: the time of day is shown as it stands in the file.
    this.start = start ? Date.parse(`${start.slice(0, 19)}Z`) / 1000 : null;
    this.days = duration_s > 86400;
  }

  text(time_s, { seconds = true, tenths = false } = {}) {
    const whole = Math.floor(time_s); // as in the report
    const tail = tenths ? `.${Math.floor((time_s - whole) * 10)}` : "";
    if (this.start === null) {
      const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
      return `${h}:${two(m)}${seconds ? `:${two(s)}${tail}` : ""}`;
    }
    const date = new Date((this.start + whole) * 1000);
    const day = this.days ? `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ` : "";
    const clock = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
    return day + clock + (seconds ? `:${two(date.getUTCSeconds())}${tail}` : "");
  }
}

export function duration(s) {
  if (s < 59.95) return s < 1 ? `${Math.round(s * 1000)} ms` : `${s.toFixed(1)} s`; // as in the report
  const whole = Math.round(s), minutes = Math.round(s / 60);
  return whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// What an event is, in a line: when, how long, how many beats, how fast.
export function facts({ onset, offset, n_beats, rate_bpm }, { doc, clock }) {
  return [`at ${clock.text(onset / doc.fs)}`, duration((offset - onset) / doc.fs), `${count(n_beats)} beats`, rate_bpm ? `${Math.round(rate_bpm)} bpm` : null]
    .filter(Boolean).join("  ·  ");
}

export const count = (number) => number.toLocaleString("en");
