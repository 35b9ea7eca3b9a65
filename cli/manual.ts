import { version } from '../package.json';
import type { Noun, Verb } from './command';
import { EXIT_MEANINGS } from './exit';
import { GLOBALS } from './globals';
import { columnNames, commandOf, optionRows, positionalRows, usage } from './help';
import { exampleLines, NOUNS, PROGRAM, PURPOSE } from './tree';

const ENVIRONMENT: readonly (readonly [name: string, meaning: string])[] = [
  [
    'VOLUMECTL_APPLIANCE',
    'which appliance of the configuration file is asked, when --appliance is not given',
  ],
  ['VOLUMECTL_CONFIG', 'the configuration file, instead of ~/.config/volumectl/config.yaml'],
  ['VOLUMECTL_URL', 'where the daemon listens, when --url is not given'],
  ['VOLUMECTL_SOCKET', 'its unix socket, when --socket is not given'],
  ['VOLUMECTL_TOKEN_FILE', 'file with the bearer token, when --token-file is not given'],
  ['NO_COLOR', 'when not empty: no colours'],
  ['COLUMNS', 'how long lines may be; without it as long as the terminal is wide, and in a pipe any length'],
];

const FILES: readonly (readonly [name: string, meaning: string])[] = [
  [
    '~/.config/volumectl/config.yaml',
    'the appliances of this user, like {default: east, appliances: {east: {url: "http://10.0.0.5:8090", token-file: east.token}}}; url or socket of each, a token-file beside this file or with its path. The token is sent to that appliance only',
  ],
  [
    '/etc/default/volume-daemon',
    'where HOST, PORT, UNIX_SOCKET and TOKEN_FILE of the daemon are found when nothing else says where it is, and the file may be read',
  ],
];

const BASICS = [
  'Results go to the standard output: a table, or with --output json or yaml what the daemon has answered. On a terminal tables fit its width. Progress, hints and errors go to the error output.',
  'Lists are ordered by --sort, and reduced by --filter, which compares sizes and times as such: size>=10Gi, created_at>1h (since an hour ago), status!=active, reason~quota, vm_id=- (none).',
  'What changes something has --dry-run.',
  'A change is accepted as an operation, which goes on by itself whatever becomes of this program. With --wait the program stays until the operation has ended and names the step it is at; a daemon that restarts meanwhile is waited for. When the answer is lost, it may have been accepted: the key is told with which the same command asks again (--key) without doing it twice.',
  'Times are written like 30s, 10m, 1h30m or 7d; a moment as so long ago, or like 2026-08-19T20:30:00Z. Sizes are written like 10Gi or 512Mi (also 10GiB, 10G), or as plain bytes.',
];

/** volumectl(1), for man. */
export function manualPage(): string {
  const parts = [
    `.\\" Made from the commands by "npm run docs".`,
    `.TH ${PROGRAM.toUpperCase()} 1 "" "volume-daemon ${version}" "Volume Management Daemon"`,
    '.SH NAME',
    `${PROGRAM} \\- ${roff(PURPOSE)}`,
    '.SH SYNOPSIS',
    ...NOUNS.map((noun) => synopsis(commandOf(noun))),
    '.SH DESCRIPTION',
    ...BASICS.flatMap((text) => ['.PP', roff(text)]),
    '.SH COMMANDS',
    ...NOUNS.flatMap((noun) => noun.verbs.flatMap((verb) => commandSection(noun, verb))),
    '.SH OPTIONS OF EVERY COMMAND',
    ...tagged(optionRows(GLOBALS)),
    '.SH EXIT STATUS',
    ...tagged(EXIT_MEANINGS.map(([code, meaning]) => [String(code), meaning])),
    '.SH ENVIRONMENT',
    ...tagged(ENVIRONMENT),
    '.SH FILES',
    ...tagged(FILES),
    '.SH SEE ALSO',
    roff('/usr/share/doc/volume-daemon/, or the pages / and /docs of the daemon'),
  ];
  return `${parts.join('\n')}\n`;
}

function commandSection(noun: Noun, verb: Verb): string[] {
  const rows = [...positionalRows(verb.args), ...optionRows(verb.args)];
  return [
    `.SS ${roff(usage(noun, verb))}`,
    roff(`${verb.summary}.${verb.details === undefined ? '' : ` ${verb.details}`}`),
    ...tagged(rows),
    ...(verb.columns === undefined ? [] : ['.PP', `Columns: ${roff(columnNames(verb))}`]),
    ...exampleLines(noun, verb).flatMap(({ line, what }) => [
      '.PP',
      `${roff(what)}`,
      '.RS',
      '.nf',
      roff(line),
      '.fi',
      '.RE',
    ]),
  ];
}

function synopsis(words: string): string {
  return `.B ${PROGRAM}\n${roff(words)} [options]\n.br`;
}

function tagged(rows: readonly (readonly [string, string])[]): string[] {
  return rows.flatMap(([name, text]) => ['.TP', `.B ${roff(name)}`, roff(text)]);
}

/** Escapes what roff interprets: backslashes, dashes, and a dot or quote at the start of a line. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/, '\\&$1')
    .replace(
      /[^\x00-\x7f]/gu,
      (character) => `\\[u${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`,
    );
}

/** The reference part of docs/reference/cli.md. */
export function cliDoc(): string {
  const commands = NOUNS.flatMap((noun) => [
    `## ${noun.name}`,
    '',
    `${noun.summary}.`,
    '',
    ...noun.verbs.flatMap((verb) => commandDoc(noun, verb)),
  ]);
  return `${INTRODUCTION}
${commands.join('\n')}
## Options of every command

${optionTable(optionRows(GLOBALS))}

## Environment and files

${optionTable([...ENVIRONMENT, ...FILES])}
`;
}

function commandDoc(noun: Noun, verb: Verb): string[] {
  const rows = [...positionalRows(verb.args), ...optionRows(verb.args)];
  return [
    ...(verb.name === '' ? [] : [`### ${noun.name} ${verb.name}`, '', `${verb.summary}.`, '']),
    ...(verb.details === undefined ? [] : [verb.details, '']),
    '```',
    usage(noun, verb),
    '```',
    '',
    ...(rows.length === 0 ? [] : [optionTable(rows), '']),
    ...(verb.columns === undefined ? [] : [`Columns: ${columnNames(verb)}.`, '']),
    ...exampleLines(noun, verb).flatMap(({ line, what }) => [`- \`${line}\`: ${what}`]),
    '',
  ];
}

function optionTable(rows: readonly (readonly [string, string])[]): string {
  const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
  return [
    '| | |',
    '| --- | --- |',
    ...rows.map(([name, text]) => `| \`${name.replaceAll('|', '\\|')}\` | ${cell(text)} |`),
  ].join('\n');
}

const INTRODUCTION = `# volumectl

<!-- Made from the commands by \`npm run docs\`; edit cli/ instead. -->

\`volumectl\` is the command line of the daemon. It talks to the REST API and knows nothing else, so everything it does can be done with curl ([api.md](api.md)).

\`\`\`sh
volumectl health                                   # is everything well?
volumectl device list                              # which disk is which volume?
volumectl volume attach $VOLUME --wait             # attach to this appliance; the step is named while it waits
volumectl check all                                # what is wrong?
\`\`\`

${BASICS.join('\n\n')}

The Debian package installs it as \`/usr/bin/volumectl\` with its manual page and completions. From a build: \`node .output/cli/volumectl.mjs\`.

## Exit codes

| code | meaning |
| --- | --- |
${EXIT_MEANINGS.map(([code, meaning]) => `| ${code} | ${meaning} |`).join('\n')}

Wrong values are told under the name they have on the command line, with what is expected; errors of the daemon come with what to do about them ([errors.md](errors.md)).

## The diagnostics of the specification

| specification | here |
| --- | --- |
| \`cmd/test-device-monitor\`, \`cmd/test-polling-monitor\` | \`volumectl device watch\` |
| \`cmd/test-device-polling\` | \`volumectl device scan\` |
| \`cmd/test-deviceid-correlation\` | \`volumectl device explain <volume>\` |
| \`cmd/test-disk-offerings\` | \`volumectl check offerings\`, \`volumectl check zones\` |
`;
