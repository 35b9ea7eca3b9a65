# fish completion for volumectl; made from its commands by "npm run docs"
complete -c volumectl -f
complete -c volumectl -l appliance -d 'which appliance of the configuration file (VOLUMECTL_APPLIANCE)' -x -a '(volumectl appliance list --columns name,address --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -l url -d 'where the daemon listens (environment: VOLUMECTL_URL; default http://127.0.0.1:8090)' -x
complete -c volumectl -l socket -d 'its unix socket instead (VOLUMECTL_SOCKET)' -r -F
complete -c volumectl -l token-file -d 'file with the bearer token (VOLUMECTL_TOKEN_FILE)' -r -F
complete -c volumectl -l timeout -d 'give up after this long, like 90s or 10m (default 30s for an answer; none while following)' -x
complete -c volumectl -l output -s o -d 'how to print the result (default table)' -x -a 'table\\t\'columns for people\' wide\\t\'every column\' name\\t\'only the first column, which is the id\' json\\t\'what the daemon answered, as JSON\' yaml\\t\'what the daemon answered, as YAML\''
complete -c volumectl -l json -d 'the same as --output json'
complete -c volumectl -l columns -d 'the columns to print, in this order' -x
complete -c volumectl -l no-headers -d 'print no column names'
complete -c volumectl -l quiet -s q -d 'no progress and no hints'
complete -c volumectl -l color -d 'colours even when this is no terminal'
complete -c volumectl -l no-color -d 'no colours (also: NO_COLOR)'
complete -c volumectl -l help -s h -d 'this text'

complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a volume -d 'Create, attach, detach and delete volumes'
complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a snapshot -d 'List, take and delete snapshots of volumes'
complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a device -d 'See the disks of this guest, and whose they are'
complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a operation -d 'See what was asked for, where it is, and cancel it'
complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a export -d 'See and change what is exported over NBD'
complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a vm -d 'See the volumes of a VM'
complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a health -d 'Show how the daemon and everything it depends on are doing'
complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a sync -d 'Compare CloudStack, guest, database and exports, and repair what is safe'
complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a task -d 'Run a task of the daemon now'
complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a setup -d 'Make what a new appliance needs: database, account, tables, and where CloudStack is'
complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a adopt -d 'See what taking over the database of the old daemon does, before it is done'
complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a check -d 'Find out what is wrong'
complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a events -d 'Follow everything that happens'
complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a token -d 'Say who may ask the daemon of this machine what'
complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a appliance -d 'See which appliances this user has named'
complete -c volumectl -n 'not __fish_seen_subcommand_from volume snapshot device operation export vm health sync task setup adopt check events token appliance completion' -a completion -d 'Print the completion for a shell'

complete -c volumectl -n '__fish_seen_subcommand_from volume; and not __fish_seen_subcommand_from list show explain create attach attach-root detach delete recover resize revert return device' -a list -d 'List all volumes that the key sees, with device, export and last operation'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from list' -l name -d 'only names with this part, in any case' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from list' -l state -d 'only in this state of CloudStack, like Ready' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from list' -l vm -d 'only those attached to this VM' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from list' -l attached -d 'only attached, or only detached ones' -x -a 'yes\\t\'attached to a VM\' no\\t\'detached\''
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from list' -l project -d 'only those of this project' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from list' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from list' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from list' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and not __fish_seen_subcommand_from list show explain create attach attach-root detach delete recover resize revert return device' -a show -d 'Show what CloudStack, the guest and the daemon say of a volume'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from show' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and not __fish_seen_subcommand_from list show explain create attach attach-root detach delete recover resize revert return device' -a explain -d 'Explain what is known of a volume, since when, and what is not known'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from explain' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and not __fish_seen_subcommand_from list show explain create attach attach-root detach delete recover resize revert return device' -a create -d 'Create a volume in CloudStack'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from create' -l name -d 'its name' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from create' -l size -d 'like 10Gi, or bytes' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from create' -l offering -d 'id of the disk offering (volumectl check offerings)' -x -a '(volumectl check offerings --columns id,name,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from create' -l zone -d 'id of the zone (volumectl check zones)' -x -a '(volumectl check zones --columns id,name --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from create' -l metadata -d 'kept with the operation' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from create' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from create' -l key -d 'Idempotency-Key: repeated within 24 hours, the same operation is answered' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from create' -l wait -s w -d 'wait until the operation has ended, naming its step'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and not __fish_seen_subcommand_from list show explain create attach attach-root detach delete recover resize revert return device' -a attach -d 'Attach a volume to this appliance, or to another VM'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from attach' -l vm -d 'id of another VM' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from attach' -l expected -d 'what will be copied into it, like 3Gi: the share written is reckoned with it' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from attach' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from attach' -l key -d 'Idempotency-Key: repeated within 24 hours, the same operation is answered' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from attach' -l wait -s w -d 'wait until the operation has ended, naming its step'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from attach' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and not __fish_seen_subcommand_from list show explain create attach attach-root detach delete recover resize revert return device' -a attach-root -d 'Attach a volume as the root disk of a stopped VM'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from attach-root' -l vm -d 'id of the VM' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from attach-root' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from attach-root' -l key -d 'Idempotency-Key: repeated within 24 hours, the same operation is answered' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from attach-root' -l wait -s w -d 'wait until the operation has ended, naming its step'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from attach-root' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and not __fish_seen_subcommand_from list show explain create attach attach-root detach delete recover resize revert return device' -a detach -d 'Detach a volume from its VM'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from detach' -l force -d 'also when the device is in use (journaled)'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from detach' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from detach' -l key -d 'Idempotency-Key: repeated within 24 hours, the same operation is answered' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from detach' -l wait -s w -d 'wait until the operation has ended, naming its step'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from detach' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and not __fish_seen_subcommand_from list show explain create attach attach-root detach delete recover resize revert return device' -a delete -d 'Delete a volume and its data, detaching it from this appliance first'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from delete' -l yes -s y -d 'do not ask'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from delete' -l force -d 'also when the device is in use (journaled)'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from delete' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from delete' -l key -d 'Idempotency-Key: repeated within 24 hours, the same operation is answered' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from delete' -l wait -s w -d 'wait until the operation has ended, naming its step'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from delete' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and not __fish_seen_subcommand_from list show explain create attach attach-root detach delete recover resize revert return device' -a recover -d 'Bring a deleted volume back from the trash'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from recover' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from recover' -l key -d 'Idempotency-Key: repeated within 24 hours, the same operation is answered' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from recover' -l wait -s w -d 'wait until the operation has ended, naming its step'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from recover' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and not __fish_seen_subcommand_from list show explain create attach attach-root detach delete recover resize revert return device' -a resize -d 'Make a volume larger'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from resize' -l size -d 'like 20GiB, or bytes' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from resize' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from resize' -l key -d 'Idempotency-Key: repeated within 24 hours, the same operation is answered' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from resize' -l wait -s w -d 'wait until the operation has ended, naming its step'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from resize' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and not __fish_seen_subcommand_from list show explain create attach attach-root detach delete recover resize revert return device' -a revert -d 'Put a volume back to a snapshot of it'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from revert' -l to -d 'id of the snapshot (volumectl snapshot list)' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from revert' -l yes -s y -d 'do not ask'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from revert' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from revert' -l key -d 'Idempotency-Key: repeated within 24 hours, the same operation is answered' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from revert' -l wait -s w -d 'wait until the operation has ended, naming its step'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from revert' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and not __fish_seen_subcommand_from list show explain create attach attach-root detach delete recover resize revert return device' -a return -d 'Bring a volume back from a test VM to this appliance, as one operation'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from return' -l from -d 'id of the test VM' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from return' -l delete-vm -d 'delete the test VM when no disk is left on it'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from return' -l stop-vm -d 'stop the test VM when it runs'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from return' -l yes -s y -d 'do not ask before the VM is deleted'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from return' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from return' -l key -d 'Idempotency-Key: repeated within 24 hours, the same operation is answered' -x
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from return' -l wait -s w -d 'wait until the operation has ended, naming its step'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from return' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and not __fish_seen_subcommand_from list show explain create attach attach-root detach delete recover resize revert return device' -a device -d 'Show which device a volume is on this appliance'
complete -c volumectl -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from device' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and not __fish_seen_subcommand_from list create group delete' -a list -d 'List the snapshots of a volume, as CloudStack shows them'
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from list' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from list' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from list' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from list' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and not __fish_seen_subcommand_from list create group delete' -a create -d 'Take a snapshot of a volume, in use or not'
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from create' -l name -d 'what its name begins with' -x
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from create' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from create' -l key -d 'Idempotency-Key: repeated within 24 hours, the same operation is answered' -x
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from create' -l wait -s w -d 'wait until the operation has ended, naming its step'
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from create' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and not __fish_seen_subcommand_from list create group delete' -a group -d 'Take a snapshot of several volumes of a VM, all or none'
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from group' -l vm -d 'id of the VM' -x
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from group' -l volumes -d 'its volumes, each named like any volume' -x -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from group' -l name -d 'what their names begin with' -x
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from group' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from group' -l key -d 'Idempotency-Key: repeated within 24 hours, the same operation is answered' -x
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from group' -l wait -s w -d 'wait until the operation has ended, naming its step'
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and not __fish_seen_subcommand_from list create group delete' -a delete -d 'Delete a snapshot'
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from delete' -l yes -s y -d 'do not ask'
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from delete' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from delete' -l key -d 'Idempotency-Key: repeated within 24 hours, the same operation is answered' -x
complete -c volumectl -n '__fish_seen_subcommand_from snapshot; and __fish_seen_subcommand_from delete' -l wait -s w -d 'wait until the operation has ended, naming its step'
complete -c volumectl -n '__fish_seen_subcommand_from device; and not __fish_seen_subcommand_from list scan show watch own explain' -a list -d 'List the disks of this guest as last seen'
complete -c volumectl -n '__fish_seen_subcommand_from device; and __fish_seen_subcommand_from list' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from device; and __fish_seen_subcommand_from list' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from device; and __fish_seen_subcommand_from list' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from device; and not __fish_seen_subcommand_from list scan show watch own explain' -a scan -d 'Look at the guest now, and list its disks'
complete -c volumectl -n '__fish_seen_subcommand_from device; and __fish_seen_subcommand_from scan' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from device; and __fish_seen_subcommand_from scan' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from device; and __fish_seen_subcommand_from scan' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from device; and not __fish_seen_subcommand_from list scan show watch own explain' -a show -d 'Show the volume that is mapped to a device'
complete -c volumectl -n '__fish_seen_subcommand_from device; and __fish_seen_subcommand_from show' -a '(volumectl device list --columns device_path,size,belongs_to --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from device; and not __fish_seen_subcommand_from list scan show watch own explain' -a watch -d 'Watch disks come and go'
complete -c volumectl -n '__fish_seen_subcommand_from device; and __fish_seen_subcommand_from watch' -l limit -d 'end after so many changes' -x
complete -c volumectl -n '__fish_seen_subcommand_from device; and not __fish_seen_subcommand_from list scan show watch own explain' -a own -d 'List the disks that are this system\'s for good, or change the list'
complete -c volumectl -n '__fish_seen_subcommand_from device; and __fish_seen_subcommand_from own' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from device; and __fish_seen_subcommand_from own' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from device; and __fish_seen_subcommand_from own' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from device; and __fish_seen_subcommand_from own' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from device; and __fish_seen_subcommand_from own' -a 'add\\t\'a disk is ours\' remove\\t\'a disk is not ours\' list\\t\'which are\''
complete -c volumectl -n '__fish_seen_subcommand_from device; and __fish_seen_subcommand_from own' -a '(volumectl device list --columns device_path,size,belongs_to --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from device; and not __fish_seen_subcommand_from list scan show watch own explain' -a explain -d 'Explain which disk a volume is, or why none'
complete -c volumectl -n '__fish_seen_subcommand_from device; and __fish_seen_subcommand_from explain' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and not __fish_seen_subcommand_from list show watch cancel retry abandon' -a list -d 'List operations, newest first'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from list' -l type -d 'only of this type' -x -a 'create\\t\'a volume was made\' attach\\t\'a volume came to a VM\' detach\\t\'a volume left a VM\' delete\\t\'a volume was deleted\' recover\\t\'a volume came back from the trash\' cleanup\\t\'a volume came back from a test VM\' resize\\t\'a volume was made larger\' snapshot\\t\'a snapshot was taken\' delete-snapshot\\t\'a snapshot was deleted\' revert\\t\'a volume got back the content of a snapshot\' snapshot-group\\t\'snapshots of several volumes were taken\''
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from list' -l status -d 'only in this status' -x -a 'pending\\t\'accepted, not begun\' executing\\t\'being done\' completed\\t\'done\' failed\\t\'ended with a reason\' cancelled\\t\'ended before CloudStack was asked\''
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from list' -l volume -d 'only of this volume' -x -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from list' -l vm -d 'only of this VM' -x
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from list' -l since -d 'only since then: 1h is an hour ago, or like 2026-08-19T20:30:00Z' -x
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from list' -l limit -d 'at most so many (default 20)' -x
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from list' -l all -d 'all of them, in pages of --limit'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from list' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from list' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from list' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from operation; and not __fish_seen_subcommand_from list show watch cancel retry abandon' -a show -d 'Show an operation and every step of it'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from show' -a '(volumectl operation list --limit 30 --columns id,type,status,volume_id,created_at --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and not __fish_seen_subcommand_from list show watch cancel retry abandon' -a watch -d 'Wait until an operation has ended, naming its step'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from watch' -a '(volumectl operation list --limit 30 --columns id,type,status,volume_id,created_at --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and not __fish_seen_subcommand_from list show watch cancel retry abandon' -a cancel -d 'Cancel an operation that CloudStack has not been asked for yet'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from cancel' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from cancel' -a '(volumectl operation list --limit 30 --columns id,type,status,volume_id,created_at --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and not __fish_seen_subcommand_from list show watch cancel retry abandon' -a retry -d 'Run a held operation again, from where it was'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from retry' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from retry' -a '(volumectl operation list --limit 30 --columns id,type,status,volume_id,created_at --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and not __fish_seen_subcommand_from list show watch cancel retry abandon' -a abandon -d 'End a held operation as failed; nothing is undone'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from abandon' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from operation; and __fish_seen_subcommand_from abandon' -a '(volumectl operation list --limit 30 --columns id,type,status,volume_id,created_at --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from export; and not __fish_seen_subcommand_from list show publish withdraw validate' -a list -d 'List the exports'
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from list' -l status -d 'only in this status' -x -a 'pending\\t\'not proven yet\' active\\t\'answers as it should\' failed\\t\'does not answer as it should\''
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from list' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from list' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from list' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from list' -l watch -d 'show it again every 2 seconds'
complete -c volumectl -n '__fish_seen_subcommand_from export; and not __fish_seen_subcommand_from list show publish withdraw validate' -a show -d 'Show the export of a volume'
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from show' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from export; and not __fish_seen_subcommand_from list show publish withdraw validate' -a publish -d 'Export an attached volume'
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from publish' -l vm-name -d 'kept with the export' -x
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from publish' -l read-only -d 'let nobody write'
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from publish' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from publish' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from export; and not __fish_seen_subcommand_from list show publish withdraw validate' -a withdraw -d 'Withdraw the export of a volume'
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from withdraw' -l force -d 'also while a client is connected'
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from withdraw' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from withdraw' -a '(volumectl volume list --columns volume_id,name,device_path,size --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from export; and not __fish_seen_subcommand_from list show publish withdraw validate' -a validate -d 'Ask every export whether it answers, with the right size'
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from validate' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from validate' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from export; and __fish_seen_subcommand_from validate' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from vm; and not __fish_seen_subcommand_from volumes' -a volumes -d 'List the volumes of a VM'
complete -c volumectl -n '__fish_seen_subcommand_from vm; and __fish_seen_subcommand_from volumes' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from vm; and __fish_seen_subcommand_from volumes' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from vm; and __fish_seen_subcommand_from volumes' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from health' -l allow-degraded -d 'exit code 0 also when degraded'
complete -c volumectl -n '__fish_seen_subcommand_from sync' -l dry-run -d 'only report'
complete -c volumectl -n '__fish_seen_subcommand_from sync' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from sync' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from sync' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from task; and not __fish_seen_subcommand_from run' -a run -d 'Run a task of the daemon now'
complete -c volumectl -n '__fish_seen_subcommand_from task; and __fish_seen_subcommand_from run' -l dry-run -d 'only report'
complete -c volumectl -n '__fish_seen_subcommand_from task; and __fish_seen_subcommand_from run' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from task; and __fish_seen_subcommand_from run' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from task; and __fish_seen_subcommand_from run' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from task; and __fish_seen_subcommand_from run' -a 'sync:force'
complete -c volumectl -n '__fish_seen_subcommand_from setup' -l cloudstack-url -d 'where CloudStack is, like https://cloud.example/client/api' -x
complete -c volumectl -n '__fish_seen_subcommand_from setup' -l api-key -d 'the API key of the user whose rights are used' -x
complete -c volumectl -n '__fish_seen_subcommand_from setup' -l secret-file -d 'file with its secret key; - is the standard input' -r -F
complete -c volumectl -n '__fish_seen_subcommand_from setup' -l zone -d 'id or name of the zone; needed when the key sees several' -x
complete -c volumectl -n '__fish_seen_subcommand_from setup' -l vm -d 'id of the VM that this is; by default what the hypervisor tells' -x
complete -c volumectl -n '__fish_seen_subcommand_from setup' -l replace -d 'give an active row of ossea_configs with other values these ones'
complete -c volumectl -n '__fish_seen_subcommand_from setup' -l database-admin -d 'who may make the database and its account (default root@unix(/run/mysqld/mysqld.sock)/mysql)' -x
complete -c volumectl -n '__fish_seen_subcommand_from setup' -l database-admin-file -d 'file with that DSN, for one with a password: others see the list of processes' -r -F
complete -c volumectl -n '__fish_seen_subcommand_from setup' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from adopt' -l plan -d 'show it'
complete -c volumectl -n '__fish_seen_subcommand_from adopt' -l undo -d 'how to go back'
complete -c volumectl -n '__fish_seen_subcommand_from adopt' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from adopt' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from adopt' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from check; and not __fish_seen_subcommand_from all cloudstack zones offerings database exports' -a all -d 'Run every check'
complete -c volumectl -n '__fish_seen_subcommand_from check; and not __fish_seen_subcommand_from all cloudstack zones offerings database exports' -a cloudstack -d 'Check CloudStack: version, clock, whose volumes and appliance are, and what the key may do'
complete -c volumectl -n '__fish_seen_subcommand_from check; and not __fish_seen_subcommand_from all cloudstack zones offerings database exports' -a zones -d 'List the zones of CloudStack'
complete -c volumectl -n '__fish_seen_subcommand_from check; and __fish_seen_subcommand_from zones' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from check; and __fish_seen_subcommand_from zones' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from check; and __fish_seen_subcommand_from zones' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from check; and not __fish_seen_subcommand_from all cloudstack zones offerings database exports' -a offerings -d 'List the disk offerings of CloudStack'
complete -c volumectl -n '__fish_seen_subcommand_from check; and __fish_seen_subcommand_from offerings' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from check; and __fish_seen_subcommand_from offerings' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from check; and __fish_seen_subcommand_from offerings' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from check; and not __fish_seen_subcommand_from all cloudstack zones offerings database exports' -a database -d 'Check the database: server, schema, clock, and who owns this appliance'
complete -c volumectl -n '__fish_seen_subcommand_from check; and not __fish_seen_subcommand_from all cloudstack zones offerings database exports' -a exports -d 'Ask every NBD export whether it answers, with the right size'
complete -c volumectl -n '__fish_seen_subcommand_from check; and __fish_seen_subcommand_from exports' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from check; and __fish_seen_subcommand_from exports' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from check; and __fish_seen_subcommand_from exports' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from events' -l after -d 'begin after this event; 0 for everything there is' -x
complete -c volumectl -n '__fish_seen_subcommand_from events' -l only -d 'only events of this kind; traffic comes only when asked for' -x -a 'operation\\t\'steps of operations\' device\\t\'disks that come and go\' appliance\\t\'who owns the appliance, and what sync finds\' traffic\\t\'what is copied into which volume\''
complete -c volumectl -n '__fish_seen_subcommand_from events' -l operation -d 'only those of this operation' -x -a '(volumectl operation list --limit 30 --columns id,type,status,volume_id,created_at --no-headers --quiet --timeout 2s 2>/dev/null | string replace -r \'\\s+\' \'\\t\')'
complete -c volumectl -n '__fish_seen_subcommand_from events' -l limit -d 'end after so many' -x
complete -c volumectl -n '__fish_seen_subcommand_from token; and not __fish_seen_subcommand_from create list revoke' -a create -d 'Make a named token, and print it once'
complete -c volumectl -n '__fish_seen_subcommand_from token; and __fish_seen_subcommand_from create' -l role -d 'what it may do' -x -a 'read\\t\'everything that changes nothing\' operate\\t\'also volumes, exports and sync\' admin\\t\'also retry and abandon of held operations\''
complete -c volumectl -n '__fish_seen_subcommand_from token; and __fish_seen_subcommand_from create' -l file -d 'the file (default: TOKENS_FILE of the daemon of this machine, else /etc/volume-daemon/tokens.json)' -r -F
complete -c volumectl -n '__fish_seen_subcommand_from token; and __fish_seen_subcommand_from create' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from token; and not __fish_seen_subcommand_from create list revoke' -a list -d 'List the named tokens and their roles'
complete -c volumectl -n '__fish_seen_subcommand_from token; and __fish_seen_subcommand_from list' -l file -d 'the file (default: TOKENS_FILE of the daemon of this machine, else /etc/volume-daemon/tokens.json)' -r -F
complete -c volumectl -n '__fish_seen_subcommand_from token; and __fish_seen_subcommand_from list' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from token; and __fish_seen_subcommand_from list' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from token; and __fish_seen_subcommand_from list' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from token; and not __fish_seen_subcommand_from create list revoke' -a revoke -d 'Take a named token back'
complete -c volumectl -n '__fish_seen_subcommand_from token; and __fish_seen_subcommand_from revoke' -l file -d 'the file (default: TOKENS_FILE of the daemon of this machine, else /etc/volume-daemon/tokens.json)' -r -F
complete -c volumectl -n '__fish_seen_subcommand_from token; and __fish_seen_subcommand_from revoke' -l dry-run -d 'change nothing: show what would be asked, and what is known of it now'
complete -c volumectl -n '__fish_seen_subcommand_from appliance; and not __fish_seen_subcommand_from list' -a list -d 'List the appliances of the configuration file'
complete -c volumectl -n '__fish_seen_subcommand_from appliance; and __fish_seen_subcommand_from list' -l sort -d 'order the list by these columns' -x
complete -c volumectl -n '__fish_seen_subcommand_from appliance; and __fish_seen_subcommand_from list' -l reverse -d 'the other way round'
complete -c volumectl -n '__fish_seen_subcommand_from appliance; and __fish_seen_subcommand_from list' -l filter -d 'only rows for which this holds, like status=failed,size>10Gi,name~web' -x
complete -c volumectl -n '__fish_seen_subcommand_from completion; and not __fish_seen_subcommand_from bash zsh fish' -a bash -d 'Print the completion for bash'
complete -c volumectl -n '__fish_seen_subcommand_from completion; and not __fish_seen_subcommand_from bash zsh fish' -a zsh -d 'Print the completion for zsh'
complete -c volumectl -n '__fish_seen_subcommand_from completion; and not __fish_seen_subcommand_from bash zsh fish' -a fish -d 'Print the completion for fish'
