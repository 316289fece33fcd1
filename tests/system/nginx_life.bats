#!/usr/bin/env bats
# nginx's workers while other things go on: revokes, a daemon that comes and goes, tables that follow
# each other, reloads, killed workers, no permission. CATLATCH_LONG=1 makes the full counts.

load ../cli/lib
load process
load web
load nginx

setup() {
    need_nginx
    open_web_folder <<'INI'

[service default]
requisite = format
required = table
required = scope
required = limit
INI
    write_nginx <<'CONF'
        location / { catlatch on; }
CONF
}

teardown() {
    [ -z "${dir:-}" ] || {
        touch "$dir/stop"
        close_web_folder
    }
}

@test "a revoked key is refused by every worker once revoke has returned" {
    launch catlatchd
    start_nginx
    local i n
    for ((i = 0; i < $(in_full 200 8); i++)); do
        give_key "key-$i"
        for ((n = 0; n < 4; n++)); do [ "$(fetch_with "$key" /hello)" = 200 ]; done
        catlatch revoke "$id"
        for ((n = 0; n < 8; n++)); do [ "$(fetch_with "$key" /hello)" = 401 ]; done
    done
}

@test "without a daemon keys are unavailable, and good as soon as it is there" {
    start_nginx
    expect_refused 503 verifier_unavailable \
        "$(fetch_with cc_live_0000000000000000000000000000000000000i6yS3 /hello)"
    [ "$(field retry-after)" = 5 ]
    [ -z "$(field www-authenticate)" ]
    jq -e '.detail == "Your API key could not be checked; it was not rejected."' "$dir/answer"
    launch catlatchd
    give_key first
    until_true eval '[ "$(fetch_with "$key" /hello)" = 200 ]'
    # Workers have the table; what becomes of the daemon is nothing to them.
    end_daemon KILL || [ $? -eq 137 ]
    [ "$(fetch_with "$key" /hello)" = 200 ]
    launch catlatchd
    [ "$(fetch_with "$key" /hello)" = 200 ]
    catlatch revoke "$id"
    for _ in 1 2 3 4; do [ "$(fetch_with "$key" /hello)" = 401 ]; done
}

@test "on a full disk workers go on, and a revoke is still seen by all of them" {
    unshare --mount --map-root-user true 2>/dev/null || skip "no mount namespace can be made here"
    mkdir -p "$dir/state"
    launch unshare --mount --map-root-user sh -c \
        "mount -t tmpfs -o size=40m,mode=700 tmpfs '$dir/state' && exec catlatchd"
    start_nginx
    give_key leaked
    local full=/proc/$daemon_pid/root$dir/state/full
    ! head -c 100M /dev/zero >"$full"
    run catlatch create --name more --quiet
    expect_status 74
    expect_text "$output" 'is full; make room'
    [ "$(fetch_with "$key" /hello)" = 200 ]
    catlatch revoke "$id"
    for _ in 1 2 3 4; do [ "$(fetch_with "$key" /hello)" = 401 ]; done
    rm "$full"
    until_true catlatch create --name room --quiet
    give_key more
    [ "$(fetch_with "$key" /hello)" = 200 ]
}

# What nginx does is logged, and not each refusal, of which there are millions in a long run.
log_less() {
    sed -i "s|error.log info|error.log notice|" "$dir/nginx.conf"
}

@test "tables follow each other under load, and no answer is wrong" {
    log_less
    set_daemon_key expected_keys 16
    launch catlatchd
    make_keys 4
    start_nginx
    start_load 2
    local i before
    before=$(catlatch status --json | jq .generation)
    for ((i = 0; i < $(in_full 2000 150); i++)); do
        redis-cli -s "$admin" KEY.CREATE NAME "n-$i" >/dev/null
    done
    end_load
    [ "$(catlatch status --json | jq .generation)" -gt "$before" ]
}

@test "reloads and killed workers under load: no answer is wrong, and none is 5xx" {
    log_less
    launch catlatchd
    make_keys 4
    start_nginx
    start_load 2
    local i worker
    for ((i = 0; i < $(in_full 200 8); i++)); do
        kill -HUP "$nginx_pid"
        until_true eval '[ "$(grep -c ": reconfiguring$" "$dir/error.log")" -eq $((i + 1)) ]'
        [ $((i % 2)) -eq 0 ] || {
            worker=$(pgrep -P "$nginx_pid" | tail -n 1)
            kill -KILL "$worker"
        }
    done
    until_true eval '[ "$(pgrep -P "$nginx_pid" | wc -l)" -eq 2 ]'
    end_load
    ! grep -qE '\[(emerg|alert)\]' <(grep -v 'exited on signal 9' "$dir/error.log")
}

# A sanitizer keeps for a while what was freed.
need_plain_memory() {
    ! built_with asan || skip "what was freed stays with the sanitizer"
}

resident() { # PID...: KiB of memory that is theirs alone
    local pid
    for pid; do cat "/proc/$pid/status"; done | awk '$1 == "RssAnon:" { n += $2 } END { print n }'
}

@test "requests do not make the workers larger, granted or refused" {
    need_plain_memory
    log_less
    launch catlatchd
    start_nginx
    make_keys 20
    local before after workers
    verified() { catlatch status --json | jq '[.results[]] | add // 0'; }
    workers=$(pgrep -P "$nginx_pid")
    start_load 2
    until_true eval '[ "$(verified)" -ge 5000 ]'
    before=$(resident $workers)
    while [ "$(verified)" -lt $((5000 + $(in_full 1000000 10000))) ]; do
        kill -0 "$load_pid"
        sleep 0.1
    done
    after=$(resident $workers)
    end_load
    echo "# the workers: $before KiB before, $after KiB after" >&3
    [ "$workers" = "$(pgrep -P "$nginx_pid")" ]
    [ "$after" -le $((before + 200)) ]
}

@test "reloads do not make the master larger" {
    need_plain_memory
    launch catlatchd
    start_nginx
    local before after
    ended() { awk '/exited with code 0/ { n++ } END { print n + 0 }' "$dir/error.log"; }
    reload() { # COUNT
        local i seen
        for ((i = 0; i < $1; i++)); do
            seen=$(ended)
            kill -HUP "$nginx_pid"
            until_true eval '[ "$(ended)" -eq $((seen + 2)) ]'
            until_true eval '[ "$(pgrep -P "$nginx_pid" | wc -l)" -eq 2 ]'
        done
    }
    reload 5
    before=$(resident "$nginx_pid")
    reload "$(in_full 500 10)"
    after=$(resident "$nginx_pid")
    echo "# the master: $before KiB before, $after KiB after" >&3
    [ "$after" -le $((before + 200)) ]
}

@test "a worker that may not read the table answers 503 and says why, and serves when it may" {
    need_root
    nginx_user="daemon daemon" write_nginx <<'CONF'
        location / { catlatch on; }
CONF
    set_daemon_key group daemon
    launch catlatchd
    chmod 700 "$dir/run"
    give_key first
    start_nginx
    expect_refused 503 verifier_unavailable "$(fetch_with "$key" /hello)"
    until_true grep -q 'catlatch: unavailable' "$dir/error.log"
    chmod 755 "$dir/run"
    until_true eval '[ "$(fetch_with "$key" /hello)" = 200 ]'
    # Nor may it have been able to read the configuration.
    stop_nginx
    chmod 600 "$CATLATCH_CONFIG"
    start_nginx
    expect_refused 503 verifier_unavailable "$(fetch_with "$key" /hello)"
    grep -q "catlatch: .*$CATLATCH_CONFIG.*answered 503" "$dir/error.log"
    chmod 644 "$CATLATCH_CONFIG"
    until_true eval '[ "$(fetch_with "$key" /hello)" = 200 ]'
}
