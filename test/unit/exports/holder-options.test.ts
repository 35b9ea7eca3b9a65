import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { loadConfiguration } from '~/server/daemon/configuration/configuration';
import { readHolderOptions } from '~/server/exports/nbdkit/holder-options';

const UNIT = readFileSync(
  new URL('../../../packaging/systemd/volume-daemon-nbd.service', import.meta.url),
  'utf8',
);
const line = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(UNIT)?.[1] ?? '';
const DEFAULTS = Object.fromEntries(
  line('Environment')
    .split(' ')
    .map((one) => one.split('=')),
);

/** Other ways to write a value: each means the same to the daemon. */
const SAMPLES: Readonly<Record<string, readonly string[]>> = {
  NBD_TLS: ['', 'Require', ' ON ', 'off'],
  NBD_TLS_DIR: ['', '/srv/keys'],
  NBD_MAX_CONNECTIONS: ['', ' 9 ', '007'],
  NBD_MAX_PER_EXPORT: ['', '\t4', '1000'],
  NBD_MAX_BYTES_PER_SECOND: ['', ' 100000000 ', '0'],
};

/** What systemd starts with this in the environment file. */
function started(env: Readonly<Record<string, string>>) {
  const filled: Readonly<Record<string, string>> = { ...DEFAULTS, ...env };
  const args = line('ExecStart')
    .split(' ')
    .filter((word) => !word.includes('--max-semi-') && !word.includes('--max-old-'))
    .slice(2)
    .map((word) => word.replace(/\$\{(\w+)\}/g, (_, name: string) => filled[name] ?? ''));
  return readHolderOptions(args);
}

it('the samples are of every setting that the unit passes', () => {
  expect(Object.keys(DEFAULTS)).toEqual(Object.keys(SAMPLES));
  expect([...line('ExecStart').matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name)).toEqual(
    Object.keys(SAMPLES),
  );
});

it.each(Object.entries(SAMPLES).flatMap(([name, values]) => values.map((value) => [name, value] as const)))(
  '%s=%j means the same to the daemon and to the program that the unit starts',
  (name, value) => {
    const { exports } = loadConfiguration({ NBD_BACKEND: 'nbdkit', [name]: value });
    const { tls, tlsDir, maxConnections, maxPerExport, maxBytesPerSecond } = exports;
    expect(started({ [name]: value })).toMatchObject({
      tls,
      tlsDir,
      maxConnections,
      maxPerExport,
      maxBytesPerSecond,
      nbdkit: 'nbdkit',
      exportsDir: '/run/volume-daemon/exports',
      readOnlyDir: '/run/volume-daemon/exports-read-only',
    });
  },
);

it.each([
  [['--tls=maybe'], '--tls must be off, on or require'],
  [['--max-connections=0'], '--max-connections must be a number from 1 on'],
  [['--max-bytes-per-second=1e3'], '--max-bytes-per-second must be a number from 0 on'],
  [['--exports='], '--exports is missing'],
])('%j is refused', (args, message) => {
  expect(() => readHolderOptions(['--exports=/a', '--exports-read-only=/b', ...args])).toThrow(message);
});
