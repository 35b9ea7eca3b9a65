import { ASK, type Completed, type CompletedOption, GLOBAL_OPTIONS, type Word } from './model';

export function zshScript(commands: readonly Completed[]): string {
  const nouns = [...new Map(commands.map(({ noun, nounSummary }) => [noun, nounSummary]))];
  return `#compdef volumectl
# zsh completion for volumectl; made from its commands by "npm run docs"

_volumectl_ask() {
  local -a lines candidates
  local line
  # _arguments puts options for compadd before the kind.
  case $@[-1] in
${Object.entries(ASK)
  .map(
    ([kind, line]) =>
      `    ${kind}) lines=(\${(f)"$(_call_program ${kind} volumectl ${line} 2>/dev/null)"}) ;;`,
  )
  .join('\n')}
  esac
  for line in $lines; do candidates+=("\${line%% *}"); done
  compadd "\${(@)@[1,-2]}" -l -d lines -a candidates
}

_volumectl() {
  local context state line
  typeset -A opt_args
  local -a common=(
${GLOBAL_OPTIONS.flatMap(optionSpecs)
  .map((spec) => `    ${spec}`)
  .join('\n')}
  )
  _arguments -C $common '1: :->noun' '*:: :->rest' && return
  case $state in
    noun)
      local -a nouns=(
${nouns.map(([noun, summary]) => `        ${quoted(`${noun}:${summary}`)}`).join('\n')}
        'help:Help about a command'
      )
      _describe command nouns
      ;;
    rest)
      case $words[1] in
${nouns.map(([noun]) => nounCase(commands.filter((command) => command.noun === noun))).join('\n')}
      esac
      ;;
  esac
}

_volumectl "$@"
`;
}

function nounCase(commands: readonly Completed[]): string {
  const [first] = commands;
  if (first === undefined) return '';
  if (first.verb === '')
    return `        ${first.noun})\n          ${argumentsOf(first, '          ')}\n          ;;`;
  return `        ${first.noun})
          if ((CURRENT == 2)); then
            local -a verbs=(
${commands.map(({ verb, summary }) => `              ${quoted(`${verb}:${summary}`)}`).join('\n')}
            )
            _describe command verbs
            return
          fi
          shift words
          ((CURRENT--))
          case $words[1] in
${commands.map((command) => `            ${command.verb})\n              ${argumentsOf(command, '              ')}\n              ;;`).join('\n')}
          esac
          ;;`;
}

function argumentsOf(command: Completed, indent: string): string {
  const specs = [
    ...command.options.flatMap(optionSpecs),
    ...command.arguments.map((value, index) => quoted(`${index + 1}: :${action(value ?? 'any')}`)),
  ];
  return `_arguments $common ${specs.map((spec) => `\\\n${indent}  ${spec}`).join(' ')}`;
}

function optionSpecs({ name, short, summary, value }: CompletedOption): string[] {
  const rest = `[${summary.replace(/[[\]:]/g, '\\$&')}]${value === null ? '' : `: :${action(value)}`}`;
  return [name, ...(short === null ? [] : [short])].map((one) => quoted(`${one}${rest}`));
}

function action(value: Exclude<CompletedOption['value'], null>): string {
  if (typeof value !== 'string') return `((${value.map(described).join(' ')}))`;
  if (value === 'file') return '_files';
  return value === 'any' ? ' ' : `_volumectl_ask ${value}`;
}

/** `read\:"what it may do"` */
function described({ word, meaning }: Word): string {
  const escaped = word.replaceAll(':', '\\\\:');
  return meaning === '' ? escaped : `${escaped}\\:"${meaning}"`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
