import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Qmp } from '~/lab/guest/qmp';
import type { MachineType, QmpGuest } from '~/lab/guest/qmp-guest';
import { freePort } from '~/lab/ports';
import { Agent } from './agent';
import type { GuestImage } from './image';

/** Root ports of a q35 machine: so many disks can be plugged at the same time. */
export const PORTS = 16;
/** Boot under emulation on a busy machine. ms. */
const BOOT_PATIENCE = 300_000;

export interface MachineOptions {
  readonly type: MachineType;
  readonly image: GuestImage;
  /** Folder of overlay, console and control socket. */
  readonly dir: string;
  /** SMBIOS UUID: CloudStack sets it to the id of the VM. */
  readonly uuid: string;
  /** Port of the simulated CloudStack on this host; the guest reaches it as 10.0.2.100:8080. */
  readonly cloudPort: number;
  readonly guest: QmpGuest;
}

export interface MachinePorts {
  readonly agent: number;
  readonly api: number;
  readonly nbd: number;
}

/** One QEMU guest. Everything it can reach or be reached by is on the loopback of this host. */
export class Machine {
  readonly agent: Agent;
  private child: ChildProcess | null = null;
  private qmp: Qmp | null = null;

  private constructor(
    private readonly options: MachineOptions,
    readonly ports: MachinePorts,
  ) {
    this.agent = new Agent(ports.agent);
  }

  static async create(options: MachineOptions): Promise<Machine> {
    const ports = { agent: await freePort(), api: await freePort(), nbd: await freePort() };
    return new Machine(options, ports);
  }

  get overlay(): string {
    return join(this.options.dir, 'overlay.qcow2');
  }

  get console(): string {
    return join(this.options.dir, 'console.log');
  }

  /** A fresh, empty overlay over the image. */
  createOverlay(): void {
    const args = ['create', '-q', '-f', 'qcow2', '-b', this.options.image.root, '-F', 'raw', this.overlay];
    const result = spawnSync('qemu-img', args, { encoding: 'utf8' });
    if (result.status !== 0) throw new Error(`qemu-img failed: ${result.stderr}`);
  }

  /** Starts the machine, from the snapshot when one is named, and waits until its agent answers. */
  async start(snapshot?: string): Promise<void> {
    const socket = join(this.options.dir, 'qmp.sock');
    rmSync(socket, { force: true });
    const args = [
      ...(await this.arguments(socket)),
      ...(snapshot === undefined ? [] : ['-loadvm', snapshot]),
    ];
    // The kernel ends QEMU when this process dies, even by SIGKILL: nothing is left running.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let complaints = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
    this.child = child;
    const ended = () => child.exitCode !== null || child.signalCode !== null;
    await this.until('QEMU listens on its control socket', () => {
      if (ended()) throw new Error(`QEMU has ended: ${complaints}`);
      return existsSync(socket);
    });
    this.qmp = await Qmp.connect(socket);
    this.options.guest.connect(this.qmp);
    await this.until('the guest answers', async () => {
      if (ended()) throw new Error(`QEMU has ended: ${complaints}`);
      return (await this.agent.try('true', undefined, 10_000).catch(() => null))?.status === 0;
    });
    if (snapshot !== undefined) await this.agent.run(`date -s @${Date.now() / 1000} >/dev/null`);
  }

  /** Keeps the state of the running guest under this name in the overlay. */
  async save(snapshot: string): Promise<void> {
    const said = await this.control().monitor(`savevm ${snapshot}`);
    if (said.trim() !== '') throw new Error(`savevm: ${said}`);
  }

  /** The plug is pulled. */
  async powerOff(): Promise<void> {
    this.options.guest.disconnect();
    const child = this.child;
    this.child = null;
    this.qmp?.close();
    this.qmp = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** The guest shuts itself down. */
  async shutDown(): Promise<void> {
    const child = this.child;
    if (!child) return;
    const exited = once(child, 'exit');
    await this.agent.run('systemd-run --quiet --on-active=0.2 systemctl poweroff');
    const timer = setTimeout(() => child.kill('SIGKILL'), BOOT_PATIENCE);
    await exited;
    clearTimeout(timer);
    await this.powerOff();
  }

  control(): Qmp {
    if (!this.qmp) throw new Error('the machine is off');
    return this.qmp;
  }

  private async until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + BOOT_PATIENCE;
    while (!(await condition())) {
      if (performance.now() > deadline) {
        const log = existsSync(this.console) ? readFileSync(this.console, 'utf8').slice(-3000) : '';
        throw new Error(`it did not happen within ${BOOT_PATIENCE / 1000} s that ${what}:\n${log}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  private async arguments(socket: string): Promise<string[]> {
    const { type, image, uuid, guest } = this.options;
    const ports = Array.from({ length: type === 'q35' ? PORTS : 0 }, (_, n) => [
      '-device',
      `pcie-root-port,id=rp${n},chassis=${n + 1},slot=${n + 1}`,
    ]);
    return [
      ...['-machine', type, '-accel', accelerator(), '-cpu', 'max', '-smp', '2', '-m', '768', '-uuid', uuid],
      ...['-nodefaults', '-no-user-config', '-display', 'none', '-serial', `file:${this.console}`],
      ...['-qmp', `unix:${socket},server=on,wait=off`],
      ...['-kernel', image.kernel, '-initrd', image.initrd],
      ...['-append', 'console=ttyS0 net.ifnames=0 quiet systemd.show_status=no'],
      ...['-netdev', this.network(), '-device', 'virtio-net-pci,netdev=net,romfile='],
      ...[
        '-blockdev',
        `driver=qcow2,node-name=root,discard=unmap,cache.no-flush=on,file.driver=file,file.filename=${this.overlay}`,
      ],
      ...['-device', 'virtio-blk-pci,drive=root,id=root,serial=00000000000040008000'],
      ...['-device', 'virtio-scsi-pci,id=scsi'],
      ...ports.flat(),
      ...(await guest.bootArguments()),
    ];
  }

  private network(): string {
    const { agent, api, nbd } = this.ports;
    const forward = (port: number, to: number) => `hostfwd=tcp:127.0.0.1:${port}-10.0.2.15:${to}`;
    const { image, cloudPort } = this.options;
    return [
      'user,id=net,restrict=on',
      forward(agent, 7000),
      forward(api, 8090),
      forward(nbd, 10809),
      `guestfwd=tcp:10.0.2.100:8080-cmd:${image.busybox} nc 127.0.0.1 ${cloudPort}`,
    ].join(',');
  }
}

/** KVM when the processor really offers it: /dev/kvm may exist and be useless. */
function accelerator(): string {
  const real = /\b(?:svm|vmx)\b/.test(readFileSync('/proc/cpuinfo', 'utf8')) && existsSync('/dev/kvm');
  return real ? 'kvm' : 'tcg,thread=multi';
}
