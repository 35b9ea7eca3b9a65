import { describe, expect, it } from 'vitest';
import type { State } from '~/dashboard/src/state';
import { verdictOf } from '~/dashboard/src/verdict';
import { exportReply, mappingReply } from '~/server/http/response/replies';
import { healthReply } from '~/server/http/response/service-replies';
import { APPLIANCE, exportRecord, healthReport, mapping, VOLUME } from '~/test/support/canned';

const read = { answeredAtMs: 1, failed: null };
const away = { answeredAtMs: 1, failed: { sinceMs: 2, why: 'The database does not answer' } };
const health = healthReply({ version: '2.0.0', phaseReason: null }, healthReport('ready'));

function verdict(state: Partial<State> = {}, reply = health) {
  return verdictOf(
    {
      connection: 'live',
      parts: { health: read, operations: read, resources: read },
      devices: [mappingReply(mapping(VOLUME, APPLIANCE))],
      exports: [exportReply(exportRecord(VOLUME))],
      active: [],
      ...state,
    },
    reply,
  );
}

describe('the title of the page', () => {
  it('says that everything is in order when everything that is shown is', () => {
    expect(verdict()).toEqual({
      word: 'Everything is in order',
      tone: 'good',
      reasons: ['Nothing is running.'],
    });
  });

  it('never does above a disk that is not there, whatever health says', () => {
    const devices = [mappingReply({ ...mapping(VOLUME, APPLIANCE), linuxState: 'missing' })];
    expect(verdict({ devices })).toMatchObject({
      word: 'Needs attention',
      tone: 'warn',
      reasons: ['1 volume without its disk.', 'Nothing is running.'],
    });
  });

  it('nor above an export that is not served', () => {
    const exports = [exportReply({ ...exportRecord(VOLUME), status: 'failed' })];
    expect(verdict({ exports }).word).toBe('Needs attention');
  });

  it('nor while volumes and operations cannot be read: then it does not say that nothing runs either', () => {
    const parts = { health: read, operations: away, resources: away };
    expect(verdict({ parts })).toMatchObject({
      word: 'Needs attention',
      reasons: ['Not known now: volumes and exports, operations.'],
    });
  });

  it('is "Not known" while the daemon does not answer', () => {
    expect(verdict({ connection: 'lost' }).word).toBe('Not known');
    const parts = { health: away, operations: read, resources: read };
    expect(verdict({ parts })).toMatchObject({
      word: 'Not known',
      tone: 'warn',
      reasons: [expect.stringMatching(/^Not known since .*database does not answer/)],
    });
  });

  it('names a comparison that could not look', () => {
    const { components } = health.details;
    const sync = { status: 'degraded', message: 'not judged since …' } as const;
    const details = { ...health.details, components: { ...components, sync } };
    expect(verdict({}, { ...health, status: 'degraded', details }).reasons).toContain('Look at: Comparison.');
  });
});
