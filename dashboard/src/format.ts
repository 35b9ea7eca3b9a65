/** ms → `240 ms`, `3.2 s`, `1 min 05 s`, `2 h 10 min`. */
export function duration(ms: number): string {
  if (ms < 0) return '0 ms';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${two(Math.floor(ms / 1000) % 60)} s`;
  return minutes < 48 * 60
    ? `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`
    : `${Math.floor(minutes / 1440)} days`;
}

/** The same for what is still running, without tenths that would only flicker. */
export function runningFor(ms: number): string {
  return ms < 60_000 ? `${Math.max(0, Math.floor(ms / 1000))} s` : duration(ms);
}

/** Bytes → `10 GiB`. */
export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[unit]}`;
}

/** An instant → local time of day, with the date when it is not today. */
export function clockTime(instant: string | number, now: Date = new Date()): string {
  const date = new Date(instant);
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  if (date.toDateString() === now.toDateString()) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

/** The first block of a UUID; whole ids are in the title and in the details. */
export function shortId(id: string): string {
  return /^[0-9a-f]{8}-/.test(id) ? id.slice(0, 8) : id;
}

/** `/dev/vdb` → `vdb`, as people call it; the whole path is in the title. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function plural(count: number, one: string, many: string = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
