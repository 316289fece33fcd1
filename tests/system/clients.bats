#!/usr/bin/env bats
# Redis's own clients and libraries on both sockets: what they send by themselves is answered, and
# what they send for us works.

load ../cli/lib

setup() {
    make_folder
    start_daemon
    verify=$dir/run/catlatch.sock
    admin=$dir/admin/catlatch.sock
    make_key 'for clients' --owner alice --scope orders:read
}

teardown() {
    remove_folder
}

# Words on standard input, one request a line, as a person types them.
ask() { # SOCKET < lines
    redis-cli -e -s "$1"
}

@test "redis-cli verifies a key that it reads from stdin, in RESP2 and RESP3" {
    run ask "$verify" <<<"KEY.VERIFY $key SCOPE orders:read"
    expect_status 0
    expect_text "$output" $'result\nvalid'
    expect_text "$output" "$id"
    run --separate-stderr redis-cli -s "$verify" --json <<<"KEY.VERIFY $key"
    expect_status 0
    [ "$(jq -r .result <<<"$output")" = valid ]
    [ "$(jq -r .owner <<<"$output")" = alice ]
    [ "$(jq -c .scopes <<<"$output")" = '["orders:read"]' ]
}

@test "redis-cli creates, lists, revokes on the admin socket" {
    run redis-cli -s "$admin" --json KEY.CREATE NAME 'by hand' OWNER bob SCOPE a SCOPE b
    expect_status 0
    bobs=$(jq -r .id <<<"$output")
    run redis-cli -s "$admin" --json KEY.LIST OWNER bob
    [ "$(jq -r '.keys[0].id' <<<"$output")" = "$bobs" ]
    run redis-cli -s "$admin" --json KEY.REVOKE "$bobs" REASON leaked
    [ "$(jq -r '.keys[0].state' <<<"$output")" = revoked ]
    [ "$(jq -r .count <<<"$output")" = 1 ]
    [ "$(state_of "$bobs")" = revoked ]
}

@test "a revoke pipelined in front of a verify is seen by it" {
    printf 'KEY.VERIFY %s\nKEY.REVOKE %s\nKEY.VERIFY %s\n' "$key" "$id" "$key" >"$dir/requests"
    run ask "$admin" <"$dir/requests"
    [ "$(grep -cx valid <<<"$output")" -eq 1 ]
    [ "$(tail -n +2 <<<"$output" | grep -A1 -x result | grep -cx revoked)" -eq 1 ]
}

@test "a list by expiry misses no key when those it showed are given more time meanwhile" {
    for n in 1 2 3 4 5 6; do
        redis-cli -s "$admin" KEY.CREATE NAME "soon $n" EXPIRES "${n}h" >"$dir/created"
    done
    seen= cursor=
    while :; do
        page=$(redis-cli -s "$admin" --json KEY.LIST EXPIRING_WITHIN 1d LIMIT 2 ${cursor:+CURSOR "$cursor"})
        seen+=" $(jq -r '.keys[].name' <<<"$page" | tr '\n' ' ')"
        for id in $(jq -r '.keys[].id' <<<"$page"); do
            run redis-cli -e -s "$admin" KEY.UPDATE "$id" SET expires 2d
            expect_status 0
        done
        cursor=$(jq -r '.cursor // empty' <<<"$page")
        [ -n "$cursor" ] || break
    done
    for n in 1 2 3 4 5 6; do expect_text "$seen" "soon $n"; done
    for cursor in key_aaaaaaaaaaaab key_aaaaaaaaaaaab@ key_aaaaaaaaaaaab@1x key_aaaaaaaaaaaab@-1 \
        key_aaaaaaaaaaaab@99999999999999999999 @1 @; do
        run redis-cli -e -s "$admin" KEY.LIST EXPIRING_WITHIN 1d CURSOR "$cursor"
        expect_text "$output" "INVALID"
    done
}

@test "redis-cli --pipe loads keys in bulk" {
    for n in $(seq 500); do
        printf '*3\r\n$10\r\nKEY.CREATE\r\n$4\r\nNAME\r\n$%d\r\nbulk %d\r\n' $((5 + ${#n})) "$n"
    done >"$dir/bulk"
    run redis-cli -s "$admin" --pipe <"$dir/bulk"
    expect_status 0
    expect_text "$output" 'errors: 0, replies: 500'
    [ "$(catlatch list --json | jq length)" -eq 501 ]
}

@test "redis-cli, interactive in a terminal, shows our own help" {
    export NO_COLOR=1
    tmux -S "$dir/tmux" -f /dev/null new-session -d -x 120 -y 30 "redis-cli -s $verify"
    screen_has() { tmux -S "$dir/tmux" capture-pane -p | grep -qiF -- "$1"; }
    until_true screen_has 'catlatch.sock>'
    tmux -S "$dir/tmux" send-keys 'help KEY.VERIFY' Enter
    until_true screen_has 'summary:'
    screen_has 'KEY.VERIFY'
    tmux -S "$dir/tmux" kill-server
}

@test "redis-cli --stat reads INFO, and CONFIG GET answers pairs" {
    run timeout 3 stdbuf -oL redis-cli -s "$verify" --stat -i 0.1
    [ "$status" -eq 124 ] # it goes on until it is ended
    expect_text "$output" clients
    run redis-cli -s "$verify" CONFIG GET save
    expect_status 0
    [ "$(head -n 1 <<<"$output")" = save ]
}

@test "redis-benchmark runs KEY.VERIFY, plain and pipelined" {
    printf '%s' "$key" >"$dir/key"
    run redis-benchmark -s "$verify" -q -n 2000 -x KEY.VERIFY <"$dir/key"
    expect_status 0
    expect_text "$output" 'requests per second'
    run redis-benchmark -s "$verify" -q -n 2000 -P 16 -x KEY.VERIFY <"$dir/key"
    expect_status 0
    expect_text "$output" 'requests per second'
    [ "$(catlatch status --json | jq .verified)" -ge 4000 ]
}

@test "python3-redis: pool, pipeline, AUTH, errors" {
    make_key 'the admin' --scope catlatch:write
    printf '%s\n' "$key" | /usr/bin/python3 "$BATS_TEST_DIRNAME/redis_py.py" "$verify" "$admin" >&2
}

@test "no data command of Redis is known, and an unknown one closes nothing" {
    run ask "$verify" <<<$'GET a\nSET a b\nPING'
    expect_text "$output" 'ERR unknown command'
    expect_text "$output" PONG
}

@test "the verify socket grants nobody more than KEY.VERIFY" {
    for words in 'KEY.LIST' "KEY.REVOKE $id" 'KEY.CREATE NAME x' STATS RELOAD 'OWNER.LIST'; do
        run ask "$verify" <<<"$words"
        expect_text "$output" NOPERM
    done
    [ "$(state_of "$id")" = active ]
}

@test "AUTH takes on the rights of a key, and loses them when that key is revoked" {
    make_key 'support' --scope catlatch:revoke
    support=$key support_id=$id
    make_key 'victim'
    printf 'AUTH %s\nKEY.CREATE NAME no\nKEY.DISABLE %s\nKEY.LIST LIMIT 1\n' "$support" "$id" >"$dir/requests"
    run ask "$admin" <"$dir/requests"
    expect_text "$output" OK
    expect_text "$output" NOPERM
    [ "$(state_of "$id")" = disabled ]

    coproc client { redis-cli -s "$admin" 2>&1; }
    printf 'AUTH %s\n' "$support" >&"${client[1]}"
    read -rt 10 line <&"${client[0]}"
    [ "$line" = OK ]
    catlatch revoke "$support_id"
    printf 'KEY.GET %s\n' "$id" >&"${client[1]}"
    read -rt 10 line <&"${client[0]}"
    expect_text "$line" NOPERM
    exec {client[1]}>&-
    wait "$client_PID" || true
}

@test "AUTH on the verify socket verifies by hand" {
    run redis-cli -s "$verify" <<<"AUTH $key"
    expect_text "$output" OK
    catlatch revoke "$id"
    run redis-cli -s "$verify" <<<"AUTH $key"
    expect_text "$output" 'WRONGPASS'
    expect_text "$output" 'revoked'
}

@test "a key confined to its owner sees and changes that owner's keys alone" {
    make_key 'alices own' --owner alice --scope catlatch:write --scope catlatch:own
    own=$key
    make_key 'bobs' --owner bob
    printf 'AUTH %s\nKEY.GET %s\nKEY.REVOKE %s\nKEY.CREATE NAME mine\nKEY.CREATE NAME his OWNER bob\nOWNER.LIST\n' \
        "$own" "$id" "$id" >"$dir/requests"
    run ask "$admin" <"$dir/requests"
    [ "$(grep -c NOTFOUND <<<"$output")" -eq 2 ]
    [ "$(grep -c NOPERM <<<"$output")" -eq 1 ]
    [ "$(state_of "$id")" = active ]
    [ "$(catlatch list --owner alice --json | jq length)" -eq 3 ]
    ! grep -qx bob <<<"$output"
}

@test "a key confined to its owner finds nothing of others by any condition, and stops nobody" {
    make_key 'alices own' --owner alice --scope catlatch:write --scope catlatch:own
    own=$key
    make_key 'bobs' --owner bob
    printf '%s\n' "AUTH $own" "KEY.LIST KEY $key" "KEY.LIST PREFIX ${key:0:15}" 'KEY.LIST NAME bobs' \
        'KEY.LIST OWNER bob' "KEY.LIST" 'OWNER.GET bob' 'OWNER.SUSPEND bob' 'OWNER.RESUME bob' \
        "KEY.DISABLE $id" "KEY.UPDATE $id SET name mine" "KEY.ROTATE $id" >"$dir/requests"
    run ask "$admin" <"$dir/requests"
    [[ $output != *bobs* && $output != *"${key:0:15}"* ]]
    [ "$(grep -c NOTFOUND <<<"$output")" -eq 6 ]
    [ "$(state_of "$id")" = active ]
    [ "$(catlatch list --owner bob --json | jq length)" -eq 1 ]
    [ "$(verdict "$key")" = valid ]
}
