import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CloudModel } from '~/lab/cloudstack/model';
import { ModelCloud } from '~/lab/cloudstack/model-cloud';
import { MemoryGuest } from '~/lab/guest/memory-guest';
import { createMemoryInventory } from '~/lab/guest/memory-inventory';
import { MemoryLedger } from '~/lab/ledger/memory-ledger';
import { systemRandom as random } from '~/server/core/clock';
import { ClockSteps } from '~/server/core/clock-steps';
import { TurnGate } from '~/server/core/concurrency/turn-gate';
import { silentLogger as logger } from '~/server/core/log/logger';
import { noTracing } from '~/server/core/tracing';
import { DeviceWatcher } from '~/server/devices/device-watcher';
import { TrafficMonitor } from '~/server/devices/traffic-monitor';
import { noExports } from '~/server/exports/no-exports';
import { OperationEvents } from '~/server/model/operation-events';
import { Engine } from '~/server/operations/engine';
import { ManualClock } from '../devices/manual-clock';

const GIB = 1024 ** 3;
const DISKS = 6;

/**
 * The engine on a CloudStack whose jobs take a moment; tells every question about a job, in order with what
 * became of the jobs.
 */
async function attachAllToOneVm() {
  const clock = new ManualClock();
  const guest = new MemoryGuest({ clock, random });
  const model = new CloudModel({ clock, random, guest, latencies: { attach: 20 } });
  const cloud = new ModelCloud(model, clock);
  const { queryJob } = cloud;
  const told: string[] = [];
  cloud.queryJob = (jobId) => {
    told.push(`asked ${jobId}`);
    return queryJob.call(cloud, jobId);
  };
  const note = model.history.note.bind(model.history);
  model.history.note = (what, detail, about = {}) => {
    if (what === 'job-accepted' || what === 'job-ended') told.push(`${what} ${about.jobId}`);
    note(what, detail, about);
  };
  const ledger = new MemoryLedger({ now: () => clock.now() });
  const epoch = await ledger.takeOver(model.applianceVmId, 'test');
  const events = new OperationEvents();
  const watcher = new DeviceWatcher({ guest, clock, logger, inventory: createMemoryInventory() });
  const fail = (error: unknown) => {
    throw error;
  };
  const engine = new Engine(
    {
      ...{ ledger, cloud, guest, watcher, events, clock, random, logger, tracing: noTracing },
      clockSteps: new ClockSteps(clock),
      turns: new TurnGate(clock, queueMicrotask),
      exports: noExports(10_809),
      traffic: new TrafficMonitor({ counters: guest, clock }),
      settings: { sizeToleranceBytes: 0 },
      onFatal: fail,
      policy: () => ({
        applianceVmId: model.applianceVmId,
        attachRollback: 'detach',
        detachInUse: 'refuse',
        detachConnected: 'refuse',
        slots: 'refuse',
        volumeNames: 'warn',
        deleteMode: 'expunge',
        exportsEnabled: false,
        correlationTimeoutMs: 1_000,
        jobLostAfterMs: 30_000,
      }),
    },
    epoch,
    () => fail(new Error('the lease is lost')),
  );
  const ends: Promise<string>[] = [];
  const vmId = model.addVm({ name: 'migrated' }).id;
  for (let disk = 0; disk < DISKS; disk += 1) {
    const zoneId = model.inventory.firstZone().id;
    const volumeId = model.inventory.addVolume({
      name: `disk ${disk}`,
      size: GIB,
      zoneId,
      diskOfferingId: null,
    }).id;
    const id = randomUUID();
    const common = { id, volumeId, vmId, idempotencyKey: null, requestHash: id, at: clock.now() };
    await ledger.accept(epoch, { ...common, type: 'attach', request: { volume_id: volumeId, vm_id: vmId } });
    ends.push(new Promise((resolve) => events.onEnd(id, ({ status }) => resolve(status))));
  }
  let ended = false;
  const all = Promise.all(ends).finally(() => {
    ended = true;
  });
  await engine.start();
  for (let step = 0; step < 1_000 && !ended; step += 1) await clock.advance(5);
  expect(await all).toEqual(Array(DISKS).fill('completed'));
  await engine.stop(1_000);
  return told;
}

describe('jobs that wait for one another', () => {
  it('are asked about when the one before them has ended', async () => {
    const told = await attachAllToOneVm();
    const jobs = told.filter((line) => line.startsWith('job-accepted')).map((line) => line.split(' ')[1]);
    expect(jobs).toHaveLength(DISKS);
    for (const [index, job] of jobs.entries()) {
      const asked = told.indexOf(`asked ${job}`);
      expect(asked).toBeGreaterThan(0);
      if (index > 0) expect(asked).toBeGreaterThan(told.indexOf(`job-ended ${jobs[index - 1]}`));
    }
  });
});
