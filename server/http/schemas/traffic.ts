import { z } from 'zod';
import { bytes, named, timestamp } from './fields';

const rate = z.number().nonnegative().nullable();

/** Everything is null that is not known; `unknown` then says why. */
export const exportTrafficSchema = named('ExportTraffic', {
  clients: z.int().nonnegative().nullable().meta({ description: 'connected to this export' }),
  bytes_read: bytes
    .nullable()
    .meta({ description: 'from the disk since it was plugged in: its attach, or the last boot' }),
  bytes_written: bytes
    .nullable()
    .meta({ description: 'to the disk since then; what is still in the page cache is not counted' }),
  read_bytes_per_second: rate.meta({ description: 'over the last 10 s' }),
  written_bytes_per_second: rate.meta({ description: 'over the last 10 s' }),
  last_io_at: timestamp.nullable().meta({ description: 'null: none since observed_since' }),
  observed_since: timestamp.nullable().meta({ description: 'since when this daemon watches this disk' }),
  expected_bytes: bytes
    .nullable()
    .meta({ description: 'of the attach request, else the size of the volume' }),
  expected_from: z.enum(['request', 'volume']).nullable(),
  share_written: z
    .number()
    .min(0)
    .max(1)
    .nullable()
    .meta({ description: 'bytes_written of expected_bytes; holes that are not written are not counted' }),
  seconds_left: z.int().nonnegative().nullable().meta({ description: 'at the present rate' }),
  unknown: z.array(z.string()).meta({ description: 'why values are not known; empty when all are' }),
  at: timestamp.meta({ description: 'of the look' }),
});
export type ExportTrafficReply = z.infer<typeof exportTrafficSchema>;

/** `data:` of the events named `traffic`. */
export const trafficEventSchema = named('TrafficEvent', {
  volume_id: z.string(),
  export_name: z.string(),
  traffic: exportTrafficSchema,
});
export type TrafficEventReply = z.infer<typeof trafficEventSchema>;
