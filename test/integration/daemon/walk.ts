import { type LabAppliance, type LabOptions, startAppliance } from '~/lab/appliance';
import { ApiClient, type OperationReply } from '~/lab/client';
import type { DaemonOptions, DaemonProcess } from '~/lab/daemon';

const GIB = 1024 ** 3;

/** A laboratory with a running daemon, and the everyday calls. */
export class Walk {
  private constructor(
    readonly lab: LabAppliance,
    public daemon: DaemonProcess,
    public api: ApiClient,
  ) {}

  static async begin(options: LabOptions = {}, daemon: Partial<DaemonOptions> = {}): Promise<Walk> {
    const lab = await startAppliance(options);
    try {
      const process = await lab.startDaemon(daemon);
      return new Walk(lab, process, new ApiClient(process.url));
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  async restartDaemon(options: Partial<DaemonOptions> = {}): Promise<void> {
    this.daemon = await this.lab.startDaemon(options);
    this.api = new ApiClient(this.daemon.url);
  }

  get appliance(): string {
    return this.lab.cloud.applianceVmId;
  }

  createBody(name: string, size = GIB) {
    return { name, size, disk_offering_id: this.lab.cloud.diskOfferingId, zone_id: this.lab.cloud.zoneId };
  }

  async create(name: string, size = GIB): Promise<string> {
    const ended = await this.api.end(
      await this.api.post<OperationReply>('/api/v1/volumes', this.createBody(name, size)),
    );
    return ended.volume_id;
  }

  async attach(volumeId: string, vmId = this.appliance): Promise<OperationReply> {
    return this.api.end(
      await this.api.post<OperationReply>(`/api/v1/volumes/${volumeId}/attach`, { vm_id: vmId }),
    );
  }

  async detach(volumeId: string, body?: unknown): Promise<OperationReply> {
    return this.api.end(await this.api.post<OperationReply>(`/api/v1/volumes/${volumeId}/detach`, body));
  }

  async remove(volumeId: string): Promise<OperationReply> {
    return this.api.end(await this.api.delete<OperationReply>(`/api/v1/volumes/${volumeId}`));
  }

  async close(): Promise<void> {
    await this.lab.close();
  }
}

/** The raw answer of one request, whatever its status. */
export async function send(
  url: string,
  init: RequestInit = {},
): Promise<{ status: number; headers: Headers; body: Record<string, unknown>; text: string }> {
  const answer = await fetch(url, init);
  const text = await answer.text();
  let body: Record<string, unknown> = {};
  try {
    body = JSON.parse(text);
  } catch {
    // not JSON: the test sees the text
  }
  return { status: answer.status, headers: answer.headers, body, text };
}
