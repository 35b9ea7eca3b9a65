import { expect, it } from 'vitest';
import type { MappingEffect } from '~/server/model/ledger-writes';
import { A, APPLIANCE, detach, ended, mapping, T0 } from '../../contract/ledger/fixtures';
import { useMigrated } from './use-migrated';

const database = useMigrated();
const sql = (text: string) => database.query(text);

it('a row of another program that refers to a mapping is waited for, by name, and is no mistake of ours', async () => {
  const ledger = database.ledger(() => T0);
  const epoch = await ledger.takeOver(APPLIANCE, 'test');
  const put: MappingEffect = { kind: 'put-mapping', mapping: mapping(A) };
  await ledger.auditedChange(epoch, [put], { step: 'sync:test', state: 'note', data: {} });
  await sql('CREATE TABLE theirs (volume_id VARCHAR(64) PRIMARY KEY) SELECT volume_id FROM device_mappings');
  await sql('ALTER TABLE theirs ADD FOREIGN KEY (volume_id) REFERENCES device_mappings (volume_id)');
  const { operation } = await ledger.accept(epoch, detach(A));
  await ledger.claim(epoch, 1);
  const end = () =>
    ledger.append(epoch, operation.id, {
      after: 2,
      at: T0,
      entries: [],
      effects: [{ kind: 'delete-mapping', volumeId: A, vmId: APPLIANCE }],
      end: ended(),
    });
  await expect(end()).rejects.toMatchObject({
    code: 'DATABASE_UNAVAILABLE',
    message: expect.stringMatching(/theirs.*a foreign key of another program refers to this row/),
  });
  await sql('DELETE FROM theirs');
  await end();
  expect(await ledger.readMapping(A)).toBeNull();
});
