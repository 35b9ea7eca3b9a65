import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  baseConfig,
  exportSection,
  parse,
  type Section,
  serialize,
} from '~/server/exports/nbd-server/nbd-config';
import { exportName, volumeIdOf } from '~/server/model/export-name';

const UUID = '3e53e747-3185-466a-9654-92e3aa214a19';

describe('the configuration of nbd-server', () => {
  it('exports through the link of the volume, writable, with flush and FUA', () => {
    const [section] = parse(serialize([exportSection(exportName(UUID), '/run/volume-daemon/exports/x')]));
    expect(section).toEqual({
      name: `migration-vol-${UUID}`,
      values: {
        exportname: '/run/volume-daemon/exports/x',
        readonly: 'false',
        multifile: 'false',
        copyonwrite: 'false',
        flush: 'true',
        fua: 'true',
      },
    });
  });

  it('a base configuration has the folder and a placeholder: nbd-server refuses an empty one', () => {
    const sections = parse(
      baseConfig({ port: 10809, configDir: '/etc/nbd-server/conf.d', host: '10.0.0.1' }),
    );
    expect(sections.map(({ name }) => name)).toEqual(['generic', 'placeholder']);
    expect(sections[0]?.values).toMatchObject({ includedir: '/etc/nbd-server/conf.d', port: '10809' });
  });

  it.each(['127.0.0.1', 'localhost', '::1', '127.0.0.2'])(
    'lets only this machine in where the host is %s',
    (host) => {
      const text = baseConfig({ port: 10809, configDir: '/etc/nbd-server/conf.d', host });
      expect(parse(text)[0]?.values).toMatchObject({ listenaddr: host });
    },
  );

  it('20,000 hostile sections: written and read back the same, or refused; never another section or key', () => {
    const nasty = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom(
        'x\nprerun = rm -rf /',
        'x]\n[evil',
        '[generic]',
        '',
        ' x',
        'x\\n',
        'a\u2028b',
        '../../etc',
        '\u0000',
      ),
      fc.string({ unit: fc.constantFrom(...'ab/._-=[]#;\n\t \\'), maxLength: 20 }),
    );
    const section = fc.record({
      name: fc.oneof(nasty, fc.stringMatching(/^[A-Za-z0-9._-]{1,20}$/)),
      values: fc.dictionary(fc.oneof(nasty, fc.constantFrom('exportname', 'readonly')), nasty, {
        maxKeys: 4,
      }),
    });
    let written = 0;
    let refused = 0;
    fc.assert(
      fc.property(section, (wanted: Section) => {
        let text: string;
        try {
          text = serialize([wanted]);
        } catch {
          refused += 1;
          return;
        }
        written += 1;
        expect(parse(text)).toEqual([{ name: wanted.name, values: { ...wanted.values } }]);
      }),
      { numRuns: 20_000 },
    );
    console.log(`serializer: ${written} written and read back, ${refused} refused`);
    expect(Math.min(written, refused)).toBeGreaterThan(100);
  });
});

describe('export names', () => {
  it('come from UUIDs only, and lead back to them', () => {
    expect(volumeIdOf(exportName(UUID.toUpperCase()))).toBe(UUID);
    for (const bad of ['', '../x', `${UUID}\n[evil]`, 'migration-vol-'])
      expect(() => exportName(bad)).toThrow(RangeError);
    for (const foreign of ['placeholder', 'migration-vol-', `migration-vol-${UUID}x`])
      expect(volumeIdOf(foreign)).toBeNull();
  });
});
