import { ASK, type Completed, type CompletedOption, GLOBAL_OPTIONS } from './model';

/** The script only needs bash, not the bash-completion package. */
export function bashScript(commands: readonly Completed[]): string {
  const nouns = [...new Set(commands.map(({ noun }) => noun))];
  const all = [...GLOBAL_OPTIONS, ...commands.flatMap(({ options }) => options)];
  const taking = [...new Set(all.filter(({ value }) => value !== null).flatMap(namesOf))];
  return `# bash completion for volumectl; made from its commands by "npm run docs"

_volumectl_ask() {
  case "$1" in
${Object.entries(ASK)
  .map(([kind, line]) => `    ${kind}) "$2" ${line} 2>/dev/null ;;`)
  .join('\n')}
  esac
}

_volumectl() {
  local program="\${COMP_WORDS[0]}" current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD - 1]}"
  local -a words=()
  local index word meaning skip=0 options="" wanted="" verbs="" own=1
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    if ((skip)); then
      skip=0
      continue
    fi
    case "\${COMP_WORDS[index]}" in
      ${taking.join('|')}) skip=1 ;;
      -*) ;;
      *) words+=("\${COMP_WORDS[index]}") ;;
    esac
  done
  case "\${words[0]-} \${words[1]-}" in
${commands.map((command) => bashCase(command)).join('\n')}
  esac
  case "\${words[0]-}" in
${nouns.map((noun) => `    ${noun}) verbs="${verbsOf(commands, noun)}" ;;`).join('\n')}
  esac
  if ((skip)); then
    case "\${words[0]-} \${words[1]-} $previous" in
${valueCases(commands)}
      *) return ;;
    esac
  elif [[ $current == -* ]]; then
    wanted="words $options ${GLOBAL_OPTIONS.flatMap(namesOf).join(' ')} --version"
  elif ((\${#words[@]} == 0)); then
    wanted="words ${nouns.join(' ')} help"
  elif [[ -n $verbs ]] && ((\${#words[@]} == 1)); then
    wanted="words $verbs"
  else
    [[ -n $verbs ]] && own=2
    index=$((\${#words[@]} - own))
    case "\${words[0]-} \${words[1]-} $index" in
${argumentCases(commands)}
      *) return ;;
    esac
  fi
  case "$wanted" in
    words\\ *) COMPREPLY=($(compgen -W "\${wanted#words }" -- "$current")) ;;
    file) COMPREPLY=($(compgen -f -- "$current")) ;;
    *)
      while read -r word meaning; do
        [[ $word == "$current"* ]] && COMPREPLY+=("$word\${meaning:+  ($meaning)}")
      done < <(_volumectl_ask "$wanted" "$program")
      # What a word means is for a list to choose from, not for the command line: 37 and 42 insert what they list.
      if ((\${#COMPREPLY[@]} == 1)) || [[ \${COMP_TYPE-} == 37 || \${COMP_TYPE-} == 42 ]]; then
        COMPREPLY=("\${COMPREPLY[@]%%  *}")
      fi
      ;;
  esac
}

complete -F _volumectl volumectl
`;
}

/** The first two words of a command as a pattern; after a lone noun the second may be anything. */
function pattern({ noun, verb }: Completed): string {
  return verb === '' ? `"${noun} "*` : `"${noun} ${verb}"`;
}

function bashCase(command: Completed): string {
  return `    ${pattern(command)}) options="${command.options.flatMap(namesOf).join(' ')}" ;;`;
}

function namesOf({ name, short }: CompletedOption): string[] {
  return short === null ? [name] : [short, name];
}

function verbsOf(commands: readonly Completed[], noun: string): string {
  return commands
    .filter((command) => command.noun === noun && command.verb !== '')
    .map(({ verb }) => verb)
    .join(' ');
}

function valueCases(commands: readonly Completed[]): string {
  const own = commands.flatMap((command) =>
    command.options.flatMap((option) =>
      namesOf(option).map((name) => valueCase(`${pattern(command)}" ${name}"`, option.value)),
    ),
  );
  const everywhere = GLOBAL_OPTIONS.flatMap((option) =>
    namesOf(option).map((name) => valueCase(`*" ${name}"`, option.value)),
  );
  return [...own, ...everywhere].filter((line) => line !== null).join('\n');
}

function argumentCases(commands: readonly Completed[]): string {
  return commands
    .flatMap((command) =>
      command.arguments.map((value, index) => valueCase(`${pattern(command)}" ${index}"`, value)),
    )
    .filter((line) => line !== null)
    .join('\n');
}

/** Null when there is nothing to offer. */
function valueCase(found: string, value: CompletedOption['value']): string | null {
  return value === null || value === 'any' ? null : `      ${found}) wanted="${wanted(value)}" ;;`;
}

function wanted(value: Exclude<CompletedOption['value'], null>): string {
  return typeof value === 'string' ? value : `words ${value.map(({ word }) => word).join(' ')}`;
}
