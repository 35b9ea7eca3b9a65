import { configPath, readAppliances } from '../appliances-file';
import { type Noun, verb } from '../command';
import { EXIT } from '../exit';
import { LIST } from '../globals';
import type { Column } from '../output/table';
import { field } from './columns';

interface Row {
  readonly name: string;
  readonly address: string | null;
  readonly token_file: string | null;
  readonly default: boolean;
}

const COLUMNS: readonly Column<Row>[] = [
  field('name'),
  field('address'),
  field('token_file'),
  { name: 'default', value: (row) => (row.default ? 'yes' : 'no') },
];

export const applianceNoun: Noun = {
  name: 'appliance',
  alias: 'appliances',
  summary: 'See which appliances this user has named',
  verbs: [
    verb({
      name: 'list',
      summary: 'List the appliances of the configuration file',
      details:
        'For --appliance and VOLUMECTL_APPLIANCE. The file is ~/.config/volumectl/config.yaml (VOLUMECTL_CONFIG): ' +
        '"appliances" has an entry for each, with url or socket, and token-file; "default" names the one that is asked when none is named. ' +
        'The daemon is not asked.',
      args: LIST,
      columns: COLUMNS,
      examples: [{ args: '', what: 'Which there are, and which is the default.' }],
      async run({ out }) {
        const { chosen, byName } = readAppliances(process.env);
        const rows = [...byName].map(([name, { url, socket, tokenFile }]) => ({
          name,
          address: url ?? socket,
          token_file: tokenFile,
          default: name === chosen,
        }));
        out.table(COLUMNS, rows, `No appliance is named in ${configPath(process.env)}.`);
        return EXIT.OK;
      },
    }),
  ],
};
