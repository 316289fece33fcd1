#!/usr/bin/env bats
# SUBSCRIBE: who is told of changes, of which, and that none is lost.

load ../cli/lib

setup() {
    make_folder
    start_daemon
    admin=$dir/admin/catlatch.sock
}

teardown() {
    [ -z "${listener:-}" ] || kill "$listener" 2>/dev/null || true
    remove_folder
}

# A subscriber whose messages end up in $dir/$1; further words are its connection's first requests.
listen() { # NAME [REQUEST]...
    local name=$1
    shift
    printf '%s\n' "$@" 'SUBSCRIBE changes' >"$dir/$name.in"
    /usr/bin/python3 "$BATS_TEST_DIRNAME/talk.py" "$admin" stay <"$dir/$name.in" >"$dir/$name" 3>&- &
    listener=$!
    until_true grep -q '^subscribe' "$dir/$name"
}

@test "a consumer that comes and goes misses nothing and is told nothing twice" {
    seq -f 'KEY.CREATE NAME n%g' 400 | redis-cli -s "$admin" >/dev/null 3>&- &
    local creator=$!
    run /usr/bin/python3 "$BATS_TEST_DIRNAME/subscribe.py" "$admin" 400
    expect_status 0
    [[ $output =~ ^[0-9]+\ visits$ ]]
    wait $creator
}

@test "a message has what the log has" {
    listen heard
    make_key ci --owner acme --scope read
    catlatch disable "$id" --comment 'it was "odd" \ strange'
    until_true grep -q disabled "$dir/heard"
    [ "$(grep -c '^message' "$dir/heard")" -eq 2 ]
    diff <(grep '^{' "$dir/heard" | jq -cS .) <(catlatch log --json | jq -cS '.[]')
    ! grep -q "$key" "$dir/heard"
}

@test "who reads slowly is told everything, later" {
    listen slow 'HELLO 3'
    kill -STOP "$listener"
    seq -f "KEY.CREATE NAME n%g COMMENT $(printf 'x%.0s' {1..900})" 3000 >"$dir/requests"
    redis-cli -s "$admin" <"$dir/requests" >/dev/null
    kill -CONT "$listener"
    until_true grep -q '"sequence":"1:3000"' "$dir/slow"
    grep '^{' "$dir/slow" | jq -r .sequence | diff - <(seq -f '1:%g' 3000)
}

@test "a confined key hears of its own owner alone, and of nothing once it is revoked" {
    make_key feed --owner acme --scope catlatch:read --scope catlatch:own
    local feed=$id
    listen heard "AUTH $key"
    make_key other --owner bob
    make_key own --owner acme
    until_true grep -q "$id" "$dir/heard"
    ! grep -q '"owner":"bob"' "$dir/heard"
    catlatch revoke "$feed" --yes
    until_true grep -qx closed "$dir/heard"
    ! grep -q '"change":"revoked"' "$dir/heard"
}

@test "a subscriber is not idle, and does not keep the daemon from stopping" {
    stop_daemon
    printf 'idle_timeout = 1s\n' >>"$CATLATCH_CONFIG"
    start_daemon
    listen heard
    run /usr/bin/python3 "$BATS_TEST_DIRNAME/talk.py" "$admin" stay <<<PING # until it is closed
    expect_text "$output" closed
    make_key later
    until_true grep -q "$id" "$dir/heard"
    stop_daemon
    grep -qx closed "$dir/heard"
    ! grep -q 'did not take their answers' "$dir/log"
}

@test "reading the log takes the right read, and subscribing too" {
    run redis-cli -s "$dir/run/catlatch.sock" SUBSCRIBE changes
    expect_text "$output" 'needs the right read'
    run redis-cli -s "$dir/run/catlatch.sock" LOG
    expect_text "$output" 'needs the right read'
}

@test "in RESP2 a subscriber gets no replies that could be taken for messages" {
    run /usr/bin/python3 "$BATS_TEST_DIRNAME/talk.py" "$admin" <<'END'
SUBSCRIBE nonsense
SUBSCRIBE changes
KEY.LIST
PING
UNSUBSCRIBE nonsense
UNSUBSCRIBE
PING
END
    expect_text "$output" 'ERR there is one channel: changes'
    expect_text "$output" 'ERR in RESP2 a subscriber may send'
    expect_text "$output" $'pong\n\nunsubscribe\nnonsense\n1\nunsubscribe\nchanges\n0\nPONG'
}

@test "what was being read for a subscriber is not told once its rights are others" {
    run /usr/bin/python3 "$BATS_TEST_DIRNAME/late_feed.py" "$admin"
    expect_status 0
}
