import { digestOf, newToken, ROLES, type StoredToken, tokenNameProblem } from '~/server/daemon/access/tokens';
import { choice, option, positional } from '../arguments';
import { type Noun, verb } from '../command';
import { EXIT, Failure, UsageError } from '../exit';
import { readDefaults } from '../globals';
import type { Column } from '../output/table';
import { timeText } from '../output/text';
import { changeTokens, readTokens } from '../tokens-file';

const DEFAULT_PATH = '/etc/volume-daemon/tokens.json';

const FILE = {
  file: {
    ...option('path', `the file (default: TOKENS_FILE of the daemon of this machine, else ${DEFAULT_PATH})`),
    complete: 'file',
  },
} as const;
const NAME = positional('the name of the token: who uses it, like prometheus');

const COLUMNS: readonly Column<StoredToken>[] = [
  { name: 'name', value: ({ name }) => name },
  { name: 'role', value: ({ role }) => role },
  { name: 'created_at', value: ({ createdAt }) => timeText(createdAt) },
];

export const tokenNoun: Noun = {
  name: 'token',
  alias: 'tokens',
  summary: 'Say who may ask the daemon of this machine what',
  verbs: [
    verb({
      name: 'create',
      summary: 'Make a named token, and print it once',
      details:
        'Roles: read (everything that changes nothing), operate (also volumes, exports and sync), admin (also retry and abandon of held operations). ' +
        'The file holds what the token is recognised by, and not the token. The daemon reads the file again within a second.',
      args: {
        name: NAME,
        role: { ...choice(ROLES, 'what it may do'), required: true },
        ...FILE,
      },
      examples: [
        { args: 'prometheus --role read', what: 'For monitoring.' },
        { args: 'hub --role operate >hub-token', what: 'Into a file, for the one who uses it.' },
      ],
      async run({ out }, { name, role: word, file }) {
        const role = ROLES.find((known) => known === word);
        const problem = tokenNameProblem(name);
        if (problem !== null || role === undefined)
          throw new UsageError(problem ?? `there is no role ${word}`);
        const path = file ?? configuredPath() ?? DEFAULT_PATH;
        const token = newToken();
        changeTokens(path, (tokens) => {
          if (tokens.some((one) => one.name === name))
            throw new Failure(
              EXIT.FAILED,
              `there is a token ${name} already`,
              `volumectl token revoke ${name}`,
            );
          return [...tokens, { name, role, sha256: digestOf(token), createdAt: new Date().toISOString() }];
        });
        if (out.settings.json) out.json({ name, role, token });
        else out.say(token);
        out.hint(
          'It is shown this once. Send it as Authorization: Bearer, or name its file with --token-file.',
        );
        if (file === undefined && configuredPath() === undefined)
          out.hint(
            `The daemon reads it with TOKENS_FILE=${path} in its configuration, and then lets in nobody without a token.`,
          );
        return EXIT.OK;
      },
    }),
    verb({
      name: 'list',
      summary: 'List the named tokens and their roles',
      args: FILE,
      columns: COLUMNS,
      examples: [{ args: '', what: 'Who may do what.' }],
      async run({ out }, { file }) {
        const tokens = readTokens(file ?? configuredPath() ?? DEFAULT_PATH);
        if (out.settings.json) out.json(tokens.map(({ sha256: _, ...shown }) => shown));
        else out.table(COLUMNS, tokens, 'There is no named token.');
        return EXIT.OK;
      },
    }),
    verb({
      name: 'revoke',
      summary: 'Take a named token back',
      details:
        'The daemon refuses it within a second. An event stream that is open goes on until it is reconnected.',
      args: { name: NAME, ...FILE },
      examples: [{ args: 'prometheus', what: 'It leaked: create a new one after this.' }],
      async run({ out }, { name, file }) {
        changeTokens(file ?? configuredPath() ?? DEFAULT_PATH, (tokens) => {
          const left = tokens.filter((token) => token.name !== name);
          if (left.length === tokens.length) throw new Failure(EXIT.FAILED, `there is no token ${name}`);
          return left;
        });
        out.say(`${name} is revoked`);
        return EXIT.OK;
      },
    }),
  ],
};

function configuredPath(): string | undefined {
  return process.env.TOKENS_FILE || readDefaults().TOKENS_FILE;
}
