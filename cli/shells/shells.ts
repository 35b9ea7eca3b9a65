import type { Noun } from '../command';
import { bashScript } from './bash';
import { fishScript } from './fish';
import { commandsOf } from './model';
import { zshScript } from './zsh';

interface Shell {
  readonly name: 'bash' | 'zsh' | 'fish';
  /** Where a user redirects the output of `volumectl completion` to. */
  readonly install: string;
  script(nouns: readonly Noun[]): string;
}

export const SHELLS: readonly Shell[] = [
  {
    name: 'bash',
    install: '> ~/.local/share/bash-completion/completions/volumectl',
    script: (nouns) => bashScript(commandsOf(nouns)),
  },
  {
    name: 'zsh',
    install: '> $fpath[1]/_volumectl',
    script: (nouns) => zshScript(commandsOf(nouns)),
  },
  {
    name: 'fish',
    install: '> ~/.config/fish/completions/volumectl.fish',
    script: (nouns) => fishScript(commandsOf(nouns)),
  },
];
