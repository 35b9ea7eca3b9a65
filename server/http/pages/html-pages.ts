/** A page and its Content-Security-Policy. */
export interface Page {
  readonly html: string;
  readonly policy: string;
}

const NOTHING_ELSE = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * GET /: the dashboard (sources in dashboard/, built to /ui). The page contains no data: its script asks the
 * API like any other client, with the token if there is one. It requires trusted types and creates none, so
 * text never becomes markup.
 */
export const DASHBOARD: Page = {
  policy: `default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'; ${NOTHING_ELSE}`,
  html: page({
    title: 'Volume daemon',
    head: '<link rel="stylesheet" href="/ui/dashboard.css"><script type="module" src="/ui/dashboard.js"></script>',
    body: `
<a class="skip" href="#main">Skip to content</a>
<header class="top">
  <div class="brand"><img src="/ui/icon.svg" alt="" width="28" height="28"><h1>Volume daemon</h1><span id="appliance" class="quiet"></span></div>
  <div class="top-end">
    <span id="connection" class="connection" role="status" data-state="connecting">Connecting…</span>
    <button id="sync-open" type="button">Force sync…</button>
    <a class="button" href="/docs">API</a>
  </div>
</header>
<main id="main">
  <noscript><p class="banner">This page needs JavaScript. The same figures: <a href="/api/v1/health">health</a>, <a href="/api/v1/operations">operations</a>,
    <a href="/api/v1/devices">devices</a>, <a href="/api/v1/exports">exports</a>.</p></noscript>
  <p id="offline" class="banner" role="alert" hidden></p>
  <form id="token-form" class="card token" hidden>
    <label for="token">This daemon wants its token (the content of TOKEN_FILE). It is kept in this tab only.</label>
    <span class="row"><input id="token" type="password" autocomplete="off" required><button type="submit">Open</button></span>
  </form>
  <section aria-labelledby="health-title">
    <h2 id="health-title" class="visually-hidden">Health</h2>
    <p id="verdict" class="verdict" role="status" data-tone="idle"><strong id="verdict-word">Looking…</strong> <span id="verdict-reason"></span></p>
    <ul id="health-list" class="cards"></ul>
  </section>
  <div class="columns">
    <section aria-labelledby="active-title">
      <h2 id="active-title">In progress <span id="active-count" class="count"></span></h2>
      <p id="active-stale" class="banner stale" role="status" hidden></p>
      <p id="active-empty" class="empty" hidden>Nothing is running.</p>
      <ul id="active-list" class="stack"></ul>
    </section>
    <section aria-labelledby="drift-title">
      <h2 id="drift-title">Drifts <span id="drift-count" class="count"></span></h2>
      <p id="drift-stale" class="banner stale" role="status" hidden></p>
      <p id="drift-empty" class="empty" hidden>CloudStack, guest, database and exports agree.</p>
      <ul id="drift-list" class="stack"></ul>
    </section>
  </div>
  <section aria-labelledby="device-title">
    <h2 id="device-title">Volumes, devices, exports <span id="device-count" class="count"></span></h2>
    <p id="device-stale" class="banner stale" role="status" hidden></p>
    <p id="device-empty" class="empty" hidden>No volume is attached.</p>
    <ul id="device-list" class="stack tight"></ul>
  </section>
  <section aria-labelledby="history-title">
    <div class="section-head">
      <h2 id="history-title">History</h2>
      <form id="history-filter" class="filter" role="search" aria-label="History">
        <label>Type <select name="type"><option value="">all</option><option>create</option><option>attach</option><option>detach</option><option>delete</option><option>recover</option><option>cleanup</option></select></label>
        <label>Status <select name="status"><option value="">all</option><option>pending</option><option>executing</option><option>completed</option><option>failed</option><option>cancelled</option></select></label>
        <label>Find <input name="text" type="search" placeholder="name, id or error" autocomplete="off" spellcheck="false"></label>
      </form>
    </div>
    <p id="history-stale" class="banner stale" role="status" hidden></p>
    <p id="history-empty" class="empty" hidden>No operation matches.</p>
    <ul id="history-list" class="stack tight"></ul>
    <p class="more"><button id="history-more" type="button" hidden>Show more</button></p>
  </section>
</main>
<dialog id="sync-dialog" aria-labelledby="sync-title">
  <h2 id="sync-title">Dry run</h2>
  <p id="sync-summary" role="status"></p>
  <ul id="sync-list" class="stack tight"></ul>
  <p class="actions"><button id="sync-close" type="button">Close</button><button id="sync-confirm" type="button" class="primary" hidden>Repair</button></p>
</dialog>`,
  }),
};

/**
 * GET /docs: the OpenAPI document as an interactive page, by @scalar/api-reference from our own files. Its
 * bundle adds style elements and attributes, so inline styles are allowed; inline scripts and other origins
 * are not.
 */
export const DOCS: Page = {
  policy: `default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' data:; font-src 'self' data:; ${NOTHING_ELSE}`,
  html: page({
    title: 'Volume daemon: the API',
    head: '<link rel="stylesheet" href="/ui/docs.css"><script defer src="/ui/api-reference.js"></script><script type="module" src="/ui/docs.js"></script>',
    body: `
<nav class="bar" aria-label="Pages"><a href="/">← Dashboard</a><a href="/api/v1/openapi.json">openapi.json</a></nav>
<p id="notice" role="status">Loading the API document…</p>
<div id="app"></div>`,
  }),
};

function page({ title, head, body }: { title: string; head: string; body: string }): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>${title}</title><link rel="icon" href="/ui/icon.svg" type="image/svg+xml">${head}</head>
<body>${body}
</body></html>
`;
}
