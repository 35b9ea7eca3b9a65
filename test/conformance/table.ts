import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, Conversation, type ConversationOptions, type Request } from './conversation';

/** How a job ended: status 1 or 2, its code, the text of its error, and fields of its result. */
export interface JobEnd {
  readonly status: 1 | 2;
  readonly code: number;
  readonly text?: string | RegExp;
  /** `volume`, `virtualmachine`, …: the key of the result, with fields that the object in it has. */
  readonly result?: Readonly<Record<string, unknown>>;
}

/** What a volume or VM is afterwards, as an administrator lists it; null: no longer there. */
export type After = Readonly<Record<string, Readonly<Record<string, unknown>> | null>>;

/** One exchange with the server. */
export interface Row extends Request {
  /** Done before it is sent: switches faults on, makes what others would have made. */
  readonly before?: (conversation: Conversation) => void | Promise<void>;
  /** The request is sent and not answered yet; a later row `release`s it by the name of this one. */
  readonly held?: true;
  readonly release?: string;
  /** Waits for the job that the row of this name started, and looks at its end. */
  readonly ends?: string;
  readonly answer?: (answer: Answer) => void;
  /** The end of the job that this very row started. Without it the job goes on. */
  readonly job?: JobEnd;
  readonly after?: After;
}

/**
 * A table of exchanges as tests, in order, on one server. A row that fails takes those with it that build on
 * it.
 */
export function conformance(title: string, rows: readonly Row[], options: ConversationOptions = {}): void {
  describe(title, () => {
    let conversation: Conversation;
    beforeAll(async () => {
      conversation = await Conversation.begin(options);
    });
    afterAll(() => conversation?.end());

    it.each(rows.map((row) => [row.what, row] as const))('%s', (_what, row) => play(conversation, row));
  });
}

async function play(conversation: Conversation, row: Row): Promise<void> {
  await row.before?.(conversation);
  if (row.held) return conversation.hold(row);
  if (row.ask || row.release !== undefined) {
    const answer = await (row.release === undefined
      ? conversation.ask(row)
      : conversation.released(row.release));
    row.answer?.(answer);
    conversation.keep(row, answer);
  }
  if (row.job || row.ends !== undefined) ended(await conversation.jobEnd(row.ends ?? row.what), row.job);
  for (const [name, fields] of Object.entries(row.after ?? {})) {
    const shown = await conversation.look(name);
    if (fields === null) expect(shown, name).toBeNull();
    else expect(shown, name).toMatchObject(conversation.filled(fields));
  }
}

function ended(job: Record<string, unknown>, wanted: JobEnd | undefined): void {
  if (!wanted) throw new Error('the row says nothing of the end of its job');
  const { status, code, text, result } = wanted;
  expect([job.jobstatus, job.jobresultcode, job.jobresulttype]).toEqual([status, code, 'object']);
  expect(job).not.toHaveProperty('managementserverid');
  if (text !== undefined)
    expect(job.jobresult).toEqual({
      errorcode: code,
      errortext: typeof text === 'string' ? text : expect.stringMatching(text),
    });
  if (result !== undefined) expect(job.jobresult).toMatchObject(result);
}

const ERROR_KEYS = ['cserrorcode', 'errorcode', 'errortext', 'uuidList'];

/** An error under the command's own key, with its text in X-Description too. */
export function refused(code: number, csCode: number, text: string | RegExp, key?: string) {
  return ({ status, root, body, description, command }: Answer): void => {
    expect([status, root]).toEqual([code, key ?? `${command.toLowerCase()}response`]);
    expect(Object.keys(body).sort()).toEqual(ERROR_KEYS);
    expect(body).toMatchObject({ uuidList: [], errorcode: code, cserrorcode: csCode });
    expect(body.errortext).toEqual(typeof text === 'string' ? text : expect.stringMatching(text));
    expect(description).toBe(body.errortext);
  };
}

/** The one 401, under the command's own key, or `errorresponse` for a command that nobody knows. */
export function unauthorized(key?: 'errorresponse') {
  return ({ status, root, body, description, command }: Answer): void => {
    expect([status, root, description]).toEqual([401, key ?? `${command.toLowerCase()}response`, null]);
    expect(body).toEqual({
      uuidList: [],
      errorcode: 401,
      errortext: 'unable to verify user credentials and/or request signature',
    });
  };
}

/** Success with exactly these keys. */
export function answered(...keys: string[]) {
  return ({ status, root, body, description, command }: Answer): void => {
    expect([status, root, description]).toEqual([200, `${command.toLowerCase()}response`, null]);
    expect(Object.keys(body).sort()).toEqual([...keys].sort());
  };
}

/** A list of so many items under this key; the first of them has these fields. */
export function listed(key: string, count: number, first: Readonly<Record<string, unknown>> = {}) {
  return (answer: Answer): void => {
    answered('count', key)(answer);
    expect(answer.body.count).toBe(count);
    expect(answer.items(key)[0]).toMatchObject(first);
  };
}

/** An empty list: neither count nor array. */
export const empty = answered();

/** A lookup that finds nothing, in the words that name the parameter and its value. */
export function noSuch(parameter: string, value = '[^ ]+') {
  return (answer: Answer): void =>
    refused(
      431,
      9999,
      new RegExp(
        `^Unable to execute API command ${answer.command.toLowerCase()} due to invalid value\\. Invalid parameter ${parameter} value=${value} due to incorrect long value format, or entity does not exist or due to incorrect parameter annotation for the field in api cmd class\\.$`,
      ),
    )(answer);
}

/** What was there and is removed. */
export function gone(type: 'Volume' | 'VirtualMachine') {
  return refused(431, 4350, new RegExp(`^Unable to find UUID for id \\[\\d+\\] of type \\[${type}\\]$`));
}

export const NOT_YOURS = refused(
  531,
  4365,
  'Caller does not have permission to operate with provided resource.',
);

/** What users are told of a 530. */
export const hidden = (csCode: number) =>
  refused(530, csCode, 'Internal error executing command, please contact your system administrator');

/** Accepted: an asynchronous command's answer. */
export const accepted = answered('jobid');
/** Accepted, with the id of what is being made. */
export const created = answered('id', 'jobid');

export const done: JobEnd = { status: 1, code: 0 };
export const failed = (code: number, text: string | RegExp): JobEnd => ({ status: 2, code, text });
