#!/usr/bin/env bats
# doctor: every check is made to fail for real, and what it says is what mends it. A mount namespace
# of the test's own gives run_dir a tmpfs of its own, as an installation has it.

load lib
load ../system/process

setup() {
    need_root
    open_folder <<'INI'
user = daemon
group = mail
INI
    holders=()
    hold unshare -m --propagation private sleep 600
    space=${holders[0]}
    in_space=(ns)
    until_true in_own_space
    ns mount -t tmpfs -o size=16m,mode=755 tmpfs "$dir/run"
}

teardown() {
    [ -z "${dir:-}" ] || {
        [ ${#holders[@]} -eq 0 ] || kill -9 "${holders[@]}" 2>/dev/null || true
        remove_folder
    }
}

in_own_space() {
    [ "$(readlink "/proc/$space/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]
}

hold() { # COMMAND...: runs until the test ends; its pid is in $held
    "$@" >>"$dir/held" 2>&1 3>&- &
    held=$!
    holders+=("$held")
}

ns() { # runs in the test's mount namespace, by exec
    nsenter -t "$space" -m -- "$@"
}

# Where other users can run them.
copy_tools() {
    mkdir -m 755 "$dir/bin"
    cp "$CATLATCH_BUILD"/{catlatch,catlatchd,catlatch-keeper} "$BATS_TEST_DIRNAME/../system/as_user" "$dir/bin/"
    PATH=$dir/bin:$PATH
}

daemon_up() {
    launch nsenter -t "$space" -m -- catlatchd
}

daemon_again() {
    end_daemon
    daemon_up
}

# The table as it is, changed by doctor_table.py.
table() { # WHAT
    ns python3 "$BATS_TEST_DIRNAME/doctor_table.py" "$dir/run/table" "$1"
}

# Runs doctor; what it found is in $found.
look() { # [OPTIONS...]
    run --separate-stderr ns catlatch doctor --json "$@"
    found=$output
}

# It found this, and says how to mend it.
expect_finding() { # RESULT CHECK TEXT [MEND]
    jq -e --arg r "$1" --arg c "$2" --arg t "$3" --arg m "${4:-}" '.findings | any(.result == $r
        and .check == $c and (.text | contains($t)) and ((.mend // "") | contains($m)))' \
        <<<"$found" >/dev/null || {
        echo "expected: $*"
        jq -c '.findings[]' <<<"$found" || echo "$found $stderr"
        return 1
    }
}

# Nothing is amiss but in these checks (backups apart: nobody made one), and the status says so.
expect_amiss() { # [CHECK...]
    local amiss
    amiss=$(jq -r '[.findings[] | select(.result == "warning" or .result == "problem").check]
        | unique - ["backup"] | join(" ")' <<<"$found")
    [ "$amiss" = "$*" ] || {
        echo "amiss: $amiss; expected: $*"
        jq -c '.findings[] | select(.result == "warning" or .result == "problem")' <<<"$found"
        return 1
    }
    [ "$status" -eq "$(jq 'if .healthy then 0 else 1 end' <<<"$found")" ]
    [ -z "$*" ] || [ "$status" -eq 1 ]
}

@test "a healthy installation: nothing is amiss, as the workers' user neither" {
    daemon_up
    make_key one
    catlatch disable "$id" >/dev/null
    catlatch revoke "$id" --yes >/dev/null
    make_key two --scope a --scope b --expires 1h
    look --user mail
    expect_amiss
    expect_finding ok worker 'mail reads the configuration and maps the table'
    expect_finding ok keys '2 keys compared'
    expect_finding ok daemon 'user daemon'
    expect_finding ok room 'a tmpfs of its own'
    if jq -e '.findings[] | select(.check == "backup" and .result != "warning")' <<<"$found"; then
        [ "$status" -eq 0 ]
    else
        expect_finding warning backup 'no backup was ever made' 'catlatch backup FILE'
    fi
}

@test "for people: a line for each finding, how to mend it below, a sum; no colour off a terminal" {
    daemon_up
    ns chmod 660 "$dir/run/table"
    run --separate-stderr ns catlatch doctor
    expect_status 1
    expect_text "$output" "problem table          $dir/run/table has mode 0660: others can write it, and workers do not believe it
                       mend: chmod 640 $dir/run/table"
    [[ ${lines[-1]} =~ ^1\ problem,\ [01]\ warnings?,\ [0-9]+\ skipped$ ]]
    [[ $output != *$'\033'* ]]
    NO_COLOR= TERM=xterm run script -qec "nsenter -t $space -m catlatch doctor" /dev/null
    expect_text "$output" $'\033[1;31mproblem'
}

@test "what it is not told or cannot see: one error, a reason each" {
    daemon_up
    run --separate-stderr catlatch doctor now
    expect_status 64
    run --separate-stderr ns catlatch doctor --user no-such-user
    expect_status 65
    expect_text "$stderr" 'there is no user "no-such-user"'
    copy_tools
    run --separate-stderr ns as_user lp "$dir/bin/catlatch" doctor --json --user mail
    found=$output
    expect_status 0
    expect_finding skipped daemon 'no right on this socket'
    expect_finding skipped table 'may not map'
    expect_finding skipped worker 'only root can become mail'
    expect_finding skipped state_dir 'run this as root'
    expect_finding skipped processes 'run this as root'
    expect_finding skipped mounts 'run this as root'
    expect_finding skipped keys 'did not answer'
    expect_finding skipped heartbeat 'could not be mapped'
    expect_finding skipped backup 'did not answer'
}

@test "configuration: not there, not to be trusted, not right; the rest says what it waits for" {
    chmod g+w "$CATLATCH_CONFIG"
    look
    expect_amiss configuration
    expect_finding problem configuration 'is writable by its group' "chmod g-w $CATLATCH_CONFIG"
    expect_finding skipped room 'needs a good configuration'
    chmod g-w "$CATLATCH_CONFIG"
    chmod o+w "$dir/etc"
    look
    expect_finding problem configuration 'is writable by everybody' "chmod o-w $dir/etc"
    chmod o-w "$dir/etc"
    echo 'colour = red' >>"$CATLATCH_CONFIG"
    look
    expect_finding problem configuration 'unknown key "colour"' 'catlatch configtest'
    look -c "$dir/none.ini"
    expect_amiss configuration
    expect_finding problem configuration 'no configuration'
}

@test "accounts: names that do not exist" {
    printf '[access]\nread = @no-such-group\n' >>"$CATLATCH_CONFIG"
    look
    expect_finding problem accounts 'there is no group "no-such-group"' 'groupadd --system no-such-group'
    set_daemon_key user no-such-user
    look
    expect_finding problem accounts 'there is no user "no-such-user"' 'useradd --system'
}

@test "daemon: down, killed, as root, of another version" {
    look
    expect_finding problem daemon 'there is no socket' 'systemctl start catlatchd'
    expect_finding problem table 'No such file' 'systemctl restart catlatchd'
    expect_finding skipped keys 'the daemon did not answer'
    daemon_up
    kill -STOP "$daemon_pid"
    look
    expect_finding problem daemon 'answers none' 'systemctl restart catlatchd'
    expect_finding problem verify_socket 'timed out'
    end_daemon KILL || true
    look
    expect_finding problem daemon 'nobody listens' 'systemctl start catlatchd'
    expect_finding warning generations 'nobody listens' "rm $dir/run/catlatch.sock"
    old_heartbeat() {
        look
        expect_finding warning heartbeat 's old: workers go on with this table' 'systemctl restart'
    }
    until_true old_heartbeat
    set_daemon_key max_stale 5s
    set_daemon_key user root
    ns chown -R root "$dir/state" "$dir/admin" "$dir/run"
    daemon_up
    look
    expect_finding warning daemon 'runs as root' 'user = catlatch'
    end_daemon KILL || true
    too_old() {
        look
        expect_finding problem heartbeat 'over max_stale: workers answer unavailable' 'systemctl restart'
    }
    until_true too_old
    rm "$dir/admin/catlatch.sock"
    start_fake_daemon <<'RULES'
STATS {"version": "9.9", "pid": 0, "epoch": 1, "sequence": 5, "last_backup_at": "2026-01-01T00:00:00Z"}
LOG {"cursor": "1:5", "end": true, "changes": [{"time": "2099-01-01T00:00:00.000Z"}]}
RULES
    look
    expect_finding problem clock 'the last key was changed at 2099-01-01T00:00:00Z' 'set-ntp'
    expect_finding warning backup 'the last backup is of 2026-01-01T00:00:00Z' 'catlatch backup FILE'
    expect_finding warning daemon 'catlatchd is version 9.9' 'systemctl restart catlatchd'
}

@test "sockets and folders: the socket gone, owners and modes, files that others can read" {
    daemon_up
    ns rm "$dir/run/catlatch.sock"
    ns chmod 775 "$dir/run"
    chmod 777 "$dir/admin"
    chmod 750 "$dir/state"
    chmod 644 "$dir"/state/store.*/keys.db
    chown root "$dir"/state/store.*/meta.db
    look
    expect_amiss admin_dir run_dir state_dir verify_socket
    expect_finding problem verify_socket 'nobody answers' 'systemctl restart catlatchd'
    expect_finding problem run_dir 'too open' "chmod 755 $dir/run"
    expect_finding problem admin_dir 'too open' "chmod 755 $dir/admin"
    expect_finding problem state_dir 'mode 0750' "chmod 700 $dir/state"
    expect_finding problem state_dir 'keys.db' "chmod -R go= $dir/state"
    expect_finding problem state_dir 'meta.db' "chown -R daemon $dir/state"
    ns chmod 700 "$dir/run"
    ns chgrp lp "$dir/run"
    chown lp "$dir/admin"
    look
    expect_finding warning run_dir 'too closed' "chmod 755 $dir/run"
    expect_finding warning run_dir 'has the group lp' "chgrp mail $dir/run"
    expect_finding problem admin_dir 'belongs to lp' "chown daemon $dir/admin"
    chmod o+w "$dir"
    look
    expect_finding problem configuration 'is writable by everybody' "chmod o-w $dir"
    chmod o-w "$dir"
}

@test "table: its mode, group, layout, boot; marked, damaged, made by a clock that was ahead" {
    daemon_up
    ns chmod 600 "$dir/run/table"
    ns chgrp lp "$dir/run/table"
    look
    expect_amiss table
    expect_finding problem table 'no worker can map it' "chmod 640 $dir/run/table"
    expect_finding warning table 'has the group lp' "chgrp mail $dir/run/table"
    ns chmod 644 "$dir/run/table"
    look
    expect_finding problem table 'should have 0640' "chmod 640 $dir/run/table"
    ns chmod 640 "$dir/run/table"
    ns chgrp mail "$dir/run/table"
    table future
    look
    expect_amiss clock
    expect_finding problem clock 'the table was made at' 'timedatectl set-ntp true'
    table boot
    look
    expect_finding problem table 'before the last boot' 'systemctl start catlatchd'
    table layout
    look
    expect_finding problem table 'layout 3' 'one version'
    daemon_again
    table damage
    look
    expect_finding problem table 'damaged' 'systemctl restart catlatchd'
    daemon_again
    look
    expect_amiss generations
    expect_finding warning generations 'left by nobody who could mark it' "rm $dir/run/table."
    ns sh -c "find $dir/run -name 'table.*' -links 1 -delete"
    table supersede
    look
    expect_amiss heartbeat
    expect_finding problem heartbeat 'marked as superseded' 'systemctl restart catlatchd'
}

@test "worker: the missing group by name, and what else keeps it out" {
    daemon_up
    look --user lp
    expect_amiss worker
    expect_finding problem worker "lp is not in the group mail, which may map $dir/run/table" \
        'adduser lp mail, and restart the workers'
    look --user daemon
    expect_finding warning worker "daemon is the daemon's user too" '[daemon] user'
    chmod 640 "$CATLATCH_CONFIG"
    look --user mail
    expect_finding problem worker 'mail cannot take the configuration' 'chmod o+r'
    chmod 644 "$CATLATCH_CONFIG"
    ns chmod 750 "$dir/run"
    look --user lp
    expect_finding problem worker "lp cannot enter $dir/run" "chmod o+x $dir/run"
    ns chmod 755 "$dir/run"
    ns chmod 600 "$dir/run/catlatch.sock"
    look --user mail
    expect_finding problem worker 'mail cannot connect' "chmod 666 $dir/run/catlatch.sock"
    end_daemon
    # As a service manager starts it, with a configuration that does not say who it is.
    sed -i '/^user = /d; /^group = /d' "$CATLATCH_CONFIG"
    copy_tools
    launch nsenter -t "$space" -m -- "$dir/bin/as_user" daemon "$dir/bin/catlatchd"
    look --user mail
    expect_finding problem worker 'mail is not in the group daemon'
    ns chgrp mail "$dir/run/table"
    look --user mail
    expect_finding problem worker 'belongs to daemon' 'write user = daemon into [daemon]'
}

@test "room: on a disk, shared, too small for two tables, or for those that are expected" {
    daemon_up
    set_daemon_key expected_keys 60k
    look
    expect_finding warning room 'two tables of the size for expected_keys' 'mount -o remount,size='
    end_daemon
    set_daemon_key expected_keys 1000
    end_keeper
    ns umount "$dir/run"
    ns mount -t tmpfs -o size=400k,mode=755 tmpfs "$dir/run"
    daemon_up
    look
    expect_amiss room
    expect_finding problem room 'two tables of the present size' "mount -o remount,size=1M $dir/run"
    end_daemon
    end_keeper
    ns umount "$dir/run"
    daemon_up
    look
    expect_finding warning room 'lies on a disk' "mount -t tmpfs"
    end_daemon
    mkdir "$dir/shared"
    ns mount -t tmpfs -o mode=755 tmpfs "$dir/shared"
    set_daemon_key run_dir "$dir/shared/run"
    ns mkdir "$dir/shared/run"
    daemon_up
    look
    expect_amiss room
    expect_finding warning room 'shares its tmpfs' "tmpfs $dir/shared/run"
}

@test "generations: one that was left over, and a table that lost its second name" {
    daemon_up
    ns cp "$dir/run/table" "$dir/run/table.77"
    look
    expect_amiss generations
    expect_finding warning generations 'table.77 is left by nobody' "rm $dir/run/table.77"
    ns chown daemon "$dir/run/table.77"
    look
    expect_amiss generations
    expect_finding warning generations '1 other generation is left' 'systemctl restart catlatchd'
    daemon_again
    look
    expect_amiss
    ns sh -c "rm $dir/run/table.*"
    look
    expect_amiss generations
    expect_finding warning generations 'lost its second name' "ln $dir/run/table $dir/run/table."
}

@test "processes: one that holds a marked table, and one whose table nobody marked" {
    daemon_up
    hold nsenter -t "$space" -m -- python3 "$BATS_TEST_DIRNAME/doctor_table.py" "$dir/run/table" map
    until_true grep -q mapped "$dir/held"
    look
    expect_amiss
    expect_finding ok processes '1 process maps the current table'
    daemon_again
    look
    expect_amiss processes
    expect_finding warning processes \
        "process $held (python3) still holds an old table (generation 1, 1 before the current)" \
        "restart process $held"
    kill -9 "$held"
    : >"$dir/held"
    cp "$CATLATCH_BUILD/libcatlatch.so.0" "$dir/libcatlatch.so.0"
    hold python3 "$BATS_TEST_DIRNAME/doctor_table.py" "$dir/libcatlatch.so.0" map
    until_true grep -q mapped "$dir/held"
    rm "$dir/libcatlatch.so.0"
    look
    expect_amiss
    expect_finding note processes "process $held (python3) runs a libcatlatch.so.0 that was replaced" \
        "restart process $held"
    : >"$dir/held"
    hold nsenter -t "$space" -m -- python3 "$BATS_TEST_DIRNAME/doctor_table.py" "$dir/run/table" map
    until_true grep -q mapped "$dir/held"
    end_daemon KILL || true
    ns sh -c "rm $dir/run/table*"
    daemon_up
    unmarked() {
        look
        expect_finding problem processes 'that no daemon marked' "restart process $held"
    }
    until_true unmarked
    expect_amiss processes
}

@test "mounts: the file by itself, and dead once the table was replaced" {
    daemon_up
    touch "$dir/alone"
    hold nsenter -t "$space" -m -- unshare -m sh -c "mount --bind $dir/run/table $dir/alone && echo mounted && exec sleep 600"
    until_true grep -q mounted "$dir/held"
    look
    expect_amiss mounts
    expect_finding warning mounts "has the table's file mounted by itself at $dir/alone" \
        "mount the folder $dir/run instead"
    daemon_again
    look
    expect_amiss mounts
    expect_finding problem mounts "(sleep) sees a dead table at $dir/alone" \
        "mount the folder $dir/run instead"
}

@test "mounts: as a container sees it that has the file by itself" {
    daemon_up
    hold nsenter -t "$space" -m -- unshare -m sh -c "mount --bind $dir/run/table $dir/run/table && echo mounted && exec sleep 600"
    until_true grep -q mounted "$dir/held"
    run --separate-stderr nsenter -t "$held" -m catlatch doctor --json
    found=$output
    expect_amiss mounts
    expect_finding warning mounts "$dir/run/table is mounted by itself here" \
        "mount the folder $dir/run, not the file"
    [ "$(jq '[.findings[] | select(.check == "mounts" and .result == "warning")] | length' <<<"$found")" -eq 1 ]
}

@test "keys: a flag that somebody set in the table" {
    daemon_up
    seq -f 'KEY.CREATE NAME n%g' 300 | redis-cli -s "$admin" >/dev/null
    table disable
    look
    expect_amiss keys
    expect_finding problem keys 'the table differs from the store in 1 place: key_' \
        'systemctl restart catlatchd'
    expect_finding problem keys '(disabled)'
    daemon_again
    look
    expect_amiss
    expect_finding ok keys '300 keys compared'
}

@test "services: one that does not look at the networks that keys are confined to" {
    daemon_up
    make_key everywhere
    cat >>"$CATLATCH_CONFIG" <<'INI'
[service shared]
required = table
required = scope
[service api]
include = shared
required = address
[service uploads]
include = shared
[service emergency]
required = deny
INI
    look
    expect_amiss
    expect_finding ok services 'no key is confined to networks'
    make_key confined --allow 192.0.2.0/24
    look
    expect_amiss services
    expect_finding warning services 'service shared has no `address` line: 1 key, confined' \
        '`required = address` to [service shared] of'
    expect_finding warning services 'service uploads has no `address` line'
    [ "$(jq '[.findings[] | select(.check == "services")] | length' <<<"$found")" -eq 2 ]
    catlatch revoke "$id" --yes >/dev/null
    look
    expect_amiss
    make_key again --allow 192.0.2.0/24
    sed -i '/service shared/,/required = scope/s/required = scope/&\nrequired = address/' "$CATLATCH_CONFIG"
    look
    expect_amiss
    expect_finding ok services 'each looks at the networks'
}

@test "services: a limit that the daemon does not know, as it was not told to look" {
    daemon_up
    printf '[service uploads]\nrequired = table\nrequired = limit name=uploads rate=10/1m\n' >>"$CATLATCH_CONFIG"
    look
    expect_amiss services
    expect_finding problem services 'service uploads charges the limit uploads, which the daemon does not know' \
        'catlatch reload'
    catlatch reload
    look
    expect_amiss
    sed -i 's|10/1m|11/1m|' "$CATLATCH_CONFIG"
    look
    expect_amiss services
    printf 'required = limit name=uploads rate=10/1m\n' >>"$CATLATCH_CONFIG"
    run catlatch configtest
    expect_status 78
    expect_text "$output" "the limit uploads has rate=10/1m here and rate=11/1m elsewhere"
}

@test "disk and state: in memory, nearly full, without its reserve, with it spent" {
    ns mount -t tmpfs -o size=40m,mode=700 tmpfs "$dir/state"
    set_daemon_key ballast_size 32M
    daemon_up
    look
    expect_amiss disk state_dir
    expect_finding problem state_dir 'lies in memory' 'state_dir in'
    expect_finding warning disk 'MiB and' 'make room'
    expect_finding warning disk 'reserve for a full disk is 0 MiB of 32' 'make room for 64 MiB'
    end_daemon
    ns touch "$dir/state/ballast.spent"
    ns chown daemon "$dir/state/ballast.spent"
    ns chmod 600 "$dir/state/ballast.spent"
    daemon_up
    look
    expect_finding problem disk 'the reserve for it is spent' 'make room for 64 MiB'
    end_daemon
    ns mount -o remount,ro "$dir/state"
    look
    expect_finding problem disk 'mounted read-only' 'remount,rw'
    ns mount -o remount,rw "$dir/state"
    ns truncate -s 100M "$dir/state/log.0000099999"
    look
    expect_finding warning disk "of Berkeley DB's log lie in" 'journalctl -u catlatchd'
}
