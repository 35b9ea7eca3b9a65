import type { CloudstackCheck, DatabaseCheck, ExportValidation, OfferingList, ZoneList } from '../client/api';
import { Refusal } from '../client/failures';
import { EXIT, type Noun, verb } from '../command';
import type { Context } from '../context';
import type { Column } from '../output/table';
import { durationText, sizeText, type Tone, timeText } from '../output/text';

const verdict = (ok: boolean): Tone => (ok ? 'good' : 'bad');
const skew = (ms: number | null) =>
  ms === null ? null : `${ms < 0 ? '-' : ''}${durationText(Math.abs(ms))}`;
const problems = (list: readonly string[]) => (list.length === 0 ? 'none' : list.join('; '));

const CLOUDSTACK: readonly Column<CloudstackCheck>[] = [
  { name: 'result', value: ({ ok }) => (ok ? 'ok' : 'not ok'), tone: ({ ok }) => verdict(ok) },
  { name: 'problems', value: (row) => problems(row.problems), tone: ({ ok }) => (ok ? 'plain' : 'bad') },
  { name: 'configuration', value: ({ configuration }) => configuration },
  { name: 'endpoint', value: ({ endpoint }) => endpoint },
  { name: 'version', value: ({ version }) => version },
  { name: 'round_trip', value: ({ round_trip_ms: ms }) => ms !== null && durationText(ms) },
  { name: 'clock_skew', value: ({ clock_skew_ms }) => skew(clock_skew_ms) },
  { name: 'appliance', value: ({ appliance }) => `${appliance.vm_id ?? 'unknown'} (${appliance.verdict})` },
];

const COMMAND: readonly Column<CloudstackCheck['commands'][number]>[] = [
  { name: 'command', value: ({ name }) => name },
  {
    name: 'allowed',
    value: ({ allowed }) => (allowed === null ? 'not known' : allowed ? 'yes' : 'no'),
    tone: ({ allowed }) => (allowed === null ? 'warn' : verdict(allowed)),
  },
  { name: 'needed_for', value: ({ purpose }) => purpose },
];

const DATABASE: readonly Column<DatabaseCheck>[] = [
  { name: 'result', value: ({ ok }) => (ok ? 'ok' : 'not ok'), tone: ({ ok }) => verdict(ok) },
  { name: 'problems', value: (row) => problems(row.problems), tone: ({ ok }) => (ok ? 'plain' : 'bad') },
  { name: 'database', value: ({ database }) => database },
  { name: 'version', value: ({ version }) => version },
  { name: 'round_trip', value: ({ round_trip_ms: ms }) => ms !== null && durationText(ms) },
  { name: 'clock_skew', value: ({ clock_skew_ms }) => skew(clock_skew_ms) },
  { name: 'pool', value: ({ pool }) => `${pool.in_use} in use, ${pool.waiting} waiting` },
  {
    name: 'owner',
    value: ({ owner }) => owner && `${owner.owner} (epoch ${owner.epoch}, since ${timeText(owner.since)})`,
  },
];
const MIGRATION: readonly Column<DatabaseCheck['migrations'][number]>[] = [
  { name: 'migration', value: ({ id }) => id },
  { name: 'applied_at', value: ({ applied_at }) => applied_at && timeText(applied_at) },
];

const ZONE: readonly Column<ZoneList[number]>[] = [
  { name: 'id', value: ({ id }) => id },
  { name: 'name', value: ({ name }) => name },
  { name: 'state', value: ({ allocation_state }) => allocation_state },
  { name: 'configured', value: ({ configured }) => (configured ? 'yes' : 'no') },
];
const OFFERING: readonly Column<OfferingList[number]>[] = [
  { name: 'id', value: ({ id }) => id },
  { name: 'name', value: ({ name }) => name },
  { name: 'size', value: ({ customized, size_gib }) => (customized ? 'any' : `${size_gib ?? '?'} GiB`) },
];
export const VALIDATION: readonly Column<ExportValidation['results'][number]>[] = [
  { name: 'export', value: ({ export_name }) => export_name },
  { name: 'ok', value: ({ ok }) => (ok ? 'yes' : 'no'), tone: ({ ok }) => verdict(ok) },
  { name: 'size', value: ({ size }) => size !== null && sizeText(size) },
  { name: 'what', value: ({ message }) => message },
];

async function cloudstack({ api, out, call }: Context): Promise<number> {
  const report = await api.checkCloudstack({}, call);
  out.record(CLOUDSTACK, report);
  if (out.settings.columns === undefined)
    out.section('What the key may do', COMMAND, report.commands, 'Nothing.');
  return report.ok ? EXIT.OK : EXIT.FAILED;
}

async function zones({ api, out, call }: Context): Promise<number> {
  const list = await api.listZones({}, call);
  out.table(ZONE, list, 'CloudStack offers no zone to this key.');
  return list.length > 0 ? EXIT.OK : EXIT.FAILED;
}

async function offerings({ api, out, call }: Context): Promise<number> {
  const list = await api.listOfferings({}, call);
  out.table(OFFERING, list, 'CloudStack offers no disk offering to this key.');
  return list.length > 0 ? EXIT.OK : EXIT.FAILED;
}

async function database({ api, out, call }: Context): Promise<number> {
  const report = await api.checkDatabase({}, call);
  out.record(DATABASE, report);
  if (out.settings.columns === undefined) out.section('Schema', MIGRATION, report.migrations, 'None.');
  return report.ok ? EXIT.OK : EXIT.FAILED;
}

/** Shared with `volumectl export validate`. */
export async function validation({ api, out, longCall }: Context): Promise<number> {
  const answer = await api.validateExports({}, longCall);
  if (out.settings.json) out.json(answer);
  else {
    out.table(VALIDATION, answer.results, 'Nothing is exported.');
    out.hint(answer.message);
  }
  return answer.valid ? EXIT.OK : EXIT.FAILED;
}

const CHECKS = { cloudstack, zones, offerings, database, exports: validation } as const;

/** Every check, also after one has failed. With --json one object, by the names of the checks. */
async function all(context: Context): Promise<number> {
  const { api, out, call } = context;
  if (out.settings.json) {
    const report = {
      cloudstack: await orProblem(api.checkCloudstack({}, call)),
      zones: await orProblem(api.listZones({}, call)),
      offerings: await orProblem(api.listOfferings({}, call)),
      database: await orProblem(api.checkDatabase({}, call)),
      exports: await orProblem(api.validateExports({}, context.longCall)),
    };
    out.json(report);
    const wrong = Object.values(report).some(
      (part) => 'code' in part || ('ok' in part && !part.ok) || ('valid' in part && !part.valid),
    );
    return wrong ? EXIT.FAILED : EXIT.OK;
  }
  let code: number = EXIT.OK;
  for (const [name, check] of Object.entries(CHECKS)) {
    out.say(`${code === EXIT.OK && name === 'cloudstack' ? '' : '\n'}== ${name}`, 'bold');
    try {
      code = Math.max(code, await check(context));
    } catch (error) {
      if (!(error instanceof Refusal) || error.notReady) throw error;
      out.say(`${error.message} (${error.problem.code})`, 'bad');
      code = EXIT.FAILED;
    }
  }
  return code;
}

async function orProblem<T extends object>(work: Promise<T>): Promise<T | Refusal['problem']> {
  return work.catch((error: unknown) => {
    if (error instanceof Refusal && !error.notReady) return error.problem;
    throw error;
  });
}

export const checkNoun: Noun = {
  name: 'check',
  summary: 'Find out what is wrong',
  verbs: [
    verb({
      name: 'all',
      summary: 'Run every check',
      args: {},
      examples: [{ line: 'volumectl check all', what: 'First thing on a new appliance.' }],
      run: all,
    }),
    verb({
      name: 'cloudstack',
      summary: 'Check CloudStack: version, clock, and which of our calls the key may make',
      args: {},
      columns: CLOUDSTACK,
      examples: [{ line: 'volumectl check cloudstack', what: 'After a 401, or a change of ossea_configs.' }],
      run: cloudstack,
    }),
    verb({
      name: 'zones',
      summary: 'List the zones of CloudStack',
      args: {},
      columns: ZONE,
      examples: [
        {
          line: 'volumectl check zones',
          what: 'For --zone of "volume create"; the configured one is marked.',
        },
      ],
      run: zones,
    }),
    verb({
      name: 'offerings',
      summary: 'List the disk offerings of CloudStack',
      args: {},
      columns: OFFERING,
      examples: [{ line: 'volumectl check offerings', what: 'For --offering of "volume create".' }],
      run: offerings,
    }),
    verb({
      name: 'database',
      summary: 'Check the database: server, schema, clock, and who owns this appliance',
      args: {},
      columns: DATABASE,
      examples: [{ line: 'volumectl check database', what: 'Also when it is away: then it says why.' }],
      run: database,
    }),
    verb({
      name: 'exports',
      summary: 'Ask every NBD export whether it answers, with the right size',
      args: {},
      columns: VALIDATION,
      examples: [{ line: 'volumectl check exports', what: 'A real NBD handshake with each.' }],
      run: validation,
    }),
  ],
};
