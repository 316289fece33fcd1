#!/usr/bin/env bats
# Listening sockets that the service manager made: systemd's own program where it is there, and one
# in small that keeps them over restarts.

load ../cli/lib
load process

setup() {
    open_folder </dev/null
}

teardown() {
    [ -z "${manager_PID:-}" ] || kill "$manager_PID" 2>/dev/null || true
    ! read -r pid 2>/dev/null <"$dir/state/lock" || kill -KILL "$pid" 2>/dev/null || true
    remove_folder
}

# The manager, as a conversation.
manage() { # ARGUMENTS of activate.py
    coproc manager { exec /usr/bin/python3 "$BATS_TEST_DIRNAME/activate.py" "$@" 2>>"$dir/log" 3>&-; }
    expect_word listening
}

expect_word() {
    local line
    read -rt 30 line <&"${manager[0]}"
    [[ $line = $1* ]] || {
        echo "the manager said: $line"
        cat "$dir/log"
        return 1
    }
}

tell() { # start|stop
    echo "$1" >&"${manager[1]}"
    if [ "$1" = start ]; then expect_word started; else expect_word 'ended 0'; fi
}

ready_count() {
    [ "$(grep -c 'ready: ' "$dir/log")" -ge "$1" ]
}

@test "the daemon takes the sockets that it was passed, and leaves them at its end" {
    manage "$verify" "$admin" -- catlatchd
    before=$(stat -c %i "$verify" "$admin")
    tell start
    until_true catlatch status
    make_key ci
    [ "$(ask "$verify" <<<"KEY.VERIFY $key" | grep -c valid)" -eq 1 ]
    [ "$(worker_verdict "$key")" = valid ]
    tell stop
    [ "$(stat -c %i "$verify" "$admin")" = "$before" ]
    run ! log_has 'listening anew'
}

@test "a daemon that begins anew after a restore has the sockets that it was passed" {
    manage "$verify" "$admin" -- catlatchd
    before=$(stat -c %i "$verify" "$admin")
    tell start
    until_true catlatch status
    make_key ci
    catlatch backup "$dir/b"
    for i in 1 2; do
        run -0 catlatch restore "$dir/b" --yes
        [ "$(worker_verdict "$key")" = valid ]
    done
    [ "$(catlatch status --json | jq .epoch)" -eq 3 ]
    [ "$(stat -c %i "$verify" "$admin")" = "$before" ]
    run ! log_has 'listening anew'
    tell stop
    [ "$(stat -c %i "$verify" "$admin")" = "$before" ]
}

@test "who connects while the daemon restarts waits and is answered" {
    manage "$verify" "$admin" -- catlatchd
    catlatch create --name early --json >"$dir/early" 2>&1 3>&- &
    early=$!
    tell start
    wait "$early"
    for round in 1 2 3; do
        tell stop
        catlatch create --name "round $round" --json >"$dir/round" 2>&1 3>&- &
        client=$!
        # The daemon is down and nobody is refused: the client waits.
        kill -0 "$client"
        tell start
        wait "$client"
        [ "$(jq -r .name "$dir/round")" = "round $round" ]
    done
    [ "$(catlatch list --json | jq length)" -eq 4 ]
}

@test "systemd's own activation starts the daemon at the first connection" {
    command -v systemd-socket-activate >/dev/null || skip "systemd-socket-activate is not here (package systemd)"
    systemd-socket-activate -l "$verify" -l "$admin" -E CATLATCH_CONFIG -E PATH catlatchd >>"$dir/log" 2>&1 3>&- &
    daemon_pid=$!
    until_true test -S "$admin"
    run ! log_has 'ready: '
    [ "$(catlatch create --name first --json | jq -r .name)" = first ]
    log_has 'ready: '
    end_daemon
}

@test "one of the two may be passed; the other is made and taken away again" {
    manage "$admin" -- catlatchd
    tell start
    until_true catlatch status
    [ -S "$verify" ]
    tell stop
    [ ! -e "$verify" ]
    [ -S "$admin" ]
}

# A daemon that is passed these refuses to start, with that status and line.
expect_start_refused() { # TEXT ARGUMENTS of activate.py
    local text=$1
    shift
    manage "$@" -- catlatchd
    tell start
    echo wait >&"${manager[1]}"
    expect_word 'ended 78'
    log_has "$text" || {
        cat "$dir/log"
        return 1
    }
    [ ! -e "$dir/state/log.0000000001" ]
}

@test "a socket that the configuration does not name is refused, and both sides are named" {
    expect_start_refused "a socket $dir/elsewhere.sock was passed that the configuration does not name" \
        "$verify" "$dir/elsewhere.sock"
    log_has "it names $verify and $admin"
}

@test "a socket of another kind is refused" {
    expect_start_refused 'descriptor 4 of $LISTEN_FDS is no listening unix stream socket with a path' "$verify" tcp
}

@test "more sockets than there are to be had are refused" {
    expect_start_refused 'passes 9 sockets' "$dir"/{1,2,3,4,5,6,7,8,9}
}

@test "what is meant for another process is left alone" {
    manage -p "$dir/elsewhere.sock" -- catlatchd
    tell start
    until_true catlatch status
    [ -S "$verify" ]
    tell stop
    [ ! -e "$verify" ]
}

@test "a passed socket whose file is taken away is replaced at once, and still at the next start" {
    manage "$verify" "$admin" -- catlatchd
    tell start
    until_true catlatch status
    rm "$admin"
    until_true catlatch status
    log_has "$admin was removed; listening anew"
    tell stop
    [ ! -e "$admin" ]
    tell start
    until_true catlatch status
    log_has "$admin is not the socket that was passed; listening anew"
    [ "$(ask "$verify" <<<'KEY.VERIFY cc_live_no' | grep -c malformed)" -eq 1 ]
}

@test "another daemon's socket in the place of a passed one is not taken away from it" {
    mkdir -m 755 "$dir/away"
    manage "$verify" "$admin" -- catlatchd
    mv "$admin" "$dir/away/"
    mkfifo "$dir/words"
    exec {words}<>"$dir/words"
    /usr/bin/python3 "$BATS_TEST_DIRNAME/activate.py" "$admin" -- true <&"$words" >>"$dir/log" 2>&1 3>&- &
    daemon_pid=$!
    until_true test -S "$admin"
    tell start
    until_true log_has "another process answers on $admin"
}

@test "a socket's mode that keeps people out is mended" {
    manage -m 600 "$verify" "$admin" -- catlatchd
    tell start
    until_true catlatch status
    [ "$(stat -c %a "$verify" "$admin" | sort -u)" = 666 ]
}
