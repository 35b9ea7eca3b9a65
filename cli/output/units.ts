/** Sizes and durations for people, in volumectl and in the dashboard. */
const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `5368709120` → `5 GiB`; what is not a round number keeps one decimal; null → `unknown size`. */
export function sizeText(bytes: number | null): string {
  if (bytes === null) return 'unknown size';
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < SIZES.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${SIZES[unit]}`;
}

/** ms → `240 ms`, `3.2 s`, `1 min 05 s`, `2 h 10 min`. */
export function durationText(ms: number): string {
  if (ms < 0) return '0 ms';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${two(Math.floor(ms / 1000) % 60)} s`;
  return minutes < 48 * 60
    ? `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`
    : `${Math.floor(minutes / 1440)} days`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
