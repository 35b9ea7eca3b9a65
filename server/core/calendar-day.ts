/**
 * Does a time in ISO 8601 form begin with a day that there is? Date.parse takes the 30th of February
 * for the 2nd of March.
 */
export function isCalendarDay(time: string): boolean {
  const day = time.slice(0, 10);
  const ms = Date.parse(`${day}T00:00:00Z`);
  return Number.isFinite(ms) && new Date(ms).toISOString().startsWith(day);
}
