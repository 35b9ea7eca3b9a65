import { describe, expect, it } from 'vitest';
import { VmJobQueue } from '~/server/operations/vm-job-queue';

describe('the jobs of one VM', () => {
  it('come first in the order they joined, each when the one before has left', () => {
    const lines = new VmJobQueue();
    const [one, two, three] = [lines.join('vm'), lines.join('vm'), lines.join('vm')];
    const first = () => [one, two, three].map((place) => place.first.aborted);
    expect(first()).toEqual([true, false, false]);
    one.leave();
    expect(first()).toEqual([true, true, false]);
    two.leave();
    expect(first()).toEqual([true, true, true]);
    three.leave();
    expect(lines.join('vm').first.aborted).toBe(true);
  });

  it('lose their place when they leave early', () => {
    const lines = new VmJobQueue();
    const [one, two, three] = [lines.join('vm'), lines.join('vm'), lines.join('vm')];
    two.leave();
    expect(three.first.aborted).toBe(false);
    one.leave();
    expect(three.first.aborted).toBe(true);
  });

  it('wait for no job of another VM, and for none when the VM is not known', () => {
    const lines = new VmJobQueue();
    lines.join('vm');
    expect(lines.join('other').first.aborted).toBe(true);
    expect(lines.join(null).first.aborted).toBe(true);
    expect(lines.join(null).first.aborted).toBe(true);
  });
});
