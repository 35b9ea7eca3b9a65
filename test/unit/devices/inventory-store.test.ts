import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createInventoryStore } from '~/server/devices/inventory-store';
import { GuestTree } from './guest-tree';
import { BOOT, disk } from './worlds';

let tree: GuestTree;
let folder: string;

beforeEach(() => {
  tree = new GuestTree();
  folder = join(tree.root, 'inventory');
});
afterEach(() => tree.remove());

const snapshot = {
  bootId: BOOT,
  devices: [disk({ root: false }), disk({ name: 'vdaa', serial: null })],
  at: 5,
  scanned: true,
  appearances: [{ name: 'vdb', diskseq: 7, at: 4, uptime: 3.25 }],
};

it('what was saved is loaded after a restart, as something not looked at yet', async () => {
  await createInventoryStore(folder).save(snapshot);
  const { root: _root, ...plain } = disk({ root: false });
  expect(await createInventoryStore(folder).load()).toEqual({
    bootId: BOOT,
    devices: [plain, disk({ name: 'vdaa', serial: null })],
    at: 5,
    scanned: false,
    appearances: snapshot.appearances,
  });
});

it('what an earlier version has kept is loaded, without appearances', async () => {
  const store = createInventoryStore(folder);
  await store.save(snapshot);
  const [file = 'none'] = readdirSync(folder);
  writeFileSync(join(folder, file), JSON.stringify({ bootId: BOOT, devices: [], at: 5 }));
  expect(await store.load()).toEqual({ bootId: BOOT, devices: [], at: 5, scanned: false, appearances: [] });
});

it('where its folder cannot be made it says that, and not that the file in it is not there', async () => {
  // Nobody can make a folder there, root neither.
  await expect(createInventoryStore('/sys/inventory').save(snapshot)).rejects.toThrow(/EPERM|EACCES|EROFS/);
});

it('there is none at first', async () => {
  expect(await createInventoryStore(folder).load()).toBeNull();
});

it.each([
  '',
  '{"bootId":',
  'null',
  '[]',
  '{"bootId":null,"devices":[{"name":"../../etc"}],"at":1}',
  '\0\0\0\0',
])('corrupt content (%j) is the same as none', async (text) => {
  await createInventoryStore(folder).save(snapshot);
  const [file] = readdirSync(folder);
  writeFileSync(join(folder, file ?? 'none'), text);
  expect(await createInventoryStore(folder).load()).toBeNull();
});

it('a folder in place of the file is the same as none', async () => {
  await createInventoryStore(folder).save(snapshot);
  const [file = 'none'] = readdirSync(folder);
  rmSync(join(folder, file));
  mkdirSync(join(folder, file));
  expect(await createInventoryStore(folder).load()).toBeNull();
});
