#!/usr/bin/env bats
# What PROTOCOL.md's limits and values promise, against the daemon: each is tried at its bound and
# beyond. Whatever a peer does, the others are served and the daemon lives.

load ../cli/lib
load process

setup() {
    open_folder </dev/null
}

teardown() {
    remove_folder
}

# Runs a case of limits.py, which gets standard input. The same daemon serves others after it.
try() { # CASE
    launch catlatchd
    play "$1"
    make_key after
    [ "$(verdict "$key")" = valid ]
    [ "$(worker_verdict "$key")" = valid ]
    end_daemon
}

play() { # CASE
    /usr/bin/python3 -B "$BATS_TEST_DIRNAME/limits.py" "$verify" "$admin" "$1" >&2
}

@test "a request has 16384 arguments at most, of 65536 bytes each, and 1048576 in all" {
    launch catlatchd
    play arguments
    play argument
    play request
    make_key after
    [ "$(verdict "$key")" = valid ]
}

@test "an inline line has 65536 bytes at most" {
    try line
}

@test "lengths that are none, negative or too long are refused with a reason, and the connection ends" {
    try lengths
}

@test "other protocols and noise are answered or closed" {
    try garbage
}

@test "a NUL byte ends nothing early: not a key, a name, an id or a command" {
    try nul_bytes
}

@test "half a request leaves nothing behind, and what was whole before it is answered" {
    try halves
}

@test "a peer that sends byte by byte is served, and holds up nobody" {
    try byte_by_byte
}

@test "from a peer that takes no replies the daemon reads no more, and holds little for it" {
    try unread_replies
}

@test "pages that nobody takes are not gathered up in memory" {
    try unread_lists
}

@test "three thousand changes at once are all answered, in order" {
    try pipeline
}

@test "max_clients is kept, says so, and leaves room for those who can revoke" {
    set_daemon_key max_clients 8
    try clients
}

@test "where fewer files may be open than max_clients wants, those who can revoke have room all the same" {
    need_root
    copy_programs
    chown daemon "$dir"/{state,run,admin}
    launch prlimit --nofile=136:136 as_user daemon catlatchd # of which 128 are not for clients
    log_has 'only 136 open files are allowed, and max_clients = 1024 wants 1152'
    play clients
    set_daemon_key max_clients 2000
    catlatch reload
    log_has 'max_clients = 2000 wants 2128: raise the limit (LimitNOFILE=); until then 8 clients are taken'
    play clients
    set_daemon_key max_clients 8
    catlatch reload
    play clients
}

@test "idle_timeout ends who says nothing or half a request, and nobody else" {
    set_daemon_key idle_timeout 2s
    try idle
}

@test "names, owners, comments, scopes, metadata and times: at their bounds good, beyond them refused" {
    try values
}

@test "a key pasted into any other place is neither stored nor repeated" {
    launch catlatchd
    make_key pasted
    play pasted_keys <<<"$key"
    [ "$(verdict "$key")" = valid ]
    end_daemon
    run grep -rlaF "$key" "$dir/state" "$dir/run" "$dir/log"
    expect_status 1
}
