import { ASK, type Completed, type CompletedOption, GLOBAL_OPTIONS } from './model';

export function fishScript(commands: readonly Completed[]): string {
  const nouns = [...new Map(commands.map(({ noun, nounSummary }) => [noun, nounSummary]))];
  const first = `not __fish_seen_subcommand_from ${nouns.map(([noun]) => noun).join(' ')}`;
  return `# fish completion for volumectl; made from its commands by "npm run docs"
complete -c volumectl -f
${GLOBAL_OPTIONS.map((option) => `complete -c volumectl ${optionText(option)}`).join('\n')}

${nouns.map(([noun, summary]) => line(first, `-a ${noun} -d ${quoted(summary)}`)).join('\n')}

${commands.flatMap((command) => commandLines(command, commands)).join('\n')}
`;
}

function commandLines(command: Completed, all: readonly Completed[]): string[] {
  const { noun, verb, summary } = command;
  const verbs = all.filter((other) => other.noun === noun).map((other) => other.verb);
  const here = `__fish_seen_subcommand_from ${noun}`;
  const chosen = verb === '' ? here : `${here}; and __fish_seen_subcommand_from ${verb}`;
  const lines = command.options.map((option) => line(chosen, optionText(option)));
  for (const value of command.arguments) {
    const candidates = value === null ? null : candidatesOf(value);
    if (candidates !== null) lines.push(line(chosen, candidates));
  }
  if (verb !== '')
    lines.unshift(
      line(
        `${here}; and not __fish_seen_subcommand_from ${verbs.join(' ')}`,
        `-a ${verb} -d ${quoted(summary)}`,
      ),
    );
  return lines;
}

function optionText({ name, short, summary, value }: CompletedOption): string {
  const parts = [
    `-l ${name.slice(2)}`,
    ...(short === null ? [] : [`-s ${short.slice(1)}`]),
    `-d ${quoted(summary)}`,
  ];
  if (value === 'file') parts.push('-r -F');
  else if (value !== null) parts.push('-x', candidatesOf(value) ?? '');
  return parts.join(' ').trimEnd();
}

/** Null for files, which fish completes by itself. */
function candidatesOf(value: Exclude<CompletedOption['value'], null>): string | null {
  if (typeof value !== 'string') {
    const words = value.map(({ word, meaning }) => (meaning === '' ? word : `${word}\\t${quoted(meaning)}`));
    return `-a ${quoted(words.join(' '))}`;
  }
  if (value === 'file' || value === 'any') return null;
  // A tab separates a word from what it means.
  return `-a ${quoted(`(volumectl ${ASK[value]} 2>/dev/null | string replace -r '\\s+' '\\t')`)}`;
}

function line(condition: string, rest: string): string {
  return `complete -c volumectl -n ${quoted(condition)} ${rest}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
