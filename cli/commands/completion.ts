import { EXIT, type Noun, verb } from '../command';
import { SHELLS } from '../shells/shells';

/** `tree` is asked only when a script is made: this noun is part of it. */
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
        examples: [{ line: install, what: 'For this user, from the next shell on.' }],
        async run() {
          process.stdout.write(script(tree()));
          return EXIT.OK;
        },
      }),
    ),
  };
}
