import { element, keyedList, type Row, setAttribute, setText, show } from '../dom';
import { duration, runningFor } from '../format';
import type { Step } from '../steps';

const WORDS: Readonly<Record<Step['state'], string>> = {
  done: 'done',
  running: 'running',
  waiting: 'waiting',
  failed: 'failed',
  ahead: 'to come',
};

/** The steps of an operation with their times. */
export function timeline(): { element: HTMLElement; update(steps: readonly Step[], now: number): void } {
  const list = element('ol', { class: 'steps' });
  let clock = 0;
  const update = keyedList<Step>(
    list,
    ({ name }) => name,
    () => row(() => clock),
  );
  return {
    element: list,
    update(steps, now) {
      clock = now;
      update(steps);
    },
  };
}

function row(now: () => number): Row<Step> {
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
      setText(time, timeOf(step, now()));
      setText(note, step.state === 'done' && step.name !== 'map' ? '' : step.note);
      show(note, note.textContent !== '');
    },
  };
}

function timeOf({ begin, end }: Step, now: number): string {
  if (begin === null) return '';
  return end === null ? runningFor(now - begin) : duration(end - begin);
}
