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
    const whole = tenths ? Math.floor(time_s) : Math.round(time_s);
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
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
}

export const count = (number) => number.toLocaleString("en").replaceAll(",", "\u202f");
