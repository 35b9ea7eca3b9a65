import { durationText } from '../../../cli/output/units';
import { element, keyedList, type Row, setAttribute, setText, show } from '../dom';
import { runningFor } from '../format';
import type { Step } from '../steps';

const WORDS: Readonly<Record<Step['state'], string>> = {
  done: 'done',
  running: 'running',
  waiting: 'waiting',
  failed: 'failed',
  ahead: 'to come',
};

/** The steps of an operation with their times. */
export function timeline(): { element: HTMLElement; update(steps: readonly Step[], nowMs: number): void } {
  const list = element('ol', { class: 'steps' });
  let clockMs = 0;
  const update = keyedList<Step>(
    list,
    ({ name }) => name,
    () => row(() => clockMs),
  );
  return {
    element: list,
    update(steps, nowMs) {
      clockMs = nowMs;
      update(steps);
    },
  };
}

function row(nowMs: () => number): Row<Step> {
  const label = element('span', { class: 'step-label' });
  const word = element('span', { class: 'visually-hidden' });
  const time = element('span', { class: 'step-time' });
  const note = element('span', { class: 'step-note' });
  return {
    element: element('li', {}, label, word, time, note),
    update(step) {
      setAttribute(this.element, 'data-state', step.state);
      setText(label, step.label);
      setText(word, `, ${WORDS[step.state]}`);
      setText(time, timeOf(step, nowMs()));
      setText(note, step.state === 'done' && step.name !== 'map' ? '' : step.note);
      show(note, note.textContent !== '');
    },
  };
}

function timeOf({ beginMs, endMs }: Step, nowMs: number): string {
  if (beginMs === null) return '';
  return endMs === null ? runningFor(nowMs - beginMs) : durationText(endMs - beginMs);
}
