#compdef volumectl
# zsh completion for volumectl; made from its commands by "npm run docs"

_volumectl_ask() {
  local -a found
  case $1 in
    volume) found=(${(f)"$(_call_program volume volumectl volume list --columns volume_id --no-headers --quiet --timeout 2s 2>/dev/null)"}) ;;
    operation) found=(${(f)"$(_call_program operation volumectl operation list --limit 30 --columns id --no-headers --quiet --timeout 2s 2>/dev/null)"}) ;;
    device) found=(${(f)"$(_call_program device volumectl device list --columns device_path --no-headers --quiet --timeout 2s 2>/dev/null)"}) ;;
  esac
  compadd -a found
}

_volumectl() {
  local context state line
  typeset -A opt_args
  local -a common=(
    '--url[where the daemon listens (environment\: VOLUMECTL_URL; default http\://127.0.0.1\:8090)]: : '
    '--socket[its unix socket instead (VOLUMECTL_SOCKET)]: :_files'
    '--token-file[file with the bearer token (VOLUMECTL_TOKEN_FILE)]: :_files'
    '--timeout[give up after this long, like 90s or 10m (default 30s for an answer; none while following)]: : '
    '--json[print what the daemon answered, as JSON]'
    '--columns[the columns to print, in this order]: : '
    '--no-headers[print no column names]'
    '--quiet[no progress and no hints]'
    '-q[no progress and no hints]'
    '--color[colours even when this is no terminal]'
    '--no-color[no colours (also\: NO_COLOR)]'
    '--help[this text]'
    '-h[this text]'
  )
  _arguments -C '1: :->noun' '*:: :->rest' && return
  case $state in
    noun)
      local -a nouns=(
        'volume:Create, attach, detach and delete volumes'
        'device:See the disks of this guest, and whose they are'
        'operation:See what was asked for, where it is, and cancel it'
        'export:See and change what is exported over NBD'
        'vm:See the volumes of a VM'
        'health:Show how the daemon and everything it depends on are doing'
        'sync:Compare CloudStack, guest, database and exports, and repair what is safe'
        'task:Run a task of the daemon now'
        'adopt:See what taking over the database of the old daemon does, before it is done'
        'check:Find out what is wrong'
        'events:Follow everything that happens'
        'token:Say who may ask the daemon of this machine what'
        'completion:Print the completion for a shell'
        'help:Help about a command'
      )
      _describe command nouns
      ;;
    rest)
      case $words[1] in
        volume)
          if ((CURRENT == 2)); then
            local -a verbs=(
              'list:List all volumes that the key sees, with device, export and last operation'
              'show:Show what CloudStack, the guest and the daemon say of a volume'
              'explain:Explain what is known of a volume, since when, and what is not known'
              'create:Create a volume in CloudStack'
              'attach:Attach a volume to this appliance, or to another VM'
              'attach-root:Attach a volume as the root disk of a stopped VM'
              'detach:Detach a volume from its VM'
              'delete:Delete a volume and its data, detaching it from this appliance first'
              'recover:Bring a deleted volume back from the trash'
              'return:Bring a volume back from a test VM to this appliance, as one operation'
              'device:Show which device a volume is on this appliance'
            )
            _describe command verbs
            return
          fi
          shift words
          ((CURRENT--))
          case $words[1] in
            list)
              _arguments $common \
                '--name[only names with this part, in any case]: : ' \
                '--state[only in this state of CloudStack, like Ready]: : ' \
                '--vm[only those attached to this VM]: : ' \
                '--attached[only attached, or only detached ones]: :(yes no)' \
                '--project[only those of this project]: : '
              ;;
            show)
              _arguments $common \
                '1: :_volumectl_ask volume'
              ;;
            explain)
              _arguments $common \
                '1: :_volumectl_ask volume'
              ;;
            create)
              _arguments $common \
                '--name[its name]: : ' \
                '--size[like 10GiB, or bytes]: : ' \
                '--offering[id of the disk offering (volumectl check offerings)]: : ' \
                '--zone[id of the zone (volumectl check zones)]: : ' \
                '--metadata[kept with the operation]: : ' \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]'
              ;;
            attach)
              _arguments $common \
                '--vm[id of another VM]: : ' \
                '--expected[what will be copied into it, like 3GiB\: the share written is reckoned with it]: : ' \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]' \
                '1: :_volumectl_ask volume'
              ;;
            attach-root)
              _arguments $common \
                '--vm[id of the VM]: : ' \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]' \
                '1: :_volumectl_ask volume'
              ;;
            detach)
              _arguments $common \
                '--force[also when the device is in use (journaled)]' \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]' \
                '1: :_volumectl_ask volume'
              ;;
            delete)
              _arguments $common \
                '--yes[do not ask]' \
                '-y[do not ask]' \
                '--force[also when the device is in use (journaled)]' \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]' \
                '1: :_volumectl_ask volume'
              ;;
            recover)
              _arguments $common \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]' \
                '1: :_volumectl_ask volume'
              ;;
            return)
              _arguments $common \
                '--from[id of the test VM]: : ' \
                '--delete-vm[delete the test VM when no disk is left on it]' \
                '--stop-vm[stop the test VM when it runs]' \
                '--yes[do not ask before the VM is deleted]' \
                '-y[do not ask before the VM is deleted]' \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]' \
                '1: :_volumectl_ask volume'
              ;;
            device)
              _arguments $common \
                '1: :_volumectl_ask volume'
              ;;
          esac
          ;;
        device)
          if ((CURRENT == 2)); then
            local -a verbs=(
              'list:List the disks of this guest as last seen'
              'scan:Look at the guest now, and list its disks'
              'show:Show the volume that is mapped to a device'
              'watch:Watch disks come and go'
              'own:List the disks that are this system'\''s for good, or change the list'
              'explain:Explain which disk a volume is, or why none'
            )
            _describe command verbs
            return
          fi
          shift words
          ((CURRENT--))
          case $words[1] in
            list)
              _arguments $common 
              ;;
            scan)
              _arguments $common 
              ;;
            show)
              _arguments $common \
                '1: :_volumectl_ask device'
              ;;
            watch)
              _arguments $common \
                '--limit[end after so many changes]: : '
              ;;
            own)
              _arguments $common \
                '1: :(add remove list)' \
                '2: : '
              ;;
            explain)
              _arguments $common \
                '1: :_volumectl_ask volume'
              ;;
          esac
          ;;
        operation)
          if ((CURRENT == 2)); then
            local -a verbs=(
              'list:List operations, newest first'
              'show:Show an operation and every step of it'
              'watch:Wait until an operation has ended, naming its step'
              'cancel:Cancel an operation that CloudStack has not been asked for yet'
              'retry:Run a held operation again, from where it was'
              'abandon:End a held operation as failed; nothing is undone'
            )
            _describe command verbs
            return
          fi
          shift words
          ((CURRENT--))
          case $words[1] in
            list)
              _arguments $common \
                '--type[only of this type]: :(create attach detach delete recover cleanup)' \
                '--status[only in this status]: :(pending executing completed failed cancelled)' \
                '--volume[only of this volume]: :_volumectl_ask volume' \
                '--vm[only of this VM]: : ' \
                '--since[only since this time, like 2026-08-19T20\:30\:00Z]: : ' \
                '--limit[at most so many (default 20)]: : ' \
                '--all[all of them, in pages of --limit]'
              ;;
            show)
              _arguments $common \
                '1: :_volumectl_ask operation'
              ;;
            watch)
              _arguments $common \
                '1: :_volumectl_ask operation'
              ;;
            cancel)
              _arguments $common \
                '1: :_volumectl_ask operation'
              ;;
            retry)
              _arguments $common \
                '1: :_volumectl_ask operation'
              ;;
            abandon)
              _arguments $common \
                '1: :_volumectl_ask operation'
              ;;
          esac
          ;;
        export)
          if ((CURRENT == 2)); then
            local -a verbs=(
              'list:List the exports'
              'show:Show the export of a volume'
              'publish:Export an attached volume'
              'withdraw:Withdraw the export of a volume'
              'validate:Ask every export whether it answers, with the right size'
            )
            _describe command verbs
            return
          fi
          shift words
          ((CURRENT--))
          case $words[1] in
            list)
              _arguments $common \
                '--status[only in this status]: :(pending active failed)' \
                '--watch[show it again every 2 seconds]'
              ;;
            show)
              _arguments $common \
                '1: :_volumectl_ask volume'
              ;;
            publish)
              _arguments $common \
                '--vm-name[kept with the export]: : ' \
                '--read-only[let nobody write]' \
                '1: :_volumectl_ask volume'
              ;;
            withdraw)
              _arguments $common \
                '--force[also while a client is connected]' \
                '1: :_volumectl_ask volume'
              ;;
            validate)
              _arguments $common 
              ;;
          esac
          ;;
        vm)
          if ((CURRENT == 2)); then
            local -a verbs=(
              'volumes:List the volumes of a VM'
            )
            _describe command verbs
            return
          fi
          shift words
          ((CURRENT--))
          case $words[1] in
            volumes)
              _arguments $common \
                '1: : '
              ;;
          esac
          ;;
        health)
          _arguments $common \
            '--strict[exit code 3 also when degraded]'
          ;;
        sync)
          _arguments $common \
            '--dry-run[only report]'
          ;;
        task)
          if ((CURRENT == 2)); then
            local -a verbs=(
              'run:Run a task of the daemon now'
            )
            _describe command verbs
            return
          fi
          shift words
          ((CURRENT--))
          case $words[1] in
            run)
              _arguments $common \
                '--dry-run[only report]' \
                '1: :(sync\:force)'
              ;;
          esac
          ;;
        adopt)
          _arguments $common \
            '--plan[show it]' \
            '--undo[how to go back]'
          ;;
        check)
          if ((CURRENT == 2)); then
            local -a verbs=(
              'all:Run every check'
              'cloudstack:Check CloudStack: version, clock, whose volumes and appliance are, and what the key may do'
              'zones:List the zones of CloudStack'
              'offerings:List the disk offerings of CloudStack'
              'database:Check the database: server, schema, clock, and who owns this appliance'
              'exports:Ask every NBD export whether it answers, with the right size'
            )
            _describe command verbs
            return
          fi
          shift words
          ((CURRENT--))
          case $words[1] in
            all)
              _arguments $common 
              ;;
            cloudstack)
              _arguments $common 
              ;;
            zones)
              _arguments $common 
              ;;
            offerings)
              _arguments $common 
              ;;
            database)
              _arguments $common 
              ;;
            exports)
              _arguments $common 
              ;;
          esac
          ;;
        events)
          _arguments $common \
            '--after[begin after this event; 0 for everything there is]: : ' \
            '--only[only events of this kind; traffic comes only when asked for]: :(operation device appliance traffic)' \
            '--operation[only those of this operation]: :_volumectl_ask operation' \
            '--limit[end after so many]: : '
          ;;
        token)
          if ((CURRENT == 2)); then
            local -a verbs=(
              'create:Make a named token, and print it once'
              'list:List the named tokens and their roles'
              'revoke:Take a named token back'
            )
            _describe command verbs
            return
          fi
          shift words
          ((CURRENT--))
          case $words[1] in
            create)
              _arguments $common \
                '--role[what it may do]: :(read operate admin)' \
                '--file[the file (default\: TOKENS_FILE of the daemon of this machine, else /etc/volume-daemon/tokens.json)]: :_files' \
                '1: : '
              ;;
            list)
              _arguments $common \
                '--file[the file (default\: TOKENS_FILE of the daemon of this machine, else /etc/volume-daemon/tokens.json)]: :_files'
              ;;
            revoke)
              _arguments $common \
                '--file[the file (default\: TOKENS_FILE of the daemon of this machine, else /etc/volume-daemon/tokens.json)]: :_files' \
                '1: : '
              ;;
          esac
          ;;
        completion)
          if ((CURRENT == 2)); then
            local -a verbs=(
              'bash:Print the completion for bash'
              'zsh:Print the completion for zsh'
              'fish:Print the completion for fish'
            )
            _describe command verbs
            return
          fi
          shift words
          ((CURRENT--))
          case $words[1] in
            bash)
              _arguments $common 
              ;;
            zsh)
              _arguments $common 
              ;;
            fish)
              _arguments $common 
              ;;
          esac
          ;;
      esac
      ;;
  esac
}

_volumectl "$@"
