import { programOptions, usageError } from '~/lab/program-options';
import { messageOf } from '~/server/core/errors';
import { Walk } from '~/test/integration/daemon/walk';
import { CLOUDSTACK } from './cloudstack';
import { DOORS } from './doors';
import { ENDS } from './ends';
import { PROOF } from './proof';
import { type Report, Scene } from './scene';

const HELP = `npm run reports -- [options]

Failures that were reported from the field, told to the built daemon over HTTP, each in a world of its own: a private
MariaDB, a simulated CloudStack and guest, a real nbd-server. Prints "holds" or "BROKEN" and what happened instead.

  --only <id,id>    these reports only
  --output <file>   another build of the daemon (…/.output/server/index.mjs), of any version: shows what it did
  --list            the reports
  --help            this text
`;

const REPORTS: readonly Report[] = [...PROOF, ...ENDS, ...DOORS, ...CLOUDSTACK];

const options = programOptions(HELP, {
  only: { type: 'string' },
  output: { type: 'string' },
  list: { type: 'boolean', default: false },
});

function chosen(only: string | undefined): readonly Report[] {
  if (only === undefined) return REPORTS;
  const ids = only.split(',');
  const unknown = ids.filter((id) => !REPORTS.some((report) => report.id === id));
  if (unknown.length > 0) return usageError(`--only: there is no report ${unknown.join(', ')}`);
  return REPORTS.filter(({ id }) => ids.includes(id));
}

/** null when the report holds, else what happened instead. */
async function tell(report: Report): Promise<string | null> {
  const entry = options.output === undefined ? {} : { entry: options.output };
  let walk: Walk | null = null;
  try {
    walk = await Walk.begin(report.options, entry);
    await report.run(new Scene(walk, entry));
    return null;
  } catch (error) {
    return messageOf(error);
  } finally {
    await walk?.close();
  }
}

if (options.list) {
  for (const { id, title } of REPORTS) process.stdout.write(`${id.padEnd(4)} ${title}\n`);
} else {
  const told = chosen(options.only);
  let broken = 0;
  for (const report of told) {
    const why = await tell(report);
    if (why !== null) broken += 1;
    const line = `${report.id.padEnd(4)} ${why === null ? 'holds ' : 'BROKEN'} ${report.title}`;
    process.stdout.write(`${line}${why === null ? '' : `\n            ${why.split('\n')[0]}`}\n`);
  }
  process.stdout.write(`${told.length - broken} of ${told.length} hold\n`);
  process.exitCode = broken === 0 ? 0 : 1;
}
