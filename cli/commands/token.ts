import {
  digestOf,
  newToken,
  ROLES,
  type Role,
  type StoredToken,
  tokenNameProblem,
} from '~/server/daemon/access/tokens';
import { choice, option, positional } from '../arguments';
import { type Noun, verb } from '../command';
import { EXIT, Failure, UsageError } from '../exit';
import { LIST, readDefaults } from '../globals';
import type { Output } from '../output/output';
import type { Column } from '../output/table';
import { timeText } from '../output/text';
import { changeTokens, readTokens } from '../tokens-file';
import { DRY_RUN } from './arguments';

const DEFAULT_PATH = '/etc/volume-daemon/tokens.json';

const FILE = {
  file: {
    ...option('path', `the file (default: TOKENS_FILE of the daemon of this machine, else ${DEFAULT_PATH})`),
    complete: 'file',
  },
} as const;
const NAME = positional('the name of the token: who uses it, like prometheus');

const ROLE_MEANINGS: Readonly<Record<Role, string>> = {
  read: 'everything that changes nothing',
  operate: 'also volumes, exports and sync',
  admin: 'also retry and abandon of held operations',
};

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
      onThisMachine: true,
      summary: 'Make a named token, and print it once',
      details:
        'Roles: read (everything that changes nothing), operate (also volumes, exports and sync), admin (also retry and abandon of held operations). ' +
        'The file holds what the token is recognised by, and not the token. The daemon reads the file again within a second.',
      args: {
        name: NAME,
        role: { ...choice(ROLE_MEANINGS, 'what it may do'), required: true },
        ...FILE,
        ...DRY_RUN,
      },
      examples: [
        { args: 'prometheus --role read', what: 'For monitoring.' },
        { args: 'hub --role operate >hub-token', what: 'Into a file, for the one who uses it.' },
      ],
      async run({ out }, { name, role: word, file, 'dry-run': dryRun }) {
        const role = ROLES.find((known) => known === word);
        const problem = tokenNameProblem(name);
        if (problem !== null || role === undefined)
          throw new UsageError(problem ?? `there is no role ${word}`);
        const path = file ?? configuredPath() ?? DEFAULT_PATH;
        const token = newToken();
        const add = (tokens: readonly StoredToken[]) => {
          if (tokens.some((one) => one.name === name))
            throw new Failure(
              EXIT.FAILED,
              `there is a token ${name} already`,
              `volumectl token revoke ${name}`,
            );
          return [...tokens, { name, role, sha256: digestOf(token), createdAt: new Date().toISOString() }];
        };
        if (dryRun) return nothingWritten(out, `${name} would be added to`, path, add);
        changeTokens(path, add);
        if (out.isData) out.data({ name, role, token });
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
      onThisMachine: true,
      summary: 'List the named tokens and their roles',
      args: { ...FILE, ...LIST },
      columns: COLUMNS,
      examples: [{ args: '', what: 'Who may do what.' }],
      async run({ out }, { file }) {
        const tokens = readTokens(file ?? configuredPath() ?? DEFAULT_PATH);
        if (out.isData) out.data(tokens.map(({ sha256: _, ...shown }) => shown));
        else out.table(COLUMNS, tokens, 'There is no named token.');
        return EXIT.OK;
      },
    }),
    verb({
      name: 'revoke',
      onThisMachine: true,
      summary: 'Take a named token back',
      details:
        'The daemon refuses it within a second. An event stream that is open with it ends at its next event, at the latest after 15 seconds.',
      args: { name: NAME, ...FILE, ...DRY_RUN },
      examples: [{ args: 'prometheus', what: 'It leaked: create a new one after this.' }],
      async run({ out }, { name, file, 'dry-run': dryRun }) {
        const path = file ?? configuredPath() ?? DEFAULT_PATH;
        const remove = (tokens: readonly StoredToken[]) => {
          const left = tokens.filter((token) => token.name !== name);
          if (left.length === tokens.length) throw new Failure(EXIT.FAILED, `there is no token ${name}`);
          return left;
        };
        if (dryRun) return nothingWritten(out, `${name} would be removed from`, path, remove);
        changeTokens(path, remove);
        out.say(`${name} is revoked`);
        return EXIT.OK;
      },
    }),
  ],
};

/** What --dry-run does: everything but to write. */
function nothingWritten(
  out: Output,
  what: string,
  path: string,
  change: (tokens: readonly StoredToken[]) => readonly StoredToken[],
): number {
  change(readTokens(path));
  out.say(`${what} ${path}; nothing is done`);
  return EXIT.OK;
}

function configuredPath(): string | undefined {
  return process.env.TOKENS_FILE || readDefaults().TOKENS_FILE;
}
