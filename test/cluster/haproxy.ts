import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensurePackages } from '~/lab/packages';
import { freePort } from '~/lab/ports';
import { Load } from './load';
import type { Report } from './parts';
import { type ClusterRig, isReady } from './rig';

const GUIDE = fileURLToPath(new URL('../../docs/guides/cluster.md', import.meta.url));
/** Where the guide puts the check. */
const CHECK = '/usr/local/bin/galera-node-works';

/**
 * The recipe of the guide, word for word but for addresses and paths: operations go on when its node dies.
 */
export async function behindHaproxy(rig: ClusterRig, say: (text: string) => void): Promise<Report> {
  const { haproxy } = ensurePackages(['haproxy', 'mariadb']);
  const port = await freePort();
  const dir = join(rig.cluster.dir, 'haproxy');
  mkdirSync(dir);
  const check = join(dir, 'check');
  const script = block('sh', '#!/bin/sh').replace('MYSQL_PWD=secret', 'MYSQL_PWD=oma_password');
  writeFileSync(check, script);
  chmodSync(check, 0o755);
  let config = block('haproxy', 'global')
    .replace(CHECK, check)
    .replace('127.0.0.1:3306', `127.0.0.1:${port}`);
  for (const [index, node] of rig.cluster.nodes.entries())
    config = config.replace(`10.0.0.${index + 1}:3306`, node.address);
  writeFileSync(join(dir, 'haproxy.cfg'), config);
  const proxy = spawn(haproxy, ['-db', '-f', join(dir, 'haproxy.cfg')], { stdio: 'ignore' });
  try {
    return await killBehind(rig, port, say);
  } finally {
    await end(proxy);
  }
}

async function killBehind(rig: ClusterRig, port: number, say: (text: string) => void): Promise<Report> {
  const machine = await rig.machine();
  const [one] = rig.cluster.nodes;
  const dsn = rig.cluster.dsn().replace(/tcp\([^)]*\)/, `tcp(127.0.0.1:${port})`);
  const daemon = await rig.start(machine, dsn);
  const load = new Load(rig, [{ machine, daemons: [daemon] }], 5);
  const lines: string[] = [];
  for (const [kind, begin, mend] of [
    ['kill -9', () => one.kill(), () => one.start()],
    ['isolated', () => one.isolate(true), () => one.isolate(false)],
  ] as const) {
    say(`behind haproxy: ${kind} of the primary node`);
    await load.progress(5);
    await begin();
    const died = performance.now();
    await load.progress(5);
    lines.push(`${kind} ${Math.round(performance.now() - died)} ms`);
    await mend();
    await rig.cluster.untilWhole();
  }
  await load.end();
  if (!(await isReady(daemon))) load.wrong.push('the daemon is not ready at the end');
  await daemon.stop();
  return {
    lines: [
      `behind haproxy as in the guide: ${load.operations} operations, ${load.wrong.length} lost or doubled; five more have ended after ${lines.join(', ')}`,
    ],
    wrong: load.wrong,
  };
}

/** A code block of the guide by its language and its first words. */
function block(language: string, begins: string): string {
  const blocks = readFileSync(GUIDE, 'utf8').matchAll(/```(\w+)\n([\s\S]*?)```/g);
  for (const [, name, text = ''] of blocks) if (name === language && text.startsWith(begins)) return text;
  throw new Error(`the guide has no block of ${language} that begins with ${begins}`);
}

async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
