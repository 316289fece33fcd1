#!/usr/bin/env bats
# catlatchd as a process: what it says on its command line, whom it becomes, what it refuses to
# start on, what it tells its manager, and how it ends.

load ../cli/lib
load process

setup() {
    open_folder </dev/null
}

teardown() {
    [ -z "${notified_pid:-}" ] || kill "$notified_pid"
    [ -z "${squatter_pid:-}" ] || kill "$squatter_pid"
    remove_folder
}

# --- the command line ------------------------------------------------------------------------

@test "-t says that a good file is good, and touches nothing" {
    rmdir "$dir/state"
    run --separate-stderr catlatchd -t
    expect_status 0
    [ "$output" = "$CATLATCH_CONFIG: good" ]
    [ -z "$stderr" ]
    [ ! -e "$dir/state" ]
    [ -z "$(ls -A "$dir/run" "$dir/admin" | grep -v :)" ]
}

@test "-t names file and line of what is wrong, with status 78" {
    printf '[policy]\nmax_expirey = 90d\n' >>"$CATLATCH_CONFIG"
    last=$(wc -l <"$CATLATCH_CONFIG")
    run --separate-stderr catlatchd -t
    expect_status 78
    [ -z "$output" ]
    expect_text "$stderr" "$CATLATCH_CONFIG:$last: unknown key \"max_expirey\" in [policy]; did you mean \"max_expiry\"?"
    [ "${#stderr_lines[@]}" -eq 1 ]

    rm "$CATLATCH_CONFIG"
    run --separate-stderr catlatchd -t
    expect_status 78
    expect_text "$stderr" "$CATLATCH_CONFIG"
}

@test "-t of a file whose service is wrong names its line" {
    printf '[service default]\nrequired = tabel\n' >>"$CATLATCH_CONFIG"
    last=$(wc -l <"$CATLATCH_CONFIG")
    run --separate-stderr catlatchd --test --config "$CATLATCH_CONFIG"
    expect_status 78
    expect_text "$stderr" "$CATLATCH_CONFIG:$last: "
}

@test "a daemon does not start on a file that -t refuses" {
    echo 'run_dir = relative/path' >>"$CATLATCH_CONFIG"
    last=$(wc -l <"$CATLATCH_CONFIG")
    expect_refusal 78 "$CATLATCH_CONFIG:$last: " catlatchd
    [ -z "$(ls -A "$dir/state")" ]
}

@test "--version and --help answer on stdout; what is unknown is status 64 and stderr alone" {
    run --separate-stderr catlatchd --version
    expect_status 0
    [[ $output =~ ^catlatchd\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
    run --separate-stderr catlatchd --help
    expect_status 0
    for word in --config --test --version SIGHUP; do expect_text "$output" "$word"; done
    [ -z "$stderr" ]
    for wrong in --nonsense -x operand --config; do
        run --separate-stderr catlatchd "$wrong"
        expect_status 64
        [ -z "$output" ]
        expect_text "$stderr" --help
    done
}

@test "-c goes before CATLATCH_CONFIG" {
    run --separate-stderr env CATLATCH_CONFIG="$dir/nothing" catlatchd -t -c "$CATLATCH_CONFIG"
    expect_status 0
    run --separate-stderr catlatchd -t -c "$dir/nothing"
    expect_status 78
    expect_text "$stderr" "$dir/nothing"
}

# --- alone -----------------------------------------------------------------------------------

@test "a second daemon is refused with the pid of the first, which goes on unharmed" {
    launch catlatchd
    make_key first
    expect_refusal 69 "state_dir $dir/state is in use by catlatchd, pid $daemon_pid" catlatchd
    [ "$(verdict "$key")" = valid ]
    [ "$(worker_verdict "$key")" = valid ]
    make_key second
    end_daemon
    launch catlatchd
    [ "$(verdict "$key")" = valid ]
}

@test "a second daemon with a state of its own cannot take run_dir or the admin socket" {
    launch catlatchd
    mkdir -m 700 "$dir/state2"
    mkdir -m 755 "$dir/run2"
    sed "s|^state_dir = .*|state_dir = $dir/state2|" "$CATLATCH_CONFIG" >"$dir/etc/second.ini"
    expect_refusal 69 "run_dir $dir/run is in use by catlatchd, pid $daemon_pid" \
        catlatchd -c "$dir/etc/second.ini"
    sed -i "s|^run_dir = .*|run_dir = $dir/run2|" "$dir/etc/second.ini"
    expect_refusal 69 "another process answers on $admin" catlatchd -c "$dir/etc/second.ini"
    make_key still
    [ "$(verdict "$key")" = valid ]
}

# --- the end ---------------------------------------------------------------------------------

@test "SIGTERM: what was sent before is answered and kept, exit status 0, the table stays" {
    launch catlatchd
    make_key before
    run /usr/bin/python3 -B "$BATS_TEST_DIRNAME/drain.py" "$admin" "$daemon_pid"
    expect_status 0
    expect_text "$output" '600 of 600 answered'
    wait "$daemon_pid"
    daemon_pid=
    [ ! -e "$verify" ] && [ ! -e "$admin" ]
    [ "$(worker_verdict "$key")" = valid ]
    launch catlatchd
    [ "$(catlatch list --json | jq length)" -eq 601 ]
}

@test "SIGTERM ends a daemon whose client takes no answers, at the second one at once" {
    launch catlatchd
    mkfifo "$dir/hold"
    /usr/bin/python3 -B "$BATS_TEST_DIRNAME/limits.py" "$verify" "$admin" hold_replies \
        >"$dir/held" <"$dir/hold" 3>&- &
    exec {hold}>"$dir/hold"
    until_true grep -q held "$dir/held"
    kill -TERM "$daemon_pid"
    until_true log_has stopping
    end_daemon INT
    exec {hold}>&-
}

@test "after kill -9 the next start takes over: stale sockets, table, every key" {
    launch catlatchd
    make_key kept
    end_daemon KILL || true
    [ -S "$verify" ] && [ -S "$admin" ] && [ -e "$dir/run/table" ]
    [ "$(worker_verdict "$key")" = valid ]
    launch catlatchd
    [ "$(verdict "$key")" = valid ]
}

# --- its manager -----------------------------------------------------------------------------

listen_for_notices() { # ADDRESS
    /usr/bin/python3 -B "$BATS_TEST_DIRNAME/notified.py" "$1" "$dir/notices" >"$dir/listening" 3>&- &
    notified_pid=$!
    until_true grep -q listening "$dir/listening"
    export NOTIFY_SOCKET=$1
}

told_in_order() {
    local told
    told=$(grep -oE '^(READY|RELOADING|STOPPING)=1' "$dir/notices" | tr '\n' ' ')
    [ "$told" = 'READY=1 RELOADING=1 READY=1 STOPPING=1 ' ] || {
        echo "told: $told"
        return 1
    }
}

check_notices() {
    launch catlatchd
    until_true grep -qx READY=1 "$dir/notices"
    catlatch reload
    until_true grep -qx RELOADING=1 "$dir/notices"
    grep -qE '^MONOTONIC_USEC=[0-9]+$' "$dir/notices"
    end_daemon
    until_true grep -qx STOPPING=1 "$dir/notices"
    told_in_order
}

@test "its manager hears READY, RELOADING, READY and STOPPING, on a socket with a path" {
    listen_for_notices "$dir/notify"
    check_notices
}

@test "its manager hears the same on an abstract socket" {
    listen_for_notices "@catlatch-test-$BASHPID-$RANDOM"
    check_notices
}

@test "its manager hears READY after a refused reload too, and why a start failed" {
    listen_for_notices "$dir/notify"
    launch catlatchd
    echo nonsense >>"$CATLATCH_CONFIG"
    kill -HUP "$daemon_pid"
    until_true log_has 'nothing was changed'
    end_daemon
    until_true grep -qx STOPPING=1 "$dir/notices"
    told_in_order
    expect_refusal 78 "$CATLATCH_CONFIG:" catlatchd
    until_true grep -q "^STATUS=$CATLATCH_CONFIG:" "$dir/notices"
}

@test "a watchdog is fed when it is asked for" {
    listen_for_notices "$dir/notify"
    WATCHDOG_USEC=200000 launch catlatchd
    until_true grep -qx WATCHDOG=1 "$dir/notices"
}

@test "lines have <priority> in front for the journal's own stream and for no other" {
    : >"$dir/log"
    JOURNAL_STREAM=$(stat -c %d:%i "$dir/log") launch catlatchd
    end_daemon
    [ "$(grep -cE '^<[0-7]>catlatch(d|-keeper): ' "$dir/log")" -eq "$(wc -l <"$dir/log")" ]
    JOURNAL_STREAM=$(stat -c %d:%i "$CATLATCH_CONFIG") launch catlatchd
    end_daemon
    [ "$(grep -c '^catlatchd: ' "$dir/log")" -eq "$(wc -l <"$dir/log")" ]
    grep -q stopping "$dir/log"
}

# --- whom it becomes -------------------------------------------------------------------------

# Field of /proc/PID/status.
status_field() {
    sed -n "s/^$1:[[:space:]]*//p" "/proc/$daemon_pid/status" | tr '\t' ' '
}

@test "started as root with a user and a group it becomes them and keeps nothing of root" {
    need_root
    copy_programs
    set_daemon_key user daemon
    set_daemon_key group www-data
    launch setpriv --groups=0,8 catlatchd
    web=$(id -g www-data)
    [ "$(status_field Uid)" = '1 1 1 1' ]
    [ "$(status_field Gid)" = "$web $web $web $web" ]
    [ -z "$(status_field Groups | tr -d ' ')" ]
    for set in CapPrm CapEff CapInh CapAmb; do [ "$(status_field $set)" = 0000000000000000 ]; done
    ! log_has 'running as root' || false

    [ -z "$(find "$dir/state" "$dir/run" "$dir/admin" ! -user daemon)" ]
    [ -z "$(find "$dir/state" -perm /077)" ]
    [ "$(stat -c '%U:%G %a' "$dir/run/table")" = 'daemon:www-data 640' ]
    make_key mine
    [ "$(verdict "$key")" = valid ]
    catlatch reload
}

@test "the table is for the daemon's group: a worker with another uid in it verifies, one outside not" {
    need_root
    copy_programs
    set_daemon_key user daemon
    set_daemon_key group www-data
    set_daemon_key expected_keys 16
    launch catlatchd
    make_key mine
    [ "$(worker_verdict "$key" as_user www-data)" = valid ]
    [ "$(worker_verdict "$key" as_user lp -g mail,www-data)" = valid ]
    [ "$(worker_verdict "$key" as_user lp -g mail || true)" != valid ]
    catlatch revoke "$id" --yes
    [ "$(worker_verdict "$key" as_user lp -g mail,www-data)" = revoked ]
    # Its new generations too: the group is the folder's, not the daemon's own.
    for n in $(seq 300); do echo "KEY.CREATE NAME n$n"; done | redis-cli -s "$admin" >/dev/null
    [ "$(catlatch status --json | jq .generation)" -gt 1 ]
    [ "$(stat -c '%U:%G %a' "$dir/run/table")" = 'daemon:www-data 640' ]
    [ "$(worker_verdict "$key" as_user www-data)" = revoked ]
}

# As somebody who is not root, in folders of its own.
start_ordinary() {
    copy_programs
    if [ "$(id -u)" -eq 0 ]; then
        chown -R daemon:daemon "$dir/state" "$dir/run" "$dir/admin"
        launch as_user daemon catlatchd
        [ "$(status_field Uid)" = '1 1 1 1' ]
    else
        launch catlatchd
    fi
}

@test "an ordinary user's table is for the group that it names, if it is in it" {
    need_root
    copy_programs
    chown -R daemon:daemon "$dir/state" "$dir/run" "$dir/admin"
    set_daemon_key user daemon # whom workers trust
    set_daemon_key group www-data
    expect_refusal 77 'Operation not permitted' as_user daemon catlatchd
    launch as_user daemon -g www-data catlatchd
    [ "$(status_field Gid)" = '1 1 1 1' ]
    [ "$(stat -c '%U:%G %a' "$dir/run/table")" = 'daemon:www-data 640' ]
    make_key mine
    [ "$(worker_verdict "$key" as_user www-data)" = valid ]
}

@test "an ordinary user runs it in folders of its own" {
    start_ordinary
    ! log_has 'running as root' || false
    make_key mine
    [ "$(verdict "$key")" = valid ]
    catlatch revoke "$id" --yes
    [ "$(verdict "$key")" = revoked ]
    end_daemon
}

@test "an ordinary user cannot start it as somebody else, nor in another's folders" {
    need_root
    copy_programs
    set_daemon_key user bin
    expect_refusal 77 'start as root or as bin' as_user daemon catlatchd
    set_daemon_key user daemon
    expect_refusal 77 "state_dir $dir/state: Permission denied" as_user daemon catlatchd
    chown daemon:daemon "$dir/state"
    expect_refusal 77 "run_dir $dir/run belongs to uid 0" as_user daemon catlatchd
}

@test "root and nobody are no user of its own: 65534 is refused, and running as root is warned of" {
    set_daemon_key user nobody
    expect_refusal 78 'user' catlatchd
    sed -i '/^user = /d' "$CATLATCH_CONFIG"
    launch catlatchd
    if [ "$(id -u)" -eq 0 ]; then
        log_has 'running as root: set [daemon] user'
    else
        ! log_has 'running as root' || false
    fi
}

@test "running as uid 65534, who has no right even on its own sockets, is warned of" {
    need_root
    copy_programs
    chown nobody "$dir"/{state,run,admin}
    launch as_user nobody catlatchd
    log_has 'running as uid 65534'
}

@test "it can leave no core, and its memory is not its own user's to read" {
    (ulimit -c unlimited) 2>/dev/null && ulimit -c unlimited
    start_ordinary
    [ "$(awk '/^Max core file size/ { print $5, $6 }' "/proc/$daemon_pid/limits")" = '0 0' ]
    # Of a process that is not dumpable everything below /proc/PID is root's.
    [ "$(stat -c %u "/proc/$daemon_pid/mem")" -eq 0 ]
    if [ "$(id -u)" -eq 0 ]; then
        end_daemon
        set_daemon_key user daemon
        launch catlatchd
        [ "$(status_field Uid)" = '1 1 1 1' ]
        [ "$(stat -c %u "/proc/$daemon_pid/mem")" -eq 0 ]
    fi
}

@test "files of an earlier user are refused with the way out, which helps" {
    need_root
    launch catlatchd
    make_key mine
    end_daemon
    set_daemon_key user daemon
    expect_refusal 77 "chown -R 1 $dir/state" catlatchd
    chown -R 1 "$dir/state"
    expect_refusal 77 "chown -R 1 $dir/run" catlatchd
    chown -R 1 "$dir/run"
    launch catlatchd
    [ "$(verdict "$key")" = valid ]
}

# --- where it will not start -----------------------------------------------------------------

@test "a state_dir that others can look into is refused with the way out" {
    chmod 755 "$dir/state"
    expect_refusal 77 "state_dir $dir/state has mode 755, which is too open: chmod 700 $dir/state" catlatchd
    [ -z "$(ls -A "$dir/state")" ]
    chmod 700 "$dir/state"
    launch catlatchd
}

@test "a run_dir or admin_dir that others can write is refused" {
    chmod 777 "$dir/run"
    expect_refusal 77 "run_dir $dir/run has mode 777" catlatchd
    chmod 755 "$dir/run"
    chmod 775 "$dir/admin"
    expect_refusal 77 "admin_dir $dir/admin has mode 775" catlatchd
}

@test "a run_dir that the daemon cannot write is one clear line" {
    copy_programs
    prefix=
    if [ "$(id -u)" -eq 0 ]; then
        chown -R daemon:daemon "$dir/state" "$dir/run" "$dir/admin"
        prefix='as_user daemon'
    fi
    chmod 555 "$dir/run"
    expect_refusal 77 "run_dir $dir/run: Permission denied" $prefix catlatchd
    chmod 755 "$dir/run"
    chmod 555 "$dir/admin"
    expect_refusal 77 "$admin: Permission denied" $prefix catlatchd
}

@test "a state on a read-only disk is refused, and nothing is published" {
    need_root
    unshare -m true 2>/dev/null || skip 'no private mount namespace may be made here'
    run unshare -m bash -c '
        mount -t tmpfs -o mode=700 none "$1" && touch "$1/lock" && mount -o remount,ro "$1" || exit 99
        exec timeout 20 catlatchd' - "$dir/state" 3>&-
    [ "$status" -ne 99 ] || skip 'no tmpfs may be mounted here'
    expect_status 74
    expect_text "$output" "state_dir $dir/state: Read-only file system"
    [ ! -e "$dir/run/table" ]
}

@test "what is no socket at a socket's path is left alone and refused" {
    echo precious >"$verify"
    expect_refusal 78 "$verify is in the way and no socket; move it elsewhere" catlatchd
    [ "$(cat "$verify")" = precious ]
    rm "$verify"
    ln -s /nonexistent "$admin"
    expect_refusal 78 "$admin is in the way and no socket" catlatchd
    [ -L "$admin" ]
    rm "$admin"
    mkdir "$admin"
    expect_refusal 78 "$admin is in the way and no socket" catlatchd
    rmdir "$admin"
    launch catlatchd
}

@test "a folder that is a link, or a file, is refused" {
    mkdir -m 700 "$dir/elsewhere"
    rmdir "$dir/state"
    ln -s "$dir/elsewhere" "$dir/state"
    run timeout 20 catlatchd
    [ "$status" -ne 0 ] && [ "$status" -lt 124 ]
    expect_text "$output" "state_dir $dir/state"
    [ -z "$(ls -A "$dir/elsewhere")" ]
    rm "$dir/state"
    echo precious >"$dir/state"
    run timeout 20 catlatchd
    [ "$status" -ne 0 ] && [ "$status" -lt 124 ]
    expect_text "$output" "state_dir $dir/state"
    [ "$(cat "$dir/state")" = precious ]
}

# --- under its hands -------------------------------------------------------------------------

@test "sockets that are removed under it are listened on anew; connections go on" {
    launch catlatchd
    make_key before
    coproc peer { ask "$admin"; }
    echo PING >&"${peer[1]}"
    read -rt 30 line <&"${peer[0]}"
    rm "$verify" "$admin"
    until_true catlatch status
    until_true redis-cli -e -s "$verify" PING
    [ "$(verdict "$key")" = valid ]
    echo "KEY.GET $id" >&"${peer[1]}"
    read -rt 30 line <&"${peer[0]}"
    expect_text "$line" before
    log_has 'was removed; listening anew'
    pid=$peer_PID
    exec {peer[1]}>&-
    wait "$pid"
}

@test "a folder that was taken away is complained of once, and served again when it is back" {
    launch catlatchd
    rm -r "$dir/admin"
    until_true log_has 'trying again until it works'
    [ "$(redis-cli -s "$verify" PING)" = PONG ]
    mkdir -m 755 "$dir/admin"
    until_true catlatch status
    [ "$(grep -c 'trying again until it works' "$dir/log")" -eq 1 ]
}
