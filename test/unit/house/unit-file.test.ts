import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { NODE_ENVIRONMENT, NODE_FLAGS } from '~/lab/daemon';

it('the laboratory starts the daemon with the flags and the environment of the packaged unit, so that its figures are the operator’s', () => {
  const unit = readFileSync(
    new URL('../../../packaging/systemd/volume-daemon.service', import.meta.url),
    'utf8',
  );
  const command = /^ExecStart=(.*)$/m.exec(unit)?.[1]?.split(' ');
  expect(command?.slice(1, -1)).toEqual(NODE_FLAGS);
  const environment = [...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name, value]) => [
    name,
    value,
  ]);
  expect(Object.fromEntries(environment)).toEqual(NODE_ENVIRONMENT);
});
