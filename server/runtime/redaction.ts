/** Removes secrets from texts: registered values in every form they travel in, and whatever looks like a credential. */
export interface Redactor {
  /** Remembers a secret; short ones (under 4 characters) are not worth hiding and would eat the text. */
  register(secret: string): void;
  redact(text: string): string;
}

const MASK = '***';
const SHORTEST = 4;
const CREDENTIAL = /\b(apikey|api_key|secretkey|secret_key|signature|password|token)=([^&\s"']+)/gi;
const DSN_PASSWORD = /(\b[\w.-]+):([^\s@/]+)@(tcp|unix)\(/g;
const BEARER = /\b(Bearer)\s+[\w.~+/=-]+/gi;

/** Field names whose values are never shown. */
const SECRET_FIELD = /password|passwd|secret|token|signature|api_?key|encryption_?key|authorization/i;

export function createRedactor(): Redactor {
  const secrets = new Set<string>();
  return {
    register: (secret) => {
      if (secret.length < SHORTEST) return;
      for (const form of [secret, encodeURIComponent(secret), new URLSearchParams({ s: secret }).toString().slice(2), JSON.stringify(secret).slice(1, -1)]) secrets.add(form);
    },
    redact: (text) => {
      let clean = text;
      for (const secret of secrets) clean = clean.replaceAll(secret, MASK);
      return clean.replace(CREDENTIAL, `$1=${MASK}`).replace(DSN_PASSWORD, `$1:${MASK}@$3(`).replace(BEARER, `$1 ${MASK}`);
    },
  };
}

export function isSecretField(name: string): boolean {
  return SECRET_FIELD.test(name);
}
