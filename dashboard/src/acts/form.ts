import { element } from '../dom';
import type { Field, Values } from './act';

/** The inputs of an act, one labelled line each. */
export function fieldElement(field: Field): HTMLElement {
  const id = `act-${field.name}`;
  if (field.kind === 'check')
    return element(
      'label',
      { class: 'check' },
      element('input', { type: 'checkbox', name: field.name, id, checked: field.checked ?? false }),
      element('span', {}, field.label),
    );
  return element('p', { class: 'field' }, element('label', { for: id }, field.label), ...control(field, id));
}

function control(field: Exclude<Field, { kind: 'check' }>, id: string): HTMLElement[] {
  const { name } = field;
  switch (field.kind) {
    case 'choice':
      return [
        element(
          'select',
          { name, id },
          ...field.choices.map(({ value, text }) => element('option', { value }, text)),
        ),
      ];
    case 'number':
      return [
        element('input', {
          type: 'number',
          name,
          id,
          min: String(field.min ?? 1),
          step: '1',
          required: true,
          value: field.value,
        }),
      ];
    case 'text': {
      const input = {
        type: 'text',
        name,
        id,
        autocomplete: 'off',
        spellcheck: 'false',
        value: field.value ?? '',
      };
      return field.hint === undefined
        ? [element('input', { ...input, required: true })]
        : [element('input', { ...input, placeholder: field.hint })];
    }
  }
}

/** What was entered: texts trimmed, check boxes as booleans. */
export function valuesOf(form: HTMLFormElement): Values {
  const inputs = [...form.querySelectorAll<HTMLInputElement | HTMLSelectElement>('[name]')];
  return Object.fromEntries(
    inputs.map((input) => [
      input.name,
      input instanceof HTMLInputElement && input.type === 'checkbox' ? input.checked : input.value.trim(),
    ]),
  );
}
