import { durationText } from '../../cli/output/units';

/** The duration of something that still runs, in whole seconds: tenths would only flicker. */
export function runningFor(ms: number): string {
  return ms < 60_000 ? `${Math.max(0, Math.floor(ms / 1000))} s` : durationText(ms);
}

/** An instant → local time of day, with the date when it is not today. */
export function clockTime(instant: string | number, now: Date = new Date()): string {
  const date = new Date(instant);
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  if (date.toDateString() === now.toDateString()) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

/** An instant → `00:05`, local, by 24 hours: what browsers make of `hour12: false` may be `24:05`. */
export function minuteOfDay(instant: number): string {
  const date = new Date(instant);
  return `${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** The first block of a UUID; whole ids are in the title and in the details. */
export function shortId(id: string): string {
  return /^[0-9a-f]{8}-/.test(id) ? id.slice(0, 8) : id;
}

/** `/dev/vdb` → `vdb`, as people call it; the whole path is in the title. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** A figure of a chart, with the digits that tell a tick of its axis from the next one. */
export function figureText(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3)));
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
