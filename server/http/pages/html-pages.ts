import { VOLUME_STATES } from '../../cloudstack/volume-states';
import { OPERATION_STATUSES, OPERATION_TYPES } from '../../model/operation';

/** A page and its Content-Security-Policy. */
export interface Page {
  readonly html: string;
  readonly policy: string;
}

const NOTHING_ELSE = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * The policy of the dashboard (sources in dashboard/, built to /ui). Its pages contain no data: their scripts
 * ask the API like any other client, with the token if there is one. Trusted types are required and none is
 * made, so text never becomes markup.
 */
const POLICY = `default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'; ${NOTHING_ELSE}`;

const HISTORY = `
    <p id="history-stale" class="banner stale" role="status" hidden></p>
    <p id="history-empty" class="empty" hidden>No operation matches.</p>
    <ul id="history-list" class="stack tight"></ul>
    <p class="more"><button id="history-more" type="button" hidden>Show more</button><span id="history-end" class="quiet" hidden></span></p>`;

function charts(title: string): string {
  return `
  <section aria-labelledby="chart-title">
    <div class="section-head">
      <h2 id="chart-title">${title}</h2>
      <form class="filter"><label>Time <select id="chart-span"><option value="hour">last hour</option><option value="day">last day</option></select></label></form>
    </div>
    <p id="chart-stale" class="banner stale" role="status" hidden></p>
    <div id="chart-list" class="charts"></div>
  </section>`;
}

/** GET /: the verdict, what goes on, and the history. */
export const DASHBOARD: Page = dashboardPage({
  title: 'Volume daemon',
  script: 'dashboard',
  instead:
    'The same figures: <a href="/api/v1/health">health</a>, <a href="/api/v1/operations">operations</a>, <a href="/api/v1/devices">devices</a>, <a href="/api/v1/exports">exports</a>.',
  content: `
  <section aria-labelledby="health-title">
    <h2 id="health-title" class="visually-hidden">Health</h2>
    <p id="verdict" class="verdict" role="status" data-tone="idle"><strong id="verdict-word">Looking…</strong> <span id="verdict-reason"></span></p>
    <ul id="health-list" class="cards"></ul>
  </section>
  <div class="columns">
    <section aria-labelledby="active-title">
      <div class="section-head"><h2 id="active-title">In progress <span id="active-count" class="count"></span></h2></div>
      <p id="active-stale" class="banner stale" role="status" hidden></p>
      <p id="active-empty" class="empty" hidden>Nothing is running.</p>
      <ul id="active-list" class="stack"></ul>
    </section>
    <section aria-labelledby="drift-title">
      <div class="section-head">
        <h2 id="drift-title">Drifts <span id="drift-count" class="count"></span></h2>
        <button id="sync-open" type="button" hidden>Force sync…</button>
      </div>
      <p id="drift-stale" class="banner stale" role="status" hidden></p>
      <p id="drift-empty" class="empty" hidden>CloudStack, guest, database and exports agree.</p>
      <ul id="drift-list" class="stack"></ul>
    </section>
  </div>
  <section aria-labelledby="device-title">
    <div class="section-head">
      <h2 id="device-title">Volumes, devices, exports <span id="device-count" class="count"></span></h2>
      <div class="acts"><a class="button" href="/volumes">All volumes</a><div id="device-acts" class="acts"></div></div>
    </div>
    <p id="device-stale" class="banner stale" role="status" hidden></p>
    <p id="device-empty" class="empty" hidden>No volume is attached.</p>
    <ul id="device-list" class="stack tight"></ul>
  </section>${charts('Course')}
  <section aria-labelledby="history-title">
    <div class="section-head">
      <h2 id="history-title">History</h2>
      <form id="history-filter" class="filter" role="search" aria-label="History">
        <label>Type <select name="type"><option value="">all</option>${options(OPERATION_TYPES)}</select></label>
        <label>Status <select name="status"><option value="">all</option>${options(OPERATION_STATUSES)}</select></label>
        <label>Find <input name="find" type="search" placeholder="name, id or error" autocomplete="off" spellcheck="false"></label>
      </form>
    </div>${HISTORY}
  </section>`,
  after: `
<dialog id="sync-dialog" aria-labelledby="sync-title">
  <h2 id="sync-title">Dry run</h2>
  <p id="sync-summary" role="status"></p>
  <ul id="sync-list" class="stack tight"></ul>
  <p class="actions"><button id="sync-close" type="button">Close</button><button id="sync-confirm" type="button" class="primary" hidden>Repair</button></p>
</dialog>`,
});

/** GET /volumes: what CloudStack shows, as the address filters it. */
export const VOLUMES_PAGE: Page = dashboardPage({
  title: 'Volumes: volume daemon',
  script: 'volumes',
  instead: 'The API has the same: <a href="/api/v1/volumes">GET /api/v1/volumes</a>.',
  content: `
  <section aria-labelledby="volumes-title">
    <p class="trail"><a href="/">Overview</a> › Volumes</p>
    <div class="section-head">
      <div><h2 id="volumes-title" class="page-title">Volumes</h2><span id="volumes-as-of" class="quiet"></span></div>
      <form id="volumes-filter" class="filter" role="search" aria-label="Volumes">
        <label>Name <input name="name" type="search" placeholder="part of the name" autocomplete="off" spellcheck="false"></label>
        <label>State <select name="state"><option value="">all</option>${options(VOLUME_STATES)}</select></label>
        <label>Attached <select name="attached"><option value="">all</option><option value="true">yes</option><option value="false">no</option></select></label>
        <label>VM <input name="vm_id" type="search" placeholder="id of the VM" autocomplete="off" spellcheck="false"></label>
        <label>Project <input name="project" type="search" placeholder="id of the project" autocomplete="off" spellcheck="false"></label>
      </form>
    </div>
    <p id="volumes-stale" class="banner stale" role="status" hidden></p>
    <p id="volumes-hidden" class="banner" role="status" hidden></p>
    <p id="volumes-empty" class="empty" hidden>No volume matches.</p>
    <ul id="volumes-list" class="stack tight"></ul>
    <nav class="more" aria-label="Pages of the list"><a id="volumes-first" class="button" hidden>First page</a> <a id="volumes-next" class="button" hidden>Next page</a></nav>
  </section>`,
});

/** GET /volumes/{id} */
export const VOLUME_PAGE: Page = dashboardPage({
  title: 'Volume: volume daemon',
  script: 'volume',
  instead: 'The API has the same: GET /api/v1/volumes/{id}/evidence.',
  content: `
  <section aria-labelledby="volume-title">
    <p class="trail"><a href="/">Overview</a> › <a href="/volumes">Volumes</a> › Volume</p>
    <div class="section-head">
      <div><h2 id="volume-title" class="page-title">Volume</h2><code id="volume-id"></code></div>
      <div id="volume-acts" class="acts"></div>
    </div>
  </section>
  <section id="drift-section" aria-labelledby="drift-title" hidden>
    <h2 id="drift-title">Drifts</h2>
    <ul id="drift-list" class="stack"></ul>
  </section>
  <div class="columns">
    <section aria-labelledby="witness-title">
      <h2 id="witness-title">What is known of it <span id="witness-as-of" class="quiet"></span></h2>
      <p id="witness-stale" class="banner stale" role="status" hidden></p>
      <div id="witness-list" class="card"></div>
    </section>
    <section aria-labelledby="export-title">
      <h2 id="export-title">NBD export <span id="export-state"></span></h2>
      <p id="export-stale" class="banner stale" role="status" hidden></p>
      <p id="export-empty" class="empty" hidden>It is not exported.</p>
      <div id="export-list"></div>
    </section>
  </div>
  <section aria-labelledby="snapshot-title">
    <h2 id="snapshot-title">Snapshots <span id="snapshot-count" class="count"></span></h2>
    <p id="snapshot-stale" class="banner stale" role="status" hidden></p>
    <p id="snapshot-empty" class="empty" hidden>There is none.</p>
    <ul id="snapshot-list" class="stack tight"></ul>
  </section>${charts('What flows')}
  <section aria-labelledby="history-title">
    <h2 id="history-title">Operations</h2>${HISTORY}
  </section>`,
});

/** GET /operations/{id} */
export const OPERATION_PAGE: Page = dashboardPage({
  title: 'Operation: volume daemon',
  script: 'operation',
  instead: 'The API has the same: GET /api/v1/operations/{id}.',
  content: `
  <section aria-labelledby="operation-title">
    <p class="trail"><a href="/">Overview</a> › Operation</p>
    <div class="section-head">
      <h2 id="operation-title" class="page-title">Operation</h2>
      <div class="head-end"><span id="operation-state"></span><div id="operation-acts"></div></div>
    </div>
    <p id="operation-problem" class="problem" role="status" hidden></p>
    <div id="operation-steps"></div>
  </section>
  <section aria-labelledby="facts-title">
    <h2 id="facts-title">What was asked for</h2>
    <div id="operation-facts" class="card"></div>
  </section>
  <section aria-labelledby="journal-title">
    <h2 id="journal-title">Journal</h2>
    <p id="journal-stale" class="banner stale" role="status" hidden></p>
    <p id="journal-empty" class="empty" hidden>It has not been read yet.</p>
    <ol id="journal-list" class="journal"></ol>
  </section>`,
});

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

interface DashboardPage {
  readonly title: string;
  /** Of dashboard/build.ts. */
  readonly script: string;
  /** For a browser without scripts. */
  readonly instead: string;
  readonly content: string;
  readonly after?: string;
}

function dashboardPage({ title, script, instead, content, after = '' }: DashboardPage): Page {
  return {
    policy: POLICY,
    html: page({
      title,
      head: `<link rel="stylesheet" href="/ui/uplot.css"><link rel="stylesheet" href="/ui/dashboard.css"><script type="module" src="/ui/${script}.js"></script>`,
      body: `
<a class="skip" href="#main">Skip to content</a>
<header class="top">
  <div class="brand"><img src="/ui/icon.svg" alt="" width="28" height="28"><h1><a href="/">Volume daemon</a></h1><span id="appliance" class="quiet"></span></div>
  <div class="top-end">
    <span id="caller" class="quiet"></span>
    <span id="connection" class="connection" role="status" data-state="connecting">Connecting…</span>
    <a class="button" href="/docs">API</a>
  </div>
</header>
<main id="main">
  <noscript><p class="banner">This page needs JavaScript. ${instead}</p></noscript>
  <p id="offline" class="banner" role="alert" hidden></p>
  <form id="token-form" class="card token" hidden>
    <label for="token">This daemon wants a token. It is kept in this tab only.</label>
    <span class="row"><input id="token" type="password" autocomplete="off" required pattern="[ -~]+" title="A token has letters, digits and signs of ASCII only"><button type="submit">Open</button></span>
  </form>${content}
</main>${after}`,
    }),
  };
}

function options(words: readonly string[]): string {
  return words.map((word) => `<option>${word}</option>`).join('');
}

function page({ title, head, body }: { title: string; head: string; body: string }): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>${title}</title><link rel="icon" href="/ui/icon.svg" type="image/svg+xml">${head}</head>
<body>${body}
</body></html>
`;
}
