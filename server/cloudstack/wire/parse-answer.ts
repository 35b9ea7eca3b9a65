/**
 * What a server with `encode.api.response` makes of a text: ASCII letters and digits stay, and so
 * does what is not ASCII.
 */
const ENCODED = /^(?:[A-Za-z0-9]|[^\u0000-\u007f]|%[0-7][0-9A-F])*$/;
const ESCAPE = /%[0-7][0-9A-F]/;
/** Dates are no texts to it, and stay as they are. */
const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}$/;

/**
 * The content of an answer; undefined when it is no JSON. A CloudStack with the setting `encode.api.response`
 * percent-encodes every text, the hyphens of ids and the words of errors too: such an answer is decoded.
 *
 * @example
 * parseAnswer('{"jobid":"1%2D2"}'); // { jobid: '1-2' }
 */
export function parseAnswer(text: string): unknown {
  const answer = parseLenient(text);
  if (!ESCAPE.test(text) || !isEncoded(answer)) return answer;
  return mapTexts(answer, decodeURIComponent);
}

/**
 * One text that is not encoded shows that none is: ids have hyphens, versions have dots, and errors have
 * spaces.
 */
function isEncoded(answer: unknown): boolean {
  let encoded = true;
  mapTexts(answer, (text) => {
    encoded &&= ENCODED.test(text);
    return text;
  });
  return encoded;
}

function mapTexts(answer: unknown, change: (text: string) => string): unknown {
  return JSON.parse(JSON.stringify(answer ?? null), (_name, value: unknown) =>
    typeof value === 'string' && !DATE.test(value) ? change(value) : value,
  );
}

/**
 * CloudStack un-escapes \uXXXX when it writes JSON, so there can be raw control characters: they are removed
 * and the text parsed again.
 */
function parseLenient(text: string): unknown {
  for (const candidate of [text, text.replace(/[\u0000-\u001f]/g, ' ')]) {
    try {
      return JSON.parse(candidate);
    } catch {
      // tried again below
    }
  }
  return undefined;
}
