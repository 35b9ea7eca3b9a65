import { createHmac } from 'node:crypto';
import { expect } from 'vitest';
import { type Simulator, startSimulator } from '~/lab/cloudstack/http';
import type { ModelOptions } from '~/lab/cloudstack/model';
import { ManualClock } from '../unit/devices/manual-clock';

export type ConversationOptions = Partial<ModelOptions>;

/** ms of virtual time; every job takes this long. */
const JOB_MS = 100;

/** A request as a table asks for it. */
export interface Request {
  readonly what: string;
  /** Whose key; by default that of `plain`. */
  readonly by?: 'plain' | 'other' | 'admin';
  /** `command` and its parameters; `$name` stands for an id that is known under this name. */
  readonly ask?: Readonly<Record<string, string>>;
  /** How the request is signed and sent, when not as usual. */
  readonly sent?:
    | 'GET'
    | 'bad-signature'
    | 'unknown-key'
    | 'expired'
    | 'far-expiry'
    | 'version-1'
    | 'no-expiry'
    | 'xml';
  /** Keeps the `id` of the answer under this name. */
  readonly keep?: string;
}

/** What came back, with what the real server sends with everything checked already. */
export interface Answer {
  readonly status: number;
  readonly command: string;
  /** `listvolumesresponse` */
  readonly root: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** X-Description */
  readonly description: string | null;
  readonly text: string;
  items(key: string): readonly Record<string, unknown>[];
}

/**
 * A client of the simulator that signs by itself, on a clock that moves only while somebody waits: what is in
 * progress stays so for as many rows as it takes. The appliance and the first key are those of the account
 * `plain`, on the hypervisor of the recordings.
 */
export class Conversation {
  /** Ids by the names that rows give them. */
  readonly names = new Map<string, string>();
  private readonly jobs = new Map<string, string>();
  private readonly holding = new Map<string, Promise<Answer>>();

  private constructor(
    readonly simulator: Simulator,
    readonly clock: ManualClock,
  ) {
    const { model, zoneId, diskOfferingId, fixedOfferingId } = simulator;
    const root = (vmId: string) => model.volumes.find((volume) => volume.vmId === vmId)?.id ?? '';
    const known = {
      zone: zoneId,
      custom: diskOfferingId,
      small: fixedOfferingId,
      vm: model.applianceVmId,
      root: root(model.applianceVmId),
      never: '99999999-9999-4999-8999-999999999999',
      domain: '33333333-3333-4333-8333-333333333333',
    };
    for (const [name, id] of Object.entries(known)) this.names.set(name, id);
  }

  static async begin(options: ConversationOptions = {}): Promise<Conversation> {
    const clock = new ManualClock();
    const simulator = await startSimulator({
      clock,
      account: 'plain',
      applianceHypervisor: 'Simulator',
      latencies: {
        create: JOB_MS,
        attach: JOB_MS,
        detach: JOB_MS,
        remove: JOB_MS,
        resize: JOB_MS,
        snapshot: JOB_MS,
        vm: JOB_MS,
      },
      ...options,
    });
    return new Conversation(simulator, clock);
  }

  get model() {
    return this.simulator.model;
  }

  /** Something that is there before anybody asks. */
  addVm(name: string, account: string, state = 'Running'): void {
    const accountId = this.model.accounts.require(account).id;
    const vm = this.model.addVm({ name, accountId, state, hypervisor: 'Simulator' });
    this.names.set(name, vm.id);
    this.names.set(`root of ${name}`, this.model.inventory.attachedTo(vm)[0]?.id ?? '');
  }

  /** A detached volume of 1 GiB. */
  addVolume(name: string, account = 'plain', state = 'Allocated'): void {
    const { inventory, accounts, offerings } = this.model;
    const volume = inventory.addVolume({
      name,
      size: 1024 ** 3,
      zoneId: inventory.firstZone().id,
      diskOfferingId: offerings[0]?.id ?? null,
      accountId: accounts.require(account).id,
    });
    volume.state = state;
    if (state !== 'Allocated') volume.hypervisor = 'Simulator';
    this.names.set(name, volume.id);
  }

  /** Sends the row's request; time passes only for what the server makes its client wait for. */
  ask(row: Request): Promise<Answer> {
    const waits =
      row.ask?.command === 'deleteVolume' || this.model.conditions.lockout(this.model.account) !== null;
    return waits ? this.passing(this.send(row)) : this.send(row);
  }

  /** Sends it, and comes back once the server works on it. */
  async hold(row: Request): Promise<void> {
    const before = this.clock.sleeping;
    this.holding.set(row.what, this.send(row));
    while (this.clock.sleeping === before) await turn();
  }

  released(what: string): Promise<Answer> {
    const answer = this.holding.get(what);
    if (!answer) throw new Error(`no row "${what}" holds a request`);
    return this.passing(answer, 0);
  }

  keep(row: Request, answer: Answer): void {
    const { id, jobid } = answer.body;
    if (row.keep !== undefined) this.names.set(row.keep, String(id));
    if (typeof jobid === 'string') this.jobs.set(row.what, jobid);
  }

  /** queryAsyncJobResult of the job that a row started, once it has ended. */
  async jobEnd(what: string): Promise<Record<string, unknown>> {
    const jobid = this.jobs.get(what);
    if (jobid === undefined) throw new Error(`no row "${what}" started a job`);
    for (;;) {
      const { body } = await this.ask({ what, by: 'admin', ask: { command: 'queryAsyncJobResult', jobid } });
      if (body.jobstatus !== 0) return body;
      await this.clock.advance(JOB_MS / 2);
    }
  }

  /** The volume or VM of this name as an administrator lists it; null when it is not listed. */
  async look(name: string): Promise<Record<string, unknown> | null> {
    const id = this.id(name);
    const vm = this.model.vms.some((one) => one.id === id);
    const command = vm ? 'listVirtualMachines' : 'listVolumes';
    const answer = await this.ask({ what: name, by: 'admin', ask: { command, id, listall: 'true' } });
    return answer.items(vm ? 'virtualmachine' : 'volume')[0] ?? null;
  }

  /** With ids for the names. */
  filled<T extends Readonly<Record<string, unknown>>>(fields: T): T {
    const fill = (value: unknown) =>
      typeof value === 'string'
        ? value.replace(/\$\{([^}]+)\}|\$(\w+)/g, (_, a, b) => this.id(a ?? b))
        : value;
    return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, fill(value)])) as T;
  }

  end(): Promise<void> {
    return this.simulator.stop();
  }

  private id(name: string): string {
    const id = this.names.get(name);
    if (id === undefined) throw new Error(`nothing is known as "${name}"`);
    return id;
  }

  /** Moves the clock when the work waits for it, and no further than it needs. */
  private async passing<T>(work: Promise<T>, sleepingBefore = this.clock.sleeping): Promise<T> {
    let over = false;
    let waits = false;
    const settled = work.finally(() => {
      over = true;
    });
    while (!over) {
      await turn();
      waits ||= this.clock.sleeping > sleepingBefore;
      if (waits) await this.clock.advance(JOB_MS / 10);
    }
    return settled;
  }

  private async send({ ask = {}, by = 'plain', sent }: Request): Promise<Answer> {
    const { url } = this.simulator;
    const form = this.signed(this.filled(ask), by, sent);
    const response =
      sent === 'GET' ? await fetch(`${url}?${form}`) : await fetch(url, { method: 'POST', body: form });
    const text = await response.text();
    // The real server never says what time it is.
    expect(response.headers.get('date')).toBeNull();
    const [root, body] = Object.entries(sent === 'xml' ? {} : JSON.parse(text))[0] ?? ['', {}];
    return {
      status: response.status,
      command: ask.command ?? '',
      root,
      body: body as Record<string, unknown>,
      description: response.headers.get('x-description'),
      text,
      items: (key) => (body as Record<string, Record<string, unknown>[]>)[key] ?? [],
    };
  }

  private signed(parameters: Record<string, string>, by: string, sent: Request['sent']): URLSearchParams {
    const key = this.simulator.keys[by];
    if (!key) throw new Error(`${by} has no key`);
    const form = new URLSearchParams({
      ...parameters,
      ...(sent === 'xml' ? {} : { response: 'json' }),
      apikey: sent === 'unknown-key' ? 'nobody' : key.apiKey,
      ...this.lifetime(sent),
    });
    form.sort();
    const encoded = (value: string) =>
      new URLSearchParams({ value }).toString().slice(6).replaceAll('+', '%20');
    const text = [...form].map(([name, value]) => `${name}=${encoded(value)}`).join('&');
    const signature = createHmac('sha1', key.secretKey).update(text.toLowerCase()).digest('base64');
    form.set('signature', sent === 'bad-signature' ? 'AAAA' : signature);
    return form;
  }

  private lifetime(sent: Request['sent']): Record<string, string> {
    const at = (ms: number) => new Date(this.clock.now() + ms).toISOString().replace(/\.\d+Z$/, '+0000');
    switch (sent) {
      case 'version-1':
        return {};
      case 'no-expiry':
        return { signatureversion: '3' };
      case 'expired':
        return { signatureversion: '3', expires: at(-1_000) };
      case 'far-expiry':
        return { signatureversion: '3', expires: at(2 * 86_400_000) };
      default:
        return { signatureversion: '3', expires: at(600_000) };
    }
  }
}

/** Lets sockets and promises do what they can. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
