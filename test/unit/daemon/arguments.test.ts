import { expect, it } from 'vitest';
import { VERSION } from '~/server/core/version';
import { readArguments } from '~/server/daemon/arguments';
import { VARIABLES } from '~/server/daemon/configuration/variables';

it('without arguments it serves, with the name of an errand it runs that', () => {
  expect(readArguments([])).toEqual({ kind: 'run', errand: null });
  for (const errand of ['--check-config', '--adopt-plan', '--setup'])
    expect(readArguments([errand])).toEqual({ kind: 'run', errand });
});

it.each(['--version', '-V'])('%s prints the version', (argument) => {
  expect(readArguments([argument])).toEqual({ kind: 'print', text: `volume-daemon ${VERSION}\n` });
});

it.each(['--help', '-h'])('%s names every variable, no secret, and where the documents are', (argument) => {
  const asked = readArguments([argument]);
  const text = asked.kind === 'print' ? asked.text : '';
  for (const { name } of Object.values(VARIABLES)) expect(text).toMatch(new RegExp(`^  ${name}( |$)`, 'm'));
  expect(text).toContain('docs/reference/configuration.md');
  expect(text).not.toContain('oma_password');
  for (const line of text.split('\n')) expect(line.length, line).toBeLessThanOrEqual(120);
});

it.each([
  [['--chek-config'], 'unknown argument --chek-config; did you mean --check-config?'],
  [['--port', '9000'], 'unknown argument --port; settings are environment variables, see --help'],
  [['PORT=9000'], 'unknown argument PORT=9000; settings are environment variables, see --help'],
  [['toString'], 'unknown argument toString; settings are environment variables, see --help'],
  [[''], 'unknown argument ; settings are environment variables, see --help'],
  [
    ['--setup', '--check-config'],
    '--setup stands alone, without --check-config; settings are environment variables, see --help',
  ],
])('%j is refused', (args, text) => {
  expect(readArguments(args)).toEqual({ kind: 'mistake', text: `volume-daemon: ${text}\n` });
});
