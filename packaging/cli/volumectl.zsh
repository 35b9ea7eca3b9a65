#compdef volumectl
# zsh completion for volumectl; made from its commands by "npm run docs"

_volumectl_ask() {
  local -a lines candidates
  local line
  # _arguments puts options for compadd before the kind.
  case $@[-1] in
    volume) lines=(${(f)"$(_call_program volume volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null)"}) ;;
    operation) lines=(${(f)"$(_call_program operation volumectl operation list --limit 30 --columns id,type,status,volume_id,created_at --no-headers --quiet --timeout 2s 2>/dev/null)"}) ;;
    device) lines=(${(f)"$(_call_program device volumectl device list --columns device_path,size,belongs_to --no-headers --quiet --timeout 2s 2>/dev/null)"}) ;;
    offering) lines=(${(f)"$(_call_program offering volumectl check offerings --columns id,name,size --no-headers --quiet --timeout 2s 2>/dev/null)"}) ;;
    zone) lines=(${(f)"$(_call_program zone volumectl check zones --columns id,name --no-headers --quiet --timeout 2s 2>/dev/null)"}) ;;
    appliance) lines=(${(f)"$(_call_program appliance volumectl appliance list --columns name,address --no-headers --quiet --timeout 2s 2>/dev/null)"}) ;;
  esac
  for line in $lines; do candidates+=("${line%% *}"); done
  compadd "${(@)@[1,-2]}" -l -d lines -a candidates
}

_volumectl() {
  local context state line
  typeset -A opt_args
  local -a common=(
    '--appliance[which appliance of the configuration file (VOLUMECTL_APPLIANCE)]: :_volumectl_ask appliance'
    '--url[where the daemon listens (environment\: VOLUMECTL_URL; default http\://127.0.0.1\:8090)]: : '
    '--socket[its unix socket instead (VOLUMECTL_SOCKET)]: :_files'
    '--token-file[file with the bearer token (VOLUMECTL_TOKEN_FILE)]: :_files'
    '--timeout[give up after this long, like 90s or 10m (default 30s for an answer; none while following)]: : '
    '--output[how to print the result (default table)]: :((table\:"columns for people" wide\:"every column" name\:"only the first column, which is the id" json\:"what the daemon answered, as JSON" yaml\:"what the daemon answered, as YAML"))'
    '-o[how to print the result (default table)]: :((table\:"columns for people" wide\:"every column" name\:"only the first column, which is the id" json\:"what the daemon answered, as JSON" yaml\:"what the daemon answered, as YAML"))'
    '--json[the same as --output json]'
    '--columns[the columns to print, in this order]: : '
    '--no-headers[print no column names]'
    '--quiet[no progress and no hints]'
    '-q[no progress and no hints]'
    '--color[colours even when this is no terminal]'
    '--no-color[no colours (also\: NO_COLOR)]'
    '--help[this text]'
    '-h[this text]'
  )
  _arguments -C $common '1: :->noun' '*:: :->rest' && return
  case $state in
    noun)
      local -a nouns=(
        'volume:Create, attach, detach and delete volumes'
        'snapshot:List, take and delete snapshots of volumes'
        'device:See the disks of this guest, and whose they are'
        'operation:See what was asked for, where it is, and cancel it'
        'export:See and change what is exported over NBD'
        'vm:See the volumes of a VM'
        'health:Show how the daemon and everything it depends on are doing'
        'sync:Compare CloudStack, guest, database and exports, and repair what is safe'
        'task:Run a task of the daemon now'
        'setup:Make what a new appliance needs: database, account, tables, and where CloudStack is'
        'adopt:See what taking over the database of the old daemon does, before it is done'
        'check:Find out what is wrong'
        'events:Follow everything that happens'
        'token:Say who may ask the daemon of this machine what'
        'appliance:See which appliances this user has named'
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
              'resize:Make a volume larger'
              'revert:Put a volume back to a snapshot of it'
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
                '--attached[only attached, or only detached ones]: :((yes\:"attached to a VM" no\:"detached"))' \
                '--project[only those of this project]: : ' \
                '--sort[order the list by these columns]: : ' \
                '--reverse[the other way round]' \
                '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : '
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
                '--size[like 10Gi, or bytes]: : ' \
                '--offering[id of the disk offering (volumectl check offerings)]: :_volumectl_ask offering' \
                '--zone[id of the zone (volumectl check zones)]: :_volumectl_ask zone' \
                '--metadata[kept with the operation]: : ' \
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]'
              ;;
            attach)
              _arguments $common \
                '--vm[id of another VM]: : ' \
                '--expected[what will be copied into it, like 3Gi\: the share written is reckoned with it]: : ' \
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]' \
                '1: :_volumectl_ask volume'
              ;;
            attach-root)
              _arguments $common \
                '--vm[id of the VM]: : ' \
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]' \
                '1: :_volumectl_ask volume'
              ;;
            detach)
              _arguments $common \
                '--force[also when the device is in use (journaled)]' \
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
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
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]' \
                '1: :_volumectl_ask volume'
              ;;
            recover)
              _arguments $common \
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]' \
                '1: :_volumectl_ask volume'
              ;;
            resize)
              _arguments $common \
                '--size[like 20GiB, or bytes]: : ' \
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]' \
                '1: :_volumectl_ask volume'
              ;;
            revert)
              _arguments $common \
                '--to[id of the snapshot (volumectl snapshot list)]: : ' \
                '--yes[do not ask]' \
                '-y[do not ask]' \
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
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
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
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
        snapshot)
          if ((CURRENT == 2)); then
            local -a verbs=(
              'list:List the snapshots of a volume, as CloudStack shows them'
              'create:Take a snapshot of a volume, in use or not'
              'group:Take a snapshot of several volumes of a VM, all or none'
              'delete:Delete a snapshot'
            )
            _describe command verbs
            return
          fi
          shift words
          ((CURRENT--))
          case $words[1] in
            list)
              _arguments $common \
                '--sort[order the list by these columns]: : ' \
                '--reverse[the other way round]' \
                '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : ' \
                '1: :_volumectl_ask volume'
              ;;
            create)
              _arguments $common \
                '--name[what its name begins with]: : ' \
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]' \
                '1: :_volumectl_ask volume'
              ;;
            group)
              _arguments $common \
                '--vm[id of the VM]: : ' \
                '--volumes[its volumes, each named like any volume]: :_volumectl_ask volume' \
                '--name[what their names begin with]: : ' \
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]'
              ;;
            delete)
              _arguments $common \
                '--yes[do not ask]' \
                '-y[do not ask]' \
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '--key[Idempotency-Key\: repeated within 24 hours, the same operation is answered]: : ' \
                '--wait[wait until the operation has ended, naming its step]' \
                '-w[wait until the operation has ended, naming its step]' \
                '1: : '
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
              _arguments $common \
                '--sort[order the list by these columns]: : ' \
                '--reverse[the other way round]' \
                '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : '
              ;;
            scan)
              _arguments $common \
                '--sort[order the list by these columns]: : ' \
                '--reverse[the other way round]' \
                '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : '
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
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '--sort[order the list by these columns]: : ' \
                '--reverse[the other way round]' \
                '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : ' \
                '1: :((add\:"a disk is ours" remove\:"a disk is not ours" list\:"which are"))' \
                '2: :_volumectl_ask device'
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
                '--type[only of this type]: :((create\:"a volume was made" attach\:"a volume came to a VM" detach\:"a volume left a VM" delete\:"a volume was deleted" recover\:"a volume came back from the trash" cleanup\:"a volume came back from a test VM" resize\:"a volume was made larger" snapshot\:"a snapshot was taken" delete-snapshot\:"a snapshot was deleted" revert\:"a volume got back the content of a snapshot" snapshot-group\:"snapshots of several volumes were taken"))' \
                '--status[only in this status]: :((pending\:"accepted, not begun" executing\:"being done" completed\:"done" failed\:"ended with a reason" cancelled\:"ended before CloudStack was asked"))' \
                '--volume[only of this volume]: :_volumectl_ask volume' \
                '--vm[only of this VM]: : ' \
                '--since[only since then\: 1h is an hour ago, or like 2026-08-19T20\:30\:00Z]: : ' \
                '--limit[at most so many (default 20)]: : ' \
                '--all[all of them, in pages of --limit]' \
                '--sort[order the list by these columns]: : ' \
                '--reverse[the other way round]' \
                '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : '
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
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '1: :_volumectl_ask operation'
              ;;
            retry)
              _arguments $common \
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '1: :_volumectl_ask operation'
              ;;
            abandon)
              _arguments $common \
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
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
                '--status[only in this status]: :((pending\:"not proven yet" active\:"answers as it should" failed\:"does not answer as it should"))' \
                '--sort[order the list by these columns]: : ' \
                '--reverse[the other way round]' \
                '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : ' \
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
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '1: :_volumectl_ask volume'
              ;;
            withdraw)
              _arguments $common \
                '--force[also while a client is connected]' \
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '1: :_volumectl_ask volume'
              ;;
            validate)
              _arguments $common \
                '--sort[order the list by these columns]: : ' \
                '--reverse[the other way round]' \
                '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : '
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
                '--sort[order the list by these columns]: : ' \
                '--reverse[the other way round]' \
                '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : ' \
                '1: : '
              ;;
          esac
          ;;
        health)
          _arguments $common \
            '--allow-degraded[exit code 0 also when degraded]'
          ;;
        sync)
          _arguments $common \
            '--dry-run[only report]' \
            '--sort[order the list by these columns]: : ' \
            '--reverse[the other way round]' \
            '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : '
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
                '--sort[order the list by these columns]: : ' \
                '--reverse[the other way round]' \
                '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : ' \
                '1: :((sync\\:force))'
              ;;
          esac
          ;;
        setup)
          _arguments $common \
            '--cloudstack-url[where CloudStack is, like https\://cloud.example/client/api]: : ' \
            '--api-key[the API key of the user whose rights are used]: : ' \
            '--secret-file[file with its secret key; - is the standard input]: :_files' \
            '--zone[id or name of the zone; needed when the key sees several]: : ' \
            '--vm[id of the VM that this is; by default what the hypervisor tells]: : ' \
            '--replace[give an active row of ossea_configs with other values these ones]' \
            '--database-admin[who may make the database and its account (default root@unix(/run/mysqld/mysqld.sock)/mysql)]: : ' \
            '--database-admin-file[file with that DSN, for one with a password\: others see the list of processes]: :_files' \
            '--dry-run[change nothing\: show what would be asked, and what is known of it now]'
          ;;
        adopt)
          _arguments $common \
            '--plan[show it]' \
            '--undo[how to go back]' \
            '--sort[order the list by these columns]: : ' \
            '--reverse[the other way round]' \
            '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : '
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
              _arguments $common \
                '--sort[order the list by these columns]: : ' \
                '--reverse[the other way round]' \
                '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : '
              ;;
            offerings)
              _arguments $common \
                '--sort[order the list by these columns]: : ' \
                '--reverse[the other way round]' \
                '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : '
              ;;
            database)
              _arguments $common 
              ;;
            exports)
              _arguments $common \
                '--sort[order the list by these columns]: : ' \
                '--reverse[the other way round]' \
                '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : '
              ;;
          esac
          ;;
        events)
          _arguments $common \
            '--after[begin after this event; 0 for everything there is]: : ' \
            '--only[only events of this kind; traffic comes only when asked for]: :((operation\:"steps of operations" device\:"disks that come and go" appliance\:"who owns the appliance, and what sync finds" traffic\:"what is copied into which volume"))' \
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
                '--role[what it may do]: :((read\:"everything that changes nothing" operate\:"also volumes, exports and sync" admin\:"also retry and abandon of held operations"))' \
                '--file[the file (default\: TOKENS_FILE of the daemon of this machine, else /etc/volume-daemon/tokens.json)]: :_files' \
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '1: : '
              ;;
            list)
              _arguments $common \
                '--file[the file (default\: TOKENS_FILE of the daemon of this machine, else /etc/volume-daemon/tokens.json)]: :_files' \
                '--sort[order the list by these columns]: : ' \
                '--reverse[the other way round]' \
                '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : '
              ;;
            revoke)
              _arguments $common \
                '--file[the file (default\: TOKENS_FILE of the daemon of this machine, else /etc/volume-daemon/tokens.json)]: :_files' \
                '--dry-run[change nothing\: show what would be asked, and what is known of it now]' \
                '1: : '
              ;;
          esac
          ;;
        appliance)
          if ((CURRENT == 2)); then
            local -a verbs=(
              'list:List the appliances of the configuration file'
            )
            _describe command verbs
            return
          fi
          shift words
          ((CURRENT--))
          case $words[1] in
            list)
              _arguments $common \
                '--sort[order the list by these columns]: : ' \
                '--reverse[the other way round]' \
                '--filter[only rows for which this holds, like status=failed,size>10Gi,name~web]: : '
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
