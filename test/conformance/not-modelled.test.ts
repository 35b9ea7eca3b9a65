import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { COMMANDS } from '~/lab/cloudstack/commands';
import { NOT_MODELLED } from './not-modelled';

it('what is not modelled is named, with its reason, here and in the document', () => {
  const document = readFileSync('docs/reference/cloudstack-simulator.md', 'utf8').replace(/\s+/g, ' ');
  for (const { what, why } of NOT_MODELLED) {
    process.stdout.write(`not modelled: ${what}: ${why}\n`);
    expect(document).toContain(`- ${what}: ${why}`);
  }
  const listed = document.slice(document.indexOf('## Not modelled')).match(/ - /g) ?? [];
  expect(listed).toHaveLength(NOT_MODELLED.length);
});

it('a command that is not modelled is not there', () => {
  const named = NOT_MODELLED.flatMap(({ commands = [] }) => commands);
  expect(named.filter((command) => COMMANDS.has(command))).toEqual([]);
});
