/** Removes registered secrets from texts, in every form they travel in, and whatever looks like one. */
export interface Redactor {
  /** Remembers a secret; those under 4 characters are not worth hiding and would eat the text. */
  register(secret: string): void;
  redact(text: string): string;
}

export const MASK = '***';
const SHORTEST = 4;
/** `name=value` and `"name":"value"` of queries, forms and JSON bodies; CloudStack's own names included. */
const CREDENTIAL =
  /(api_?key|secret_?key|signature|passw(?:or)?d|(?:access_?|session_?)?token|session_?key)(=|\\?"\s*:\s*\\?")([^&\s"'\\]+)/gi;
/** `user:password@tcp(`. Every repetition has a bound: without it the time would grow quadratically. */
const DSN_PASSWORD = /([^\s:@/"'(]{1,80}):(\S{0,256})@(tcp[46]?|unix)\(/g;
const DSN_ADDRESS = /@(tcp[46]?|unix)\(/;
/** `scheme://user:password@host`. */
const URL_PASSWORD = /(\b[a-z][a-z0-9+.-]{0,20}:\/\/[^\s:@/?#]{0,128}):[^\s/?#]{0,256}@/gi;
/** Our own named tokens, wherever they stand. */
const NAMED_TOKEN = /\bvmd_[\w-]{43}/g;
const BEARER = /\b(Bearer)\s+[\w.~+/=-]+/gi;

/** Field names whose values are never shown. */
const SECRET_FIELD =
  /passw(or)?d|passphrase|secret|token|signature|api[_-]?key|(encryption|private|session)[_-]?key|authorization|credential|cookie/i;
/** Names that only speak of a secret. */
const HARMLESS_FIELD = /^(tokens?_?file|signature_?version)$/i;

export function isSecretField(name: string): boolean {
  return SECRET_FIELD.test(name) && !HARMLESS_FIELD.test(name);
}

export function createRedactor(): Redactor {
  const forms = new Set<string>();
  // Longest first: where one secret begins with another, the rest of it must not stay.
  let ordered: readonly string[] = [];
  return {
    register: (secret) => {
      if (secret.length < SHORTEST) return;
      for (const form of formsOf(secret)) if (form.length >= SHORTEST) forms.add(form);
      ordered = [...forms].sort((a, b) => b.length - a.length);
    },
    redact: (text) => {
      let clean = text;
      for (const form of ordered) clean = clean.replaceAll(form, MASK);
      if (DSN_ADDRESS.test(clean)) clean = clean.replace(DSN_PASSWORD, `$1:${MASK}@$3(`);
      if (clean.includes('://')) clean = clean.replace(URL_PASSWORD, `$1:${MASK}@`);
      return clean
        .replace(CREDENTIAL, `$1$2${MASK}`)
        .replace(BEARER, `$1 ${MASK}`)
        .replace(NAMED_TOKEN, MASK);
    },
  };
}

/**
 * The forms a secret travels in: as it is, without base64 padding, inside JSON, URL-encoded by several rules,
 * and in lower case, because CloudStack signs the lower-cased query.
 */
function formsOf(secret: string): string[] {
  const encoded = percentEncoded(secret);
  const strict = encoded.replace(/[!'()*~]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
  const form = new URLSearchParams({ s: secret }).toString().slice(2);
  const plain = [
    secret,
    secret.replace(/=+$/, ''),
    JSON.stringify(secret).slice(1, -1),
    encoded,
    strict,
    form,
  ];
  const lowerHex = [encoded, strict, form].map((text) =>
    text.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
  );
  return [...plain, ...lowerHex, ...plain.map((text) => text.toLowerCase())];
}

/** A lone surrogate cannot be encoded, and so cannot travel encoded either. */
function percentEncoded(text: string): string {
  try {
    return encodeURIComponent(text);
  } catch {
    return text;
  }
}
