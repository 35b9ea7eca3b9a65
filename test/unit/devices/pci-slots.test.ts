import { afterEach, beforeEach, expect, it } from 'vitest';
import { readPciSlots } from '~/server/devices/sysfs/pci-slots';
import { GuestTree } from './guest-tree';

let tree: GuestTree;
beforeEach(() => {
  tree = new GuestTree();
});
afterEach(() => tree.remove());

const pciDir = () => `${tree.root}/pci`;
const slot = (name: string, address: string) => tree.write(`pci/slots/${name}/address`, `${address}\n`);

function plug(address: string, files: { vendor?: string; device?: string; disk?: string } = {}): void {
  const { vendor = '0x1af4', device = '0x1001', disk } = files;
  tree.write(`pci/devices/${address}.0/vendor`, `${vendor}\n`);
  tree.write(`pci/devices/${address}.0/device`, `${device}\n`);
  if (disk) tree.write(`pci/devices/${address}.0/virtio3/block/${disk}/size`, '8\n');
}

it('machine type pc: the slots of the bus without a device are free', () => {
  for (let number = 3; number < 32; number += 1)
    slot(String(number), `0000:00:${number.toString(16).padStart(2, '0')}`);
  plug('0000:00:03', { vendor: '0x1af4', device: '0x1000' });
  plug('0000:00:05', { disk: 'vdb' });
  expect(readPciSlots(pciDir())).toEqual({ free: 27, arriving: 0 });
});

it('q35: one slot for each root port, and one may be named twice', () => {
  for (const bus of ['01', '02', '03']) slot(`0-${bus}`, `0000:${bus}:00`);
  slot('again', '0000:03:00');
  plug('0000:01:00', { device: '0x1042', disk: 'vdb' });
  expect(readPciSlots(pciDir())).toEqual({ free: 2, arriving: 0 });
});

it('a virtio disk of which the kernel has not made a disk yet is arriving, with or without its driver', () => {
  for (const number of ['04', '05', '06']) slot(number, `0000:00:${number}`);
  plug('0000:00:04');
  plug('0000:00:05');
  tree.write('pci/devices/0000:00:05.0/virtio4/status', '0x1\n');
  plug('0000:00:06', { vendor: '0x8086', device: '0x100e' });
  expect(readPciSlots(pciDir())).toEqual({ free: 0, arriving: 2 });
});

it('a guest without hot-plug slots tells nothing', () => {
  plug('0000:00:04', { disk: 'vdb' });
  expect(readPciSlots(pciDir())).toBeNull();
});

it('slots that cannot be read are no guest without slots', () => {
  tree.link('pci/slots', 'slots');
  expect(() => readPciSlots(pciDir())).toThrow('ELOOP');
});
