import { describe, expect, it } from 'vitest';
import { leftText, rateText, writtenText } from '~/cli/output/traffic-text';
import { exportTrafficReply } from '~/server/http/response/traffic-reply';
import { exportTrafficSchema } from '~/server/http/schemas/traffic';
import { unknown } from '~/server/model/evidence';
import { exportActivity, NOW } from '~/test/support/canned';

const copying = exportTrafficReply(exportActivity());

describe('traffic as a reply, and in words', () => {
  it('is a reply of the schema, with times reckoned back from the look', () => {
    expect(() => exportTrafficSchema.parse(copying)).not.toThrow();
    expect(copying).toMatchObject({
      last_io_at: new Date(NOW - 500).toISOString(),
      observed_since: new Date(NOW - 20_000).toISOString(),
      seconds_left: 31,
    });
  });

  it('what is not known is null with every reason once, and is called unknown', () => {
    const why = unknown('/dev/vdb is gone', NOW, 'guest');
    const reply = exportTrafficReply({ ...exportActivity(), clients: why, traffic: why });
    expect(() => exportTrafficSchema.parse(reply)).not.toThrow();
    expect(reply).toMatchObject({ clients: null, bytes_written: null, last_io_at: null });
    expect(reply.unknown).toEqual(['/dev/vdb is gone']);
    expect([writtenText(reply), rateText(reply)]).toEqual(['unknown', 'unknown']);
  });

  it('share, rate and time left', () => {
    expect(writtenText(copying)).toBe('1 GiB of 4 GiB (25 %)');
    expect(rateText(copying)).toBe('100 MiB/s written');
    expect(rateText({ ...copying, read_bytes_per_second: 200 * 1024 ** 2 })).toBe(
      '200 MiB/s read, 100 MiB/s written',
    );
    expect(rateText({ ...copying, written_bytes_per_second: 0 })).toBe('idle');
    expect([leftText(copying), leftText({ ...copying, seconds_left: null })]).toEqual(['31.0 s', '']);
  });

  it('100 % is said of all of it only', () => {
    expect(writtenText({ ...copying, share_written: 0.9999 })).toContain('(99 %)');
    expect(writtenText({ ...copying, share_written: 1 })).toContain('(100 %)');
  });
});
