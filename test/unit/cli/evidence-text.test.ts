import { expect, it } from 'vitest';
import { witnessTexts } from '~/cli/evidence-text';
import { volumeEvidenceReply } from '~/server/http/response/volume-evidence-reply';
import { seen } from '~/server/model/evidence';
import { APPLIANCE, exportRecord, mapping, NOW, VOLUME, volumeDescription } from '~/test/support/canned';

it('a time is said of what it is the time of: the mapping is of then, and not that its disk is missing', () => {
  const { evidence } = volumeDescription(null);
  const devicePath = `missing-${VOLUME}`;
  const missed = { ...mapping(VOLUME, APPLIANCE), linuxState: 'missing', devicePath } as const;
  const database = seen({ mapping: missed, export: exportRecord(VOLUME) }, NOW, 'database');
  const [, , row] = witnessTexts(volumeEvidenceReply({ ...evidence, database }));
  expect(row?.text).toBe(
    `mapped to ${devicePath} of VM ${APPLIANCE} since 2025-08-19 20:30:00Z; its disk is missing; export active`,
  );
});
