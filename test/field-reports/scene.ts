import type { LabOptions } from '~/lab/appliance';
import type { Volume } from '~/lab/cloudstack/records';
import type { DaemonOptions } from '~/lab/daemon';
import { send, type Walk } from '~/test/integration/daemon/walk';

export const GIB = 1024 ** 3;
export const SECOND_MS = 1_000;
const LOOK_MS = 20;
const ENDED = ['completed', 'failed', 'cancelled'];

/** An operation as the API shows it; `executing` when it has not ended in time. */
export interface Ended {
  readonly id: string;
  readonly status: string;
  readonly volume_id: string;
  readonly error_code?: string;
  readonly error?: string;
  readonly wait_reason?: string;
}

/** One reported failure, told to a real daemon from outside. */
export interface Report {
  readonly id: string;
  readonly title: string;
  readonly options?: LabOptions;
  /** Resolves when the daemon behaves; throws with what it did instead. */
  readonly run: (scene: Scene) => Promise<void>;
}

/** A report does not hold: `what` is wrong. */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

/** A walk with the real daemon of any version, spoken to over HTTP only, and the world around it. */
export class Scene {
  constructor(
    readonly walk: Walk,
    private readonly build: Partial<DaemonOptions> = {},
  ) {}

  get model() {
    return this.walk.lab.cloud.model;
  }
  get here(): string {
    return this.walk.appliance;
  }

  call(method: string, path: string, body?: unknown) {
    const init: RequestInit = { method };
    if (body !== undefined)
      Object.assign(init, { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
    return send(this.walk.daemon.url + path, init);
  }

  /** Sends a request that becomes an operation. Throws when it is not accepted. */
  async begin(method: string, path: string, body?: unknown): Promise<string> {
    const answer = await this.call(method, path, body);
    must(answer.status === 201, `${method} ${path}: ${answer.status} ${answer.text}`);
    return String(answer.body.id);
  }

  async operation(id: string): Promise<Ended> {
    return (await this.call('GET', `/api/v1/operations/${id}`)).body as unknown as Ended;
  }

  /** The operation when it has ended, or as it is after `withinMs`. */
  async end(id: string, withinMs = 30 * SECOND_MS): Promise<Ended> {
    let last = await this.operation(id);
    await this.until(async () => {
      last = await this.operation(id);
      return ENDED.includes(last.status);
    }, withinMs);
    return last;
  }

  async run(method: string, path: string, body?: unknown, withinMs?: number): Promise<Ended> {
    return this.end(await this.begin(method, path, body), withinMs);
  }

  attach(volumeId: string, vmId = this.here, withinMs?: number): Promise<Ended> {
    return this.run('POST', `/api/v1/volumes/${volumeId}/attach`, { vm_id: vmId }, withinMs);
  }

  detach(volumeId: string, withinMs?: number): Promise<Ended> {
    return this.run('POST', `/api/v1/volumes/${volumeId}/detach`, undefined, withinMs);
  }

  remove(volumeId: string, withinMs?: number): Promise<Ended> {
    return this.run('DELETE', `/api/v1/volumes/${volumeId}`, undefined, withinMs);
  }

  /** True as soon as `holds` does; false after `withinMs`. */
  async until(holds: () => boolean | Promise<boolean>, withinMs: number): Promise<boolean> {
    const end = performance.now() + withinMs;
    while (!(await holds())) {
      if (performance.now() > end) return false;
      await this.pass(LOOK_MS);
    }
    return true;
  }

  pass(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }

  /** A data volume that nobody has attached, of the appliance's account or of `account`. */
  volume(name: string, fields: Partial<Volume> = {}, account?: string): Volume {
    const { model, zoneId, diskOfferingId } = this.walk.lab.cloud;
    const made = model.inventory.addVolume({
      ...{ name, size: GIB, zoneId, diskOfferingId },
      ...(account === undefined ? {} : { accountId: model.accounts.require(account).id }),
    });
    return Object.assign(made, { state: 'Ready', hypervisor: 'KVM' }, fields);
  }

  /** By somebody else, behind the daemon's back. */
  plugInto(volume: Volume, vmId: string): void {
    const deviceId = this.model.volumes.filter((other) => other.vmId === vmId && other !== volume).length;
    Object.assign(volume, { vmId, deviceId, attached: Date.now() });
  }

  /** A volume that was created and attached to the appliance through the daemon. */
  async attached(name: string): Promise<Volume> {
    const id = await this.walk.create(name);
    const ended = await this.attach(id);
    must(ended.status === 'completed', `the attach to begin with: ${ended.error}`);
    return this.model.inventory.volume('', '', id);
  }

  vm(state: string): string {
    return this.model.addVm({ name: 'test', state }).id;
  }

  /** How often CloudStack has got this call, or a job of this kind has come of it. */
  calls(command: string): number {
    return this.model.history.events().filter(({ what, detail }) => what === 'call' && detail === command)
      .length;
  }

  /** Resolves when a fault of this kind has struck; the world may change right after it. */
  async untilStruck(kind: keyof Scene['model']['faults']['struck']): Promise<void> {
    const before = this.model.faults.struck[kind] ?? 0;
    const struck = await this.until(() => (this.model.faults.struck[kind] ?? 0) > before, 20 * SECOND_MS);
    must(struck, `the fault ${kind} never struck`);
  }

  async mapped(volumeId: string): Promise<boolean> {
    return (await this.call('GET', `/api/v1/volumes/${volumeId}/device`)).status === 200;
  }

  async exported(volumeId: string): Promise<boolean> {
    return (await this.call('GET', `/api/v1/exports/${volumeId}`)).status === 200;
  }

  /** The daemon ends, by SIGKILL, and starts again. */
  async restartDaemon(
    between: () => Promise<unknown> = async () => undefined,
    env: Record<string, string> = {},
  ) {
    await this.walk.daemon.kill();
    await between();
    await this.walk.restartDaemon({ ...this.build, env });
  }

  sync() {
    return this.call('POST', '/api/v1/admin/force-sync');
  }

  hide(id: string): void {
    this.model.conditions.add({ kind: 'hidden', id });
  }

  /** Is it still there, and not on its way out? */
  alive(volume: Volume): boolean {
    return !volume.removed && !['Destroy', 'Expunging', 'Expunged'].includes(volume.state);
  }
}
