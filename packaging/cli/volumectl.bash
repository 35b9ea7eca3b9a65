# bash completion for volumectl; made from its commands by "npm run docs"

_volumectl_ask() {
  case "$1" in
    volume) "$2" volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null ;;
    operation) "$2" operation list --limit 30 --columns id,type,status,volume_id,created_at --no-headers --quiet --timeout 2s 2>/dev/null ;;
    device) "$2" device list --columns device_path,size,belongs_to --no-headers --quiet --timeout 2s 2>/dev/null ;;
    offering) "$2" check offerings --columns id,name,size --no-headers --quiet --timeout 2s 2>/dev/null ;;
    zone) "$2" check zones --columns id,name --no-headers --quiet --timeout 2s 2>/dev/null ;;
    appliance) "$2" appliance list --columns name,address --no-headers --quiet --timeout 2s 2>/dev/null ;;
  esac
}

_volumectl() {
  local program="${COMP_WORDS[0]}" current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD - 1]}"
  local -a words=()
  local index word meaning skip=0 options="" wanted="" verbs="" own=1
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    if ((skip)); then
      skip=0
      continue
    fi
    case "${COMP_WORDS[index]}" in
      --appliance|--url|--socket|--token-file|--timeout|-o|--output|--columns|--name|--state|--vm|--attached|--project|--sort|--filter|--size|--offering|--zone|--metadata|--key|--expected|--to|--from|--volumes|--limit|--type|--status|--volume|--since|--vm-name|--cloudstack-url|--api-key|--secret-file|--database-admin|--database-admin-file|--after|--only|--operation|--role|--file) skip=1 ;;
      -*) ;;
      *) words+=("${COMP_WORDS[index]}") ;;
    esac
  done
  case "${words[0]-} ${words[1]-}" in
    "volume list") options="--name --state --vm --attached --project --sort --reverse --filter" ;;
    "volume show") options="" ;;
    "volume explain") options="" ;;
    "volume create") options="--name --size --offering --zone --metadata --dry-run --key -w --wait" ;;
    "volume attach") options="--vm --expected --dry-run --key -w --wait" ;;
    "volume attach-root") options="--vm --dry-run --key -w --wait" ;;
    "volume detach") options="--force --dry-run --key -w --wait" ;;
    "volume delete") options="-y --yes --force --dry-run --key -w --wait" ;;
    "volume recover") options="--dry-run --key -w --wait" ;;
    "volume resize") options="--size --dry-run --key -w --wait" ;;
    "volume revert") options="--to -y --yes --dry-run --key -w --wait" ;;
    "volume return") options="--from --delete-vm --stop-vm -y --yes --dry-run --key -w --wait" ;;
    "volume device") options="" ;;
    "snapshot list") options="--sort --reverse --filter" ;;
    "snapshot create") options="--name --dry-run --key -w --wait" ;;
    "snapshot group") options="--vm --volumes --name --dry-run --key -w --wait" ;;
    "snapshot delete") options="-y --yes --dry-run --key -w --wait" ;;
    "device list") options="--sort --reverse --filter" ;;
    "device scan") options="--sort --reverse --filter" ;;
    "device show") options="" ;;
    "device watch") options="--limit" ;;
    "device own") options="--dry-run --sort --reverse --filter" ;;
    "device explain") options="" ;;
    "operation list") options="--type --status --volume --vm --since --limit --all --sort --reverse --filter" ;;
    "operation show") options="" ;;
    "operation watch") options="" ;;
    "operation cancel") options="--dry-run" ;;
    "operation retry") options="--dry-run" ;;
    "operation abandon") options="--dry-run" ;;
    "export list") options="--status --sort --reverse --filter --watch" ;;
    "export show") options="" ;;
    "export publish") options="--vm-name --read-only --dry-run" ;;
    "export withdraw") options="--force --dry-run" ;;
    "export validate") options="--sort --reverse --filter" ;;
    "vm volumes") options="--sort --reverse --filter" ;;
    "health "*) options="--allow-degraded" ;;
    "sync "*) options="--dry-run --sort --reverse --filter" ;;
    "task run") options="--dry-run --sort --reverse --filter" ;;
    "setup "*) options="--cloudstack-url --api-key --secret-file --zone --vm --replace --database-admin --database-admin-file --dry-run" ;;
    "adopt "*) options="--plan --undo --sort --reverse --filter" ;;
    "check all") options="" ;;
    "check cloudstack") options="" ;;
    "check zones") options="--sort --reverse --filter" ;;
    "check offerings") options="--sort --reverse --filter" ;;
    "check database") options="" ;;
    "check exports") options="--sort --reverse --filter" ;;
    "events "*) options="--after --only --operation --limit" ;;
    "token create") options="--role --file --dry-run" ;;
    "token list") options="--file --sort --reverse --filter" ;;
    "token revoke") options="--file --dry-run" ;;
    "appliance list") options="--sort --reverse --filter" ;;
    "completion bash") options="" ;;
    "completion zsh") options="" ;;
    "completion fish") options="" ;;
  esac
  case "${words[0]-}" in
    volume) verbs="list show explain create attach attach-root detach delete recover resize revert return device" ;;
    snapshot) verbs="list create group delete" ;;
    device) verbs="list scan show watch own explain" ;;
    operation) verbs="list show watch cancel retry abandon" ;;
    export) verbs="list show publish withdraw validate" ;;
    vm) verbs="volumes" ;;
    health) verbs="" ;;
    sync) verbs="" ;;
    task) verbs="run" ;;
    setup) verbs="" ;;
    adopt) verbs="" ;;
    check) verbs="all cloudstack zones offerings database exports" ;;
    events) verbs="" ;;
    token) verbs="create list revoke" ;;
    appliance) verbs="list" ;;
    completion) verbs="bash zsh fish" ;;
  esac
  if ((skip)); then
    case "${words[0]-} ${words[1]-} $previous" in
      "volume list"" --attached") wanted="words yes no" ;;
      "volume create"" --offering") wanted="offering" ;;
      "volume create"" --zone") wanted="zone" ;;
      "snapshot group"" --volumes") wanted="volume" ;;
      "operation list"" --type") wanted="words create attach detach delete recover cleanup resize snapshot delete-snapshot revert snapshot-group" ;;
      "operation list"" --status") wanted="words pending executing completed failed cancelled" ;;
      "operation list"" --volume") wanted="volume" ;;
      "export list"" --status") wanted="words pending active failed" ;;
      "setup "*" --secret-file") wanted="file" ;;
      "setup "*" --database-admin-file") wanted="file" ;;
      "events "*" --only") wanted="words operation device appliance traffic" ;;
      "events "*" --operation") wanted="operation" ;;
      "token create"" --role") wanted="words read operate admin" ;;
      "token create"" --file") wanted="file" ;;
      "token list"" --file") wanted="file" ;;
      "token revoke"" --file") wanted="file" ;;
      *" --appliance") wanted="appliance" ;;
      *" --socket") wanted="file" ;;
      *" --token-file") wanted="file" ;;
      *" -o") wanted="words table wide name json yaml" ;;
      *" --output") wanted="words table wide name json yaml" ;;
      *) return ;;
    esac
  elif [[ $current == -* ]]; then
    wanted="words $options --appliance --url --socket --token-file --timeout -o --output --json --columns --no-headers -q --quiet --color --no-color -h --help --version"
  elif ((${#words[@]} == 0)); then
    wanted="words volume snapshot device operation export vm health sync task setup adopt check events token appliance completion help"
  elif [[ -n $verbs ]] && ((${#words[@]} == 1)); then
    wanted="words $verbs"
  else
    [[ -n $verbs ]] && own=2
    index=$((${#words[@]} - own))
    case "${words[0]-} ${words[1]-} $index" in
      "volume show"" 0") wanted="volume" ;;
      "volume explain"" 0") wanted="volume" ;;
      "volume attach"" 0") wanted="volume" ;;
      "volume attach-root"" 0") wanted="volume" ;;
      "volume detach"" 0") wanted="volume" ;;
      "volume delete"" 0") wanted="volume" ;;
      "volume recover"" 0") wanted="volume" ;;
      "volume resize"" 0") wanted="volume" ;;
      "volume revert"" 0") wanted="volume" ;;
      "volume return"" 0") wanted="volume" ;;
      "volume device"" 0") wanted="volume" ;;
      "snapshot list"" 0") wanted="volume" ;;
      "snapshot create"" 0") wanted="volume" ;;
      "device show"" 0") wanted="device" ;;
      "device own"" 0") wanted="words add remove list" ;;
      "device own"" 1") wanted="device" ;;
      "device explain"" 0") wanted="volume" ;;
      "operation show"" 0") wanted="operation" ;;
      "operation watch"" 0") wanted="operation" ;;
      "operation cancel"" 0") wanted="operation" ;;
      "operation retry"" 0") wanted="operation" ;;
      "operation abandon"" 0") wanted="operation" ;;
      "export show"" 0") wanted="volume" ;;
      "export publish"" 0") wanted="volume" ;;
      "export withdraw"" 0") wanted="volume" ;;
      "task run"" 0") wanted="words sync:force" ;;
      *) return ;;
    esac
  fi
  case "$wanted" in
    words\ *) COMPREPLY=($(compgen -W "${wanted#words }" -- "$current")) ;;
    file) COMPREPLY=($(compgen -f -- "$current")) ;;
    *)
      while read -r word meaning; do
        [[ $word == "$current"* ]] && COMPREPLY+=("$word${meaning:+  ($meaning)}")
      done < <(_volumectl_ask "$wanted" "$program")
      # What a word means is for a list to choose from, not for the command line: 37 and 42 insert what they list.
      if ((${#COMPREPLY[@]} == 1)) || [[ ${COMP_TYPE-} == 37 || ${COMP_TYPE-} == 42 ]]; then
        COMPREPLY=("${COMPREPLY[@]%%  *}")
      fi
      ;;
  esac
}

complete -F _volumectl volumectl
