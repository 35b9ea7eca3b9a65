import { createHash } from 'node:crypto';
import { ERRORS } from '../runtime/errors';
import { endpoints } from './registry';

/** A page and the policy it may be shown under: its own style sheet, nothing else, no script. */
export interface Page {
  readonly html: string;
  readonly policy: string;
}

const STYLE = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8884;vertical-align:top}
code{font-family:ui-monospace,monospace}h2{margin-top:2rem}`;

/** GET /: where a person who opened the address finds out what this is. */
export function indexPage(version: string): Page {
  return page(
    'Volume Management Daemon',
    `<p>Version ${escapeHtml(version)}. The one owner of CloudStack volumes, Linux devices and NBD exports on this appliance.</p>
<ul><li><a href="/docs">The API</a> (<a href="/api/v1/openapi.json">OpenAPI 3.1</a>)</li>
<li><a href="/api/v1/health">Health</a></li><li><a href="/api/v1/metrics">Metrics</a> (<a href="/metrics">Prometheus</a>)</li>
<li><a href="/api/v1/operations">Operations</a>, <a href="/api/v1/devices">devices</a>, <a href="/api/v1/exports">exports</a></li></ul>`,
  );
}

/** GET /docs: the registry of endpoints and the catalogue of errors, for people. */
export function docsPage(version: string): Page {
  const tags = [...new Set(endpoints().map(({ tag }) => tag))];
  const tables = tags.map((tag) => {
    const rows = endpoints()
      .filter((endpoint) => endpoint.tag === tag)
      .map(
        ({ method, path, summary, description }) =>
          [`${method} ${path}`, `${summary}. ${description ?? ''}`] as const,
      );
    return `<h2>${escapeHtml(tag)}</h2>${table(['endpoint', 'what it does'], rows)}`;
  });
  const errors = Object.entries(ERRORS).map(
    ([code, { status, title, fix }]) => [code, `${status} ${title}. ${fix}`] as const,
  );
  return page(
    'API',
    `<p>Version ${escapeHtml(version)}. Machine readable: <a href="/api/v1/openapi.json">OpenAPI 3.1</a>.</p>
${tables.join('\n')}<h2>errors</h2>${table(['code', 'meaning'], errors)}`,
  );
}

function table(head: readonly [string, string], rows: readonly (readonly [string, string])[]): string {
  const cells = rows.map(
    ([left, right]) => `<tr><td><code>${escapeHtml(left)}</code></td><td>${escapeHtml(right)}</td></tr>`,
  );
  return `<table><thead><tr><th>${head[0]}</th><th>${head[1]}</th></tr></thead><tbody>${cells.join('\n')}</tbody></table>`;
}

function page(title: string, body: string): Page {
  const hash = createHash('sha256').update(STYLE).digest('base64');
  return {
    policy: `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    html: `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head><body><h1>${escapeHtml(title)}</h1>${body}</body></html>`,
  };
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
