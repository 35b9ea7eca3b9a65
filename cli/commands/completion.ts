import { type Noun, verb } from '../command';
import { EXIT } from '../exit';
import { SHELLS } from '../shells/shells';

/** `tree` is a function because the tree contains this noun. */
export function completionNoun(tree: () => readonly Noun[]): Noun {
  return {
    name: 'completion',
    summary: 'Print the completion for a shell',
    verbs: SHELLS.map(({ name, install, script }) =>
      verb({
        name,
        summary: `Print the completion for ${name}`,
        details: 'The Debian package installs it. Ids of volumes and operations are asked of the daemon.',
        args: {},
        examples: [{ args: install, what: 'For this user, from the next shell on.' }],
        async run() {
          process.stdout.write(script(tree()));
          return EXIT.OK;
        },
      }),
    ),
  };
}
