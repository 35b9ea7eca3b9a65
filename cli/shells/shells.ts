import type { Noun } from '../command';
import { bashScript } from './bash';
import { fishScript } from './fish';
import { commandsOf } from './model';
import { zshScript } from './zsh';

export interface Shell {
  readonly name: 'bash' | 'zsh' | 'fish';
  /** How a user installs it by hand. */
  readonly install: string;
  script(nouns: readonly Noun[]): string;
}

export const SHELLS: readonly Shell[] = [
  {
    name: 'bash',
    install: 'volumectl completion bash > ~/.local/share/bash-completion/completions/volumectl',
    script: (nouns) => bashScript(commandsOf(nouns)),
  },
  {
    name: 'zsh',
    install: 'volumectl completion zsh > $fpath[1]/_volumectl',
    script: (nouns) => zshScript(commandsOf(nouns)),
  },
  {
    name: 'fish',
    install: 'volumectl completion fish > ~/.config/fish/completions/volumectl.fish',
    script: (nouns) => fishScript(commandsOf(nouns)),
  },
];
