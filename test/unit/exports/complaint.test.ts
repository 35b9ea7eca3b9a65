import { expect, it } from 'vitest';
import type { ExportTarget, ProbeResult } from '~/server/exports/export-server';
import { complaint } from '~/server/exports/linked-exports';
import { exportName } from '~/server/model/export-name';

const NODE = '5 1234';
const target: ExportTarget = {
  name: exportName('11111111-2222-4333-8444-555555555555'),
  devicePath: '/dev/vdb',
  size: 4096,
  dev: null,
};
const answer = { ok: true, size: 4096, readOnly: false, flush: true, fua: true, ms: 1 } as const;

it.each<[string, ProbeResult, string | null]>([
  ['the disk that was verified', { ...answer, nodes: [NODE] }, null],
  ['that disk among others', { ...answer, nodes: ['5 9', NODE] }, null],
  ['what the kernel does not show', { ...answer, nodes: null }, null],
  ['another disk of the same size', { ...answer, nodes: ['5 9'] }, 'serves another disk than /dev/vdb was'],
  ['no disk at all', { ...answer, nodes: [] }, 'serves another disk than /dev/vdb was'],
  ['a disk of another size', { ...answer, size: 512, nodes: [NODE] }, '512 bytes instead of 4096'],
  ['a disk that cannot be written', { ...answer, readOnly: true, nodes: [NODE] }, 'is read-only'],
  ['nothing', { ok: false, reason: 'refused', message: 'nobody is there', ms: 1 }, 'nobody is there'],
])('an export that has open %s', (_what, probe, wrong) => {
  const said = complaint(target, probe, NODE);
  expect(said).toEqual(wrong === null ? null : expect.stringContaining(wrong));
});
