import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BACKENDS, startBackend } from '~/lab/exports/backends';
import type { ExportFigures } from '~/server/exports/export-server';
import { ChangeSetRun } from './change-sets';

/*
 * EXPORT_CHANGE_SETS=200 npm test -- test/integration/exports/change-sets   (EXPORT_SEED=… repeats a run)
 */
const SETS = Number(process.env.EXPORT_CHANGE_SETS ?? 25);
const SEED = Number(process.env.EXPORT_SEED ?? Date.now() % 1_000_000);

describe.each(BACKENDS)('random change sets against the real %s', (kind) => {
  it(
    `${SETS} sets with live clients: no silent breakage, no session cut`,
    async () => {
      const dir = await mkdtemp(join(tmpdir(), 'volume-changes-'));
      const devDir = join(dir, 'dev');
      await mkdir(devDir);
      const backend = await startBackend(kind, { dir, devDir });
      const servers: { readonly figures: ExportFigures }[] = [];
      try {
        const begun = performance.now();
        const figures = await new ChangeSetRun({
          dir,
          devDir,
          sets: SETS,
          seed: SEED,
          create: () => {
            const server = backend.create();
            servers.push(server);
            return server;
          },
        }).run();
        const seconds = ((performance.now() - begun) / 1000).toFixed(1);
        const sum = (of: (figures: ExportFigures) => number) =>
          servers.reduce((total, server) => total + of(server.figures), 0);
        console.log(
          `${kind}: seed ${SEED}, ${figures.sets} change sets, ${figures.changes} changes (${figures.failedChanges.length} failed), ` +
            `${figures.exportsChecked} exports and ${figures.absencesChecked} absences checked: ` +
            `${figures.silentBreakages.length} silent breakages, ${figures.leaks.length} leaks, ` +
            `${figures.reportedUnhealthy} reported unhealthy, ${figures.sessionsCut.length} of 3 live sessions cut ` +
            `(${figures.liveRequests} requests), ${figures.daemonRestarts} restarts of the daemon, ` +
            `${sum((f) => f.restarts)} of the server's parent, ${sum((f) => f.reloads)} reloads, ${seconds} s`,
        );
        expect(figures).toMatchObject({
          sets: SETS,
          failedChanges: [],
          silentBreakages: [],
          leaks: [],
          sessionsCut: [],
        });
        expect(figures.exportsChecked + figures.absencesChecked).toBe(SETS * 9);
      } finally {
        await backend.stop();
        await rm(dir, { recursive: true, force: true });
      }
    },
    60_000 + SETS * 10_000,
  );
});
