import type { ExportReply, ExportWithdrawalReply } from '../../../server/http/schemas/exports';
import { change } from '../api';
import { shortId } from '../format';
import type { Act } from './act';
import { lookAtVolume } from './look-at-volume';
import { called, type Target } from './volume-acts';

export function exportOnAct(target: Target): Act {
  return {
    title: `Export ${called(target)}`,
    verb: 'Export',
    role: 'operate',
    consequences: [
      'The disk of the volume is identified once more, served over NBD, and asked whether it answers.',
      'From then on sync keeps the export, until it is withdrawn.',
    ],
    fields: [{ kind: 'check', name: 'read_only', label: 'Read-only: nobody can write through it' }],
    look: () => lookAtVolume(target.id),
    async send({ read_only }, keyOf) {
      const body = { volume_id: target.id, ...(read_only === true && { read_only }) };
      const made = await change<ExportReply>('POST', '/api/v1/exports', body, keyOf('export'));
      return { text: `${made.export_name} answers on port ${made.port}.`, operations: [] };
    },
  };
}

export function exportOffAct(target: Target): Act {
  return {
    title: `Withdraw the export of ${called(target)}`,
    verb: 'Withdraw',
    role: 'operate',
    consequences: [
      'New connections fail from now on, and sync does not bring the export back. The volume stays attached.',
      'While a client is connected it is refused, unless it is forced: then clients are cut off, and what they have not written is lost.',
    ],
    fields: [{ kind: 'check', name: 'force', label: 'Force: cut off the clients' }],
    look: () => lookAtVolume(target.id),
    mustType: ({ force }) => (force === true ? shortId(target.id) : null),
    async send({ force }, keyOf) {
      const path = `/api/v1/exports/${encodeURIComponent(target.id)}`;
      const body = force === true ? { force } : {};
      const { message } = await change<ExportWithdrawalReply>('DELETE', path, body, keyOf('withdraw'));
      return { text: message, operations: [] };
    },
  };
}
