import { execFileSync, spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { type Args, parseCommandLine, valuesOf } from '~/cli/arguments';
import { OPERATIONS } from '~/cli/client/operations';
import { GLOBALS } from '~/cli/globals';
import { helpFor } from '~/cli/help';
import { manualPage } from '~/cli/manual';
import { exampleLines, findNoun, fullName, loneVerb, NOUNS } from '~/cli/tree';
import { ERRORS } from '~/server/core/errors';
import { nearest } from '~/server/core/nearest';
import { namedEndpoints } from '~/server/http/endpoints/registry';
import { openApiDocument } from '~/server/http/openapi';
import { onPath } from '~/test/cli/process';

const ALL = NOUNS.flatMap((noun) => noun.verbs.map((verb) => ({ noun, verb, name: fullName(noun, verb) })));

/** A command line out of a text: quotes, and what follows `>`, `|` or `&&` are the shell's. */
function wordsOf(line: string): string[] {
  return line.split(/ (?:[>|]|&&|\|\|) | >/)[0]?.split(' ') ?? [];
}

/** Throws what is wrong with a command line, as the program would. */
function understand(line: string): void {
  const [program, ...raw] = wordsOf(line);
  expect(program).toBe('volumectl');
  const { words, options } = parseCommandLine(raw, [GLOBALS, ...ALL.map(({ verb }) => verb.args)]);
  const [first = '', second = ''] = words;
  const noun = findNoun(first);
  if (!noun) throw new Error(`there is no command ${first}`);
  const lone = loneVerb(noun);
  const verb = lone ?? noun.verbs.find(({ name }) => name === second);
  if (!verb) throw new Error(`there is no command ${first} ${second}`);
  valuesOf({ ...verb.args, ...GLOBALS }, words.slice(lone ? 1 : 2), options);
}

describe('the command tree', () => {
  it('has the nouns of the specification', () => {
    expect(NOUNS.map(({ name }) => name)).toEqual(
      expect.arrayContaining(
        'volume device operation export vm health sync task check events completion'.split(' '),
      ),
    );
  });

  it.each(ALL)('$name has examples, and every one is a command line that it takes', ({ noun, verb }) => {
    expect(verb.examples.length).toBeGreaterThan(0);
    for (const { line } of exampleLines(noun, verb)) expect(() => understand(line)).not.toThrow();
  });

  it.each(ALL)('$name: its help names every argument and option of it', ({ noun, verb }) => {
    const help = helpFor([noun.name, verb.name], false);
    for (const [name, { type, description }] of Object.entries(verb.args)) {
      expect(help).toContain(type === 'positional' ? `<${name}>` : `--${name}`);
      expect(description, name).toBeTruthy();
    }
    for (const line of help.split('\n'))
      if (!line.trim().startsWith('volumectl')) expect(line.length, line).toBeLessThanOrEqual(100);
  });

  it('fields of the API that arguments name are fields of the document', () => {
    const document = JSON.stringify(openApiDocument('2.0.0'));
    for (const { verb } of ALL)
      for (const { field } of Object.values(verb.args))
        if (field !== undefined) expect(document).toContain(`"${field}"`);
  });

  it('no option of a command hides a global option', () => {
    for (const { verb, name } of ALL) {
      const twice = Object.keys(verb.args).filter((option) => option in GLOBALS);
      expect(twice, name).toEqual([]);
    }
  });

  it('every command that the error catalogue suggests exists', () => {
    const named = Object.values(ERRORS).flatMap(({ fix }) => fix.match(/volumectl [a-z ]*[a-z]/g) ?? []);
    expect(named.length).toBeGreaterThan(0);
    for (const line of named) expect(() => understand(line)).not.toThrow();
  });
});

describe('arguments', () => {
  it.each([
    ['volum', ['volume', 'vm'], 'volume'],
    ['waite', ['wait', 'yes'], 'wait'],
    ['xyz', ['volume'], null],
  ])('%s is near one of %j: %j', (word, known, near) => {
    expect(nearest(word, known)).toBe(near);
  });

  const ARGS = {
    volume: { type: 'positional', description: 'id' },
    vm: { type: 'string', description: 'id' },
    wait: { type: 'boolean', description: 'wait', short: 'w' },
    color: { type: 'boolean', description: 'colours', negative: 'no colours' },
  } as const satisfies Args;
  const valuesIn = (...raw: string[]) => {
    const { words, options } = parseCommandLine(raw, [ARGS]);
    return valuesOf(ARGS, words, options);
  };

  it.each([
    [['v', '--vm', 'x', '-w'], { volume: 'v', vm: 'x', wait: true }],
    [['--vm', 'x', '--wait', 'v'], { volume: 'v', vm: 'x', wait: true }],
    [['--vm=--wait', 'v', '--no-color'], { volume: 'v', vm: '--wait', color: false }],
    [['--no-color', 'v', '--color'], { volume: 'v', color: true }],
    [['--', '-v'], { volume: '-v' }],
  ])('%j are %j, wherever the options stand', (raw, values) => {
    expect(valuesIn(...raw)).toEqual(values);
  });

  it.each([
    [['v', '--vm', '--wait'], '--vm needs a value'],
    [['v', '--vm'], '--vm needs a value'],
    [['v', '--wait=yes'], '--wait takes no value'],
    [['v', '-x'], 'there is no option -x'],
    [['v', '--waite'], 'there is no option --waite; did you mean --wait?'],
    [['v', '--no-vm'], 'there is no option --no-vm'],
    [['v', '--volume', 'w'], 'there is no option --volume'],
    [['v', 'w'], 'too much is given: w'],
    [[], 'the volume is missing'],
  ])('%j are refused: %s', (raw, says) => {
    expect(() => valuesIn(...raw)).toThrow(says);
  });

  it('an option means the same in every command, so that one parser can know them all', () => {
    const kinds = new Map<string, string>();
    for (const { verb } of ALL)
      for (const [name, arg] of Object.entries<Args[string]>({ ...verb.args, ...GLOBALS })) {
        if (arg.type === 'positional') continue;
        const kind = `${arg.type} ${arg.type === 'boolean' ? arg.short : ''}`;
        expect(kinds.get(name) ?? kind, name).toBe(kind);
        kinds.set(name, kind);
      }
  });
});

describe('the client', () => {
  it('has the method and path of the endpoint table for every operation', () => {
    const table = new Map(namedEndpoints().map(({ name, endpoint }) => [name, endpoint]));
    for (const [name, [method, path]] of Object.entries(OPERATIONS))
      expect(table.get(name), name).toMatchObject({ method, path });
  });
});

describe('the manual page', () => {
  const page = manualPage();

  it('has the sections that man(1) expects, in order', () => {
    const sections = [...page.matchAll(/^\.SH (.+)$/gm)].map(([, title]) => title);
    expect(sections).toEqual([
      'NAME',
      'SYNOPSIS',
      'DESCRIPTION',
      'COMMANDS',
      'OPTIONS OF EVERY COMMAND',
      'EXIT STATUS',
      'ENVIRONMENT',
      'FILES',
      'SEE ALSO',
    ]);
    expect(page.startsWith('.\\" ')).toBe(true);
    expect(page).toMatch(/^\.TH VOLUMECTL 1 /m);
  });

  it('is plain ASCII, and no line begins with a request by accident', () => {
    expect(page).not.toMatch(/[^\n\x20-\x7e]/);
    const requests = new Set([...page.matchAll(/^\.(\S+)/gm)].map(([, request]) => request));
    expect([...requests].sort()).toEqual([
      'B',
      'PP',
      'RE',
      'RS',
      'SH',
      'SS',
      'TH',
      'TP',
      '\\"',
      'br',
      'fi',
      'nf',
    ]);
    expect(page).not.toMatch(/^'/m);
  });

  it('renders without a warning, with every command in it', ({ skip }) => {
    if (!onPath('groff')) skip('groff is not on this machine: only the structure of the page was looked at');
    const result = spawnSync('groff', ['-man', '-Tascii', '-ww', '-rLL=200n', '-P-cbou'], {
      input: page,
      encoding: 'utf8',
    });
    expect(result.stderr).toBe('');
    const text = result.stdout.replace(/\s+/g, ' ');
    for (const { name } of ALL) expect(text).toContain(name);
  });
});

describe('the completions', () => {
  const script = (shell: 'bash' | 'zsh' | 'fish') =>
    new URL(`../../../packaging/cli/volumectl.${shell}`, import.meta.url).pathname;

  /** What bash offers at the end of a line. `volumectl` is a function here, which prints its arguments. */
  function offered(line: string, answer = 'asked:$1-$2'): string[] {
    const program = `
      volumectl() { printf '%s\\n' "${answer}"; }
      source '${script('bash')}'
      line="$1"
      COMP_WORDS=($line); [[ $line == *' ' ]] && COMP_WORDS+=('')
      COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
      _volumectl
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    const out = execFileSync('bash', ['--norc', '--noprofile', '-c', program, 'bash', line], {
      encoding: 'utf8',
    });
    return out.split('\n').filter((word) => word !== '');
  }

  it('bash registers it for the program', () => {
    const program = `source '${script('bash')}'; complete -p volumectl`;
    expect(execFileSync('bash', ['--norc', '-c', program], { encoding: 'utf8' })).toContain(
      '-F _volumectl volumectl',
    );
  });

  it.each([
    ['volumectl ', ['volume', 'device', 'health', 'help']],
    ['volumectl vo', ['volume']],
    ['volumectl --json vo', ['volume']],
    ['volumectl --url http://x ev', ['events']],
    ['volumectl volume de', ['detach', 'delete', 'device']],
    ['volumectl volume attach ', ['asked:volume-list']],
    ['volumectl operation show ', ['asked:operation-list']],
    ['volumectl device show ', ['asked:device-list']],
    ['volumectl operation list --status ', ['pending', 'executing', 'completed', 'failed', 'cancelled']],
    ['volumectl operation list --volume ', ['asked:volume-list']],
    ['volumectl volume create --w', ['--wait']],
    ['volumectl events --only d', ['device']],
    ['volumectl task run ', ['sync:force']],
    ['volumectl completion ', ['bash', 'zsh', 'fish']],
    ['volumectl health --al', ['--allow-degraded']],
    ['volumectl -o ', ['table', 'wide', 'name', 'json', 'yaml']],
    ['volumectl health --output y', ['yaml']],
    ['volumectl health --appliance ', ['asked:appliance-list']],
    ['volumectl volume create --offering ', ['asked:check-offerings']],
  ])('bash offers for %j: %j', (line, words) => {
    expect(offered(line)).toEqual(expect.arrayContaining(words));
  });

  it('bash shows what several ids mean, and inserts the only one without it', () => {
    const two = 'aa-1  /dev/vdb  5 GiB\nab-2  /dev/vdc  7 GiB';
    expect(offered('volumectl volume attach ', two)).toEqual([
      'aa-1  (/dev/vdb  5 GiB)',
      'ab-2  (/dev/vdc  7 GiB)',
    ]);
    expect(offered('volumectl volume attach ab', two)).toEqual(['ab-2']);
  });

  it.each([
    ['volumectl volume attach some-id '],
    ['volumectl operation list --limit '],
    ['volumectl health '],
    ['volumectl nonsense '],
  ])('bash offers nothing for %j', (line) => {
    expect(offered(line)).toEqual([]);
  });

  for (const shell of ['zsh', 'fish'] as const) {
    it(`${shell} understands its script`, ({ skip }) => {
      if (!onPath(shell)) skip(`${shell} is not on this machine: its script was not tried`);
      const result = spawnSync(shell, ['-n', script(shell)], { encoding: 'utf8' });
      expect([result.status, result.stderr]).toEqual([0, '']);
    });
  }
});
