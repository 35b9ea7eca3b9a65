import { check, type Scenario } from '../scenario';

/** systemd-analyze gives 10 to a bare service. */
const EXPOSURE_GOAL = 2.5;

export const service: Scenario = {
  name: 'service',
  story: 'stop under load, restart after a crash, errors only in journalctl -p err, hardening in force',
  machines: ['pc'],
  async run(world) {
    const { agent } = world.machine;
    const ids = await world.createMany(4);
    const operations = await Promise.all(ids.map((id) => world.requestAttach(id)));
    const stopping = performance.now();
    await agent.run('systemctl stop volume-daemon');
    const seconds = (performance.now() - stopping) / 1000;
    const state = await agent.run('systemctl show -p Result,ExecMainStatus volume-daemon');
    check(
      /Result=success/.test(state) && /ExecMainStatus=0/.test(state),
      `it did not stop cleanly: ${state}`,
    );
    await agent.run('systemctl start volume-daemon');
    await world.ready();
    for (const operation of operations) {
      const { status, error } = await world.outcome(operation);
      check(status === 'completed', `attach of ${operation.volume_id} ${status}: ${error}`);
    }
    await world.verifyAll(ids);

    await agent.run('systemctl kill -s SEGV volume-daemon');
    await world.until('systemd has started it again', async () => (await restarts()) > 0);
    await world.ready();
    check((await restarts()) === 1, `systemd has restarted it ${await restarts()} times`);
    await world.settled(ids);
    await world.verifyAll(ids);

    const all = await records('');
    check(all.length > 10, 'the daemon has written nothing to the journal');
    const errors = all.filter((line) => /"level":"(?:error|fatal)"/.test(line));
    const shown = await records('-p err');
    check(
      shown.join('\n') === errors.join('\n'),
      `journalctl -p err shows other records than the errors: ${shown.length} for ${errors.length}`,
    );

    const exposure = await exposureOf('volume-daemon');
    const ofExports = await exposureOf('volume-daemon-nbd');
    return `stop under load ${seconds.toFixed(1)} s, exposure ${exposure} and ${ofExports} (exports), ${errors.length} errors in ${all.length} records`;

    async function exposureOf(unit: string): Promise<number> {
      const said = await agent.run(`systemd-analyze security --no-pager ${unit}.service | tail -1`);
      const exposure = Number(/: (\d+\.\d+)/.exec(said)?.[1] ?? Number.NaN);
      check(exposure <= EXPOSURE_GOAL, `exposure of ${unit} ${exposure}, the goal is ${EXPOSURE_GOAL}`);
      return exposure;
    }

    async function restarts(): Promise<number> {
      return Number(await agent.run('systemctl show -p NRestarts --value volume-daemon'));
    }

    /** What the daemon itself has logged. */
    async function records(options: string): Promise<string[]> {
      const text = await agent.run(`journalctl -q -o cat ${options} _SYSTEMD_UNIT=volume-daemon.service`);
      return text.split('\n').filter((line) => line.startsWith('{'));
    }
  },
};

/** The last one on purpose in this file: nothing runs after a purge. */
export const removal: Scenario = {
  name: 'removal',
  story:
    'the package removed leaves data and configuration, installed again goes on, purged takes its files, not the database',
  machines: ['pc'],
  async run(world) {
    const { agent } = world.machine;
    const id = await world.create('kept');
    await world.attach(id);
    await world.verifyAll([id]);

    await agent.run('dpkg -r volume-daemon 2>&1');
    check(
      (await agent.try('systemctl is-active volume-daemon volume-daemon-nbd.socket')).status !== 0,
      'it still runs',
    );
    await agent.run('test -e /etc/default/volume-daemon && test -d /var/lib/volume-daemon');
    check((await agent.try('test -e /usr/lib/volume-daemon')).status !== 0, 'the program is still there');

    await agent.run('dpkg -i /root/volume-daemon.deb 2>&1');
    await world.ready();
    await world.settled([id]);
    await world.verify(id, { over: 'export' });

    await agent.run('dpkg -P volume-daemon 2>&1');
    const left = await agent.run(
      'ls -d /etc/default/volume-daemon /etc/volume-daemon /var/lib/volume-daemon /run/volume-daemon /etc/nbd-server/conf.d/migration-vol-* 2>/dev/null || true',
    );
    check(left === '', `purge has left ${left}`);
    const rows = await agent.run('mariadb -N migratekit_oma -e "SELECT COUNT(*) FROM volume_operations"');
    check(Number(rows) > 0, 'purge has touched the database');
    await world.verify(id);
    return undefined;
  },
};
