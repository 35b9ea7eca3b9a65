import { describe, expect, it } from 'vitest';
import { type Shown, verdictOf } from '~/dashboard/src/verdict';
import { exportReply, mappingReply } from '~/server/http/response/replies';
import { healthReply } from '~/server/http/response/service-replies';
import type { OperationReply } from '~/server/http/schemas/operations';
import type { HealthReply } from '~/server/http/schemas/service';
import { APPLIANCE, exportRecord, healthReport, mapping, VOLUME } from '~/test/support/canned';

const read = { answeredAtMs: 1, failed: null };
const unread = { answeredAtMs: 0, failed: null };
const away = { answeredAtMs: 1, failed: { sinceMs: 2, why: 'The database does not answer' } };
const parts = { health: read, operations: read, failures: read, resources: read };
const health = healthReply({ version: '2.0.0', phaseReason: null }, healthReport('ready'));
const operation: OperationReply = {
  id: 'an operation',
  type: 'attach',
  status: 'executing',
  volume_id: VOLUME,
  request: {},
  attempt: 0,
  cancel_requested: false,
  created_at: '2026-01-01T00:00:00.000Z',
  updated_at: '2026-01-01T00:00:00.000Z',
};

function verdict(shown: Partial<Shown> = {}) {
  return verdictOf({
    connection: 'live',
    lostSinceMs: null,
    health,
    parts,
    devices: [mappingReply(mapping(VOLUME, APPLIANCE))],
    exports: [exportReply(exportRecord(VOLUME))],
    active: [],
    failures: [],
    manyFailures: false,
    ...shown,
  });
}

/** Health with other components than the healthy ones. */
function healthWith(
  components: Partial<HealthReply['details']['components']>,
  status = health.status,
): HealthReply {
  const { details } = health;
  return { ...health, status, details: { ...details, components: { ...details.components, ...components } } };
}

describe('the title of the page', () => {
  it('says that everything is in order when everything that is shown is', () => {
    expect(verdict()).toEqual({
      word: 'Everything is in order',
      tone: 'good',
      reasons: ['Nothing is running.'],
    });
  });

  it.each(['health', 'operations', 'failures', 'resources'] as const)(
    'not before %s was read: green stands for what is known',
    (part) => {
      expect(verdict({ parts: { ...parts, [part]: unread } })).toMatchObject({
        word: 'Looking…',
        tone: 'idle',
      });
    },
  );

  it('never above a disk that is not there, whatever health says', () => {
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

  it('nor while something has failed in the last hour', () => {
    const failures = [{ ...operation, status: 'failed' as const }];
    expect(verdict({ failures })).toMatchObject({
      word: 'Needs attention',
      reasons: ['1 failed in the last hour.', 'Nothing is running.'],
    });
    expect(verdict({ failures, manyFailures: true }).reasons[0]).toBe('1 or more failed in the last hour.');
  });

  it('nor while an operation is held up', () => {
    const active = [{ ...operation, wait_reason: 'CloudStack is away' }];
    expect(verdict({ active })).toMatchObject({
      word: 'Needs attention',
      reasons: ['1 operation held up.', '1 running, 1 waiting.'],
    });
  });

  it('nor while it is not known what flows through an export', () => {
    const [exported] = [exportReply(exportRecord(VOLUME))];
    const at = '2026-01-01T00:00:00.000Z';
    const traffic = {
      clients: null,
      bytes_read: null,
      bytes_written: null,
      read_bytes_per_second: null,
      written_bytes_per_second: null,
      last_io_at: null,
      observed_since: null,
      expected_bytes: null,
      expected_from: null,
      share_written: null,
      seconds_left: null,
      unknown: ['the disk cannot be read'],
      at,
    };
    expect(verdict({ exports: [{ ...exported, traffic }] })).toMatchObject({
      word: 'Not known',
      tone: 'warn',
    });
  });

  it('nor while a dependency is unknown, of which it is said since when', () => {
    const appliance = {
      status: 'unknown',
      message: 'unverified',
      since: '2026-01-01T00:00:00.000Z',
    } as const;
    expect(verdict({ health: healthWith({ appliance }) })).toMatchObject({
      word: 'Not known',
      reasons: [expect.stringMatching(/^Not known: Appliance \(since .*\)\.$/), 'Nothing is running.'],
    });
  });

  it('nor while rows cannot be read: since when, and nothing is said of what runs', () => {
    expect(verdict({ parts: { ...parts, operations: away, resources: away } })).toMatchObject({
      word: 'Not known',
      reasons: [
        expect.stringMatching(/^Not known: operations \(since .*\), volumes and exports \(since .*\)\.$/),
      ],
    });
  });

  it('what is wrong counts more than what is not known', () => {
    const failures = [{ ...operation, status: 'failed' as const }];
    expect(verdict({ failures, parts: { ...parts, resources: away } }).word).toBe('Needs attention');
  });

  it('is "Not known" while the daemon does not answer, with since when', () => {
    expect(verdict({ connection: 'lost', lostSinceMs: 2 })).toMatchObject({
      word: 'Not known',
      reasons: [expect.stringMatching(/^Not known since .*: the daemon does not answer\.$/)],
    });
    expect(verdict({ parts: { ...parts, health: away } })).toMatchObject({
      word: 'Not known',
      tone: 'warn',
      reasons: [expect.stringMatching(/^Not known since .*database does not answer/)],
    });
  });

  it('stands by for another daemon, and not while the database is away or no VM is known', () => {
    const standby = healthReply({ version: '2.0.0', phaseReason: null }, healthReport('standby'));
    const word = (owner: string | null, status: HealthReply['status']) => {
      const { details } = standby;
      const appliance = { ...details.appliance, owner };
      return verdict({ health: { ...standby, status, details: { ...details, appliance } } }).word;
    };
    expect(word('another:8090 pid 1', 'degraded')).toBe('Standing by');
    expect(word(null, 'unhealthy')).toBe('Not working');
    // It was seen before the database went away.
    expect(word('another:8090 pid 1', 'unhealthy')).toBe('Not working');
    expect(word(null, 'degraded')).toBe('Needs attention');
  });

  it('names a comparison that could not look', () => {
    const sync = { status: 'degraded', message: 'not judged since …' } as const;
    expect(verdict({ health: healthWith({ sync }, 'degraded') }).reasons).toContain('Look at: Comparison.');
  });

  it('counts what is not listed any more: health knows all that waits', () => {
    const details = { ...health.details, active_operations: 8, pending_operations: 492 };
    expect(verdict({ active: [operation], health: { ...health, details } }).reasons).toContain(
      '8 running, 492 waiting.',
    );
  });
});
