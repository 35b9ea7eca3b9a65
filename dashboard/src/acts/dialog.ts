import { ApiError } from '../../../cli/client/errors';
import { element, setText, show } from '../dom';
import { reasonOf } from '../live';
import { operationAddress } from '../views/parts';
import { type Act, Keys, type Look, newKey, type Outcome } from './act';
import { fieldElement, valuesOf } from './form';

/**
 * Opens the dialog of an act: what will happen, what was found, what must be entered; then the answer. `done`
 * is called after everything that may have changed something. One that was sent without an answer may be sent
 * again with the same Idempotency-Key.
 */
export function openAct(act: Act, done: () => void): void {
  new ActDialog(act, done).open();
}

class ActDialog {
  private readonly keys = new Keys(newKey);
  private readonly lines = element('ul');
  private readonly looking = element('p');
  private readonly found = element('div', { class: 'found', role: 'status' }, this.looking, this.lines);
  private readonly fields = element('div', { class: 'fields' });
  /** Fields that follow from what was found out. */
  private readonly choices = element('div', { class: 'fields' });
  private readonly typedLabel = element('label', { for: 'act-typed' });
  private readonly typed = element('input', { id: 'act-typed', autocomplete: 'off', spellcheck: 'false' });
  private readonly typing = element('p', { class: 'field typing' }, this.typedLabel, this.typed);
  private readonly problem = element('div', { class: 'problem', role: 'alert' });
  private readonly outcome = element('div', { class: 'outcome', role: 'status' });
  private readonly again = element('button', { type: 'button' }, 'Look again');
  private readonly close = element('button', { type: 'button' }, 'Cancel');
  private readonly submit: HTMLButtonElement;
  private readonly form: HTMLFormElement;
  private readonly dialog: HTMLDialogElement;
  private blocked: string | null = null;
  private unsure: string | null = null;
  private busy = false;
  private ended = false;

  constructor(
    private readonly act: Act,
    private readonly done: () => void,
  ) {
    this.submit = element('button', { type: 'submit', class: 'primary' }, act.verb);
    this.fields.append(...(act.fields ?? []).map(fieldElement));
    this.form = element(
      'form',
      {},
      element('h2', { id: 'act-title' }, act.title),
      element('ul', { class: 'consequences' }, ...act.consequences.map((text) => element('li', {}, text))),
      this.found,
      this.fields,
      this.choices,
      this.typing,
      this.problem,
      this.outcome,
      element('p', { class: 'actions' }, this.again, this.close, this.submit),
    );
    this.dialog = element('dialog', { id: 'act-dialog', 'aria-labelledby': 'act-title' }, this.form);
  }

  open(): void {
    for (const part of [this.problem, this.outcome, this.typing, this.again]) show(part, false);
    this.form.addEventListener('input', () => this.judge());
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (!this.submit.disabled) void this.send();
    });
    this.again.addEventListener('click', () => void this.look());
    this.close.addEventListener('click', () => this.dialog.close());
    this.dialog.addEventListener('close', () => this.dialog.remove());
    document.body.append(this.dialog);
    this.dialog.showModal();
    void this.look();
  }

  private async look(): Promise<void> {
    this.busy = true;
    show(this.again, false);
    show(this.found, this.act.look !== undefined);
    setText(this.looking, 'Looking…');
    this.lines.replaceChildren();
    this.judge();
    const { found, blocked, unsure = null, fields = [] } = await lookOf(this.act);
    this.blocked = blocked;
    this.unsure = unsure;
    const warnings = [blocked, unsure].flatMap((why) => (why === null ? [] : [why]));
    setText(this.looking, '');
    this.lines.replaceChildren(
      ...found.map((text) => element('li', {}, text)),
      ...warnings.map((why) => element('li', { class: 'warn-text' }, why)),
    );
    show(this.found, this.lines.childElementCount > 0);
    this.choices.replaceChildren(...fields.map(fieldElement));
    show(this.again, warnings.length > 0);
    this.busy = false;
    this.judge();
  }

  /** What must be typed follows from what is chosen; nothing is sent before everything is there. */
  private judge(): void {
    const word = this.act.mustType?.(valuesOf(this.form)) ?? null;
    show(this.typing, word !== null);
    setText(this.typedLabel, `This cannot be undone. Type ${word ?? ''} to go on`);
    const isTyped = word === null || this.typed.value.trim() === word;
    const isKnown = this.blocked === null && (word === null || this.unsure === null);
    this.submit.disabled = this.busy || !isKnown || !isTyped;
    this.submit.classList.toggle('danger', word !== null);
  }

  private async send(): Promise<void> {
    const values = valuesOf(this.form);
    this.busy = true;
    this.judge();
    show(this.problem, false);
    try {
      this.showOutcome(await this.act.send(values, this.keys.for(values)));
    } catch (error) {
      this.showProblem(error);
    }
    this.busy = false;
    if (!this.ended) this.judge();
    this.done();
  }

  private showOutcome({ text, operations }: Outcome): void {
    this.ended = true;
    for (const part of [this.found, this.fields, this.choices, this.typing, this.again, this.submit])
      show(part, false);
    this.outcome.replaceChildren(
      element('p', {}, text),
      ...operations.map(({ id, text: label }) =>
        element('p', {}, element('a', { href: operationAddress(id) }, label)),
      ),
    );
    show(this.outcome, true);
    setText(this.close, 'Close');
    this.close.focus();
  }

  private showProblem(error: unknown): void {
    const line = (text: string, kind = '') => element('p', { class: kind }, text);
    if (error instanceof ApiError) {
      const { code, fix, request_id } = error.problem;
      this.problem.replaceChildren(
        element('p', {}, element('strong', {}, code), ` ${error.message}`),
        ...error.fields.map(({ field, message }) => line(`${field}: ${message}`)),
        line(fix),
        line(`Request ${request_id}`, 'quiet'),
      );
    } else
      this.problem.replaceChildren(
        line('The daemon has not answered. It may have accepted this all the same.'),
        line('Sent again from here it carries the same Idempotency-Key: it is not done twice.'),
      );
    show(this.problem, true);
  }
}

/** What cannot be found out now forbids the act until it can. */
async function lookOf(act: Act): Promise<Look> {
  try {
    return (await act.look?.()) ?? { found: [], blocked: null };
  } catch (error) {
    return { found: [], blocked: `Not known: ${reasonOf(error)}` };
  }
}
