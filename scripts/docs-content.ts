import { readdirSync, readFileSync } from 'node:fs';
import { baselineHeadline, baselineTables } from '~/bench/report';
import { cliDoc, manualPage } from '~/cli/manual';
import { SHELLS } from '~/cli/shells/shells';
import { NOUNS } from '~/cli/tree';
import { stateOf, VOLUME_STATES } from '~/server/cloudstack/volume-states';
import { ERRORS } from '~/server/core/errors';
import type { Variable } from '~/server/daemon/configuration/variable';
import { VARIABLES } from '~/server/daemon/configuration/variables';
import { endpoints } from '~/server/http/endpoints/registry';
import { healthSchema } from '~/server/http/schemas/service';

const NOTE = '<!-- Made from the code by `npm run docs`; edit the code instead. -->';

/** docs/reference/configuration.md, from the table of environment variables. */
function configurationDoc(): string {
  const rows = Object.values<Variable<unknown>>(VARIABLES).map(
    ({ name, fallback, doc, secret, parse }) =>
      `| \`${name}\` | ${fallback ? `\`${fallback}\`` : '–'} | ${parse.allows ?? '–'} | ${doc}${secret ? ' Secret: never shown.' : ''} |`,
  );
  return `# Configuration

${NOTE}

The daemon is configured by environment variables only (\`/etc/default/volume-daemon\` with the packaged unit). All mistakes are reported at once and the
daemon exits with 1. \`node .output/server/index.mjs --check-config\` prints what is in force in its own environment, secrets masked; what the packaged unit would run with is shown by
\`systemd-run --pipe --wait --quiet -p EnvironmentFile=/etc/default/volume-daemon /usr/bin/node /usr/lib/volume-daemon/server/index.mjs --check-config\`
(a package that has its own Node: \`/usr/lib/volume-daemon/bin/node\`). CloudStack's URL and keys are in the database
table \`ossea_configs\` and take effect within 5 seconds of a change, without a restart.

Durations: \`2s\`, \`500ms\`, \`1m30s\`; a plain number is milliseconds. Sizes: \`3GiB\`, \`512MiB\`, or plain bytes. An empty variable is an unset one.
Nitro's own \`NITRO_HOST\`, \`NITRO_PORT\` and \`NITRO_UNIX_SOCKET\` are refused: use \`HOST\`, \`PORT\` and \`UNIX_SOCKET\`; so are \`NITRO_SSL_CERT\` and \`NITRO_SSL_KEY\`: TLS is for a proxy before the daemon.
A variable whose name is nearly that of a setting (\`NBD_BACKND\`, \`log_level\`), or that begins as ours do and is none (\`NBD_…\`, \`DATABASE_…\`, \`CLOUDSTACK_…\`), has no effect: the log
names it at the start ("A setting has no effect") with the setting that was probably meant, \`--check-config\` among its \`notes\`, and
\`volumectl health\` for as long as the daemon runs. A line of the file with \`export\`, or with the byte order mark of an editor, before the name is ignored by systemd
and never reaches the daemon; \`volumectl health\` names it, where it may read the file.
One setting that is not UTF-8, or a NUL byte, and systemd reads nothing of the file: then the packaged units do not start, and neither do they without it.

| variable | default | values | meaning |
| --- | --- | --- | --- |
${rows.join('\n')}
`;
}

/** docs/reference/errors.md, from the error catalogue. */
function errorsDoc(): string {
  const rows = Object.entries(ERRORS).map(
    ([code, { status, title, fix }]) => `| \`${code}\` | ${status} | ${title} | ${fix} |`,
  );
  return `# Errors

${NOTE}

Error bodies are RFC 9457 problem details plus \`error\` (the text), \`code\` and \`details\`. The same codes are the \`error_code\` of failed operations; the HTTP
status is then the one a synchronous call would have had. Texts keep the phrases that existing callers look for ("not found", "already attached", "CloudStack API error 431").

| code | HTTP | meaning | what to do |
| --- | --- | --- | --- |
${rows.join('\n')}
`;
}

/** docs/reference/volume-states.md, from the table that the engine, sync and the pages use. */
function volumeStatesDoc(): string {
  const rows = VOLUME_STATES.map((state) => {
    const { means, ...verdicts } = stateOf({ state });
    const { attach, detach, delete: remove, recover, resize, snapshot, revert } = verdicts;
    const cells = [attach, detach, remove, recover, resize, snapshot, revert];
    return `| \`${state}\` | ${means} | ${cells.join(' | ')} |`;
  });
  return `# Volume states

${NOTE}

What CloudStack says of a volume, as the end of the sentence "the volume …", and what an operation does that finds it so. *act*: CloudStack is asked. *wait*: the
operation waits until CloudStack is done with it, half an hour at most (\`VOLUME_BUSY\`). *refuse*: it ends at once with \`VOLUME_STATE\`. *needless*: there is nothing
to do, and it completes. A state that is not in this table is waited for.

\`volumectl volume explain <id>\` shows the state of a volume with its meaning.

| state | the volume … | attach | detach | delete | recover | resize | snapshot | revert |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
${rows.join('\n')}

With \`DELETE_MODE=trash\` a delete leaves the volume in \`Destroy\`, and \`POST /api/v1/volumes/{id}/recover\` brings it back until CloudStack expunges it
(\`storage.cleanup.delay\`, a day by default). A volume without content (\`Allocated\`, \`Uploaded\`, an upload that failed, \`Expunging\`) is not kept: it is expunged. A user's key may recover
only where \`allow.user.expunge.recover.volume\` is set (\`allowuserexpungerecovervolume\` of listCapabilities). \`Destroy\` is also what an expunge leaves behind that
failed half-way: look at the content of a volume that was not deleted with \`DELETE_MODE=trash\` before you use it again. CloudStack hides the VM of a volume in \`Destroy\`: one that it shows
as attached since some time is neither detached nor deleted (\`VOLUME_STATE\`); recover it to see its VM.
`;
}

/** Every request, from the endpoint table. */
function requestTable(): string {
  const rows = endpoints().map(
    ({ method, path, access, summary }) => `| \`${method} ${path}\` | ${access} | ${summary} |`,
  );
  return ['| request | role | what |', '| --- | --- | --- |', ...rows].join('\n');
}

/**
 * Every key of GET /api/v1/health down to the components, from its schema. Throws where one has no
 * description.
 */
function healthTable(): string {
  const { details, ...top } = healthSchema.shape;
  const { components } = details.shape;
  const keys = [
    ...Object.entries(top),
    ...Object.entries(details.shape).map(([key, value]) => [`details.${key}`, value] as const),
    ...Object.entries(components.shape).map(([key, value]) => [`details.components.${key}`, value] as const),
  ];
  const rows = keys.map(([key, value]) => {
    const description = value.meta()?.description;
    if (description === undefined) throw new Error(`The key ${key} of the health has no description`);
    return `| \`${key}\` | ${description} |`;
  });
  return ['| key | says |', '| --- | --- |', ...rows].join('\n');
}

/** Every decision, by its heading. */
function decisionsIndex(): string {
  const folder = new URL('../docs/decisions/', import.meta.url);
  const rows = readdirSync(folder)
    .filter((name) => /^\d/.test(name))
    .sort()
    .map((name) => {
      const [heading = ''] = readFileSync(new URL(name, folder), 'utf8').split('\n');
      const [, number, title] = /^# (\d{4}): (.+)$/.exec(heading) ?? [];
      if (number === undefined || !name.startsWith(number))
        throw new Error(`docs/decisions/${name} begins with another heading than "# number: title"`);
      return `| [${number}](${name}) | ${title} |`;
    });
  return `# Decisions

${NOTE}

Why something is as it is, where the code alone does not tell: what was chosen, what was not, and what it costs. The number 0013 was never given.

| | |
| --- | --- |
${rows.join('\n')}
`;
}

/** A document that is written by hand, with one part of it made from `source`. */
function withPart(path: string, mark: string, source: string, part: () => string): string {
  const from = `<!-- ${mark}: from ${source} by \`npm run docs\` -->`;
  const to = `<!-- end of ${mark} -->`;
  const [before, rest] = readFileSync(new URL(`../${path}`, import.meta.url), 'utf8').split(from);
  const after = rest?.split(to)[1];
  if (after === undefined) throw new Error(`${path} has lost its marks: ${from} … ${to}`);
  return `${before}${from}\n\n${part()}\n\n${to}${after}`;
}

const API = 'docs/reference/api.md';
const MONITORING = 'docs/guides/monitoring.md';
const PERFORMANCE = 'docs/proofs/performance.md';
const RESULTS = 'bench/results.md';
const BASELINE = 'bench/baseline.json';

/** Every file that is made from code, and how. */
export const DOCUMENTS: readonly (readonly [path: string, content: () => string])[] = [
  ['docs/reference/configuration.md', configurationDoc],
  ['docs/reference/errors.md', errorsDoc],
  ['docs/reference/cli.md', cliDoc],
  ['docs/reference/volume-states.md', volumeStatesDoc],
  [API, () => withPart(API, 'requests', 'the endpoint table', requestTable)],
  [MONITORING, () => withPart(MONITORING, 'health', 'its schema', healthTable)],
  ['docs/decisions/README.md', decisionsIndex],
  [PERFORMANCE, () => withPart(PERFORMANCE, 'headline', BASELINE, baselineHeadline)],
  [RESULTS, () => withPart(RESULTS, 'tables', BASELINE, baselineTables)],
  ['packaging/cli/volumectl.1', manualPage],
  ...SHELLS.map(({ name, script }) => [`packaging/cli/volumectl.${name}`, () => script(NOUNS)] as const),
];
