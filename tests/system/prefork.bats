#!/usr/bin/env bats
# The pre-forking server of plugin/example, built as anybody would and asked while keys are revoked
# and processes are killed.

load ../cli/lib
load process

setup() {
    ! nm -D "$CATLATCH_BUILD/libcatlatch.so" | grep -qE '__(asan|tsan|ubsan)_' ||
        skip "a program that is not sanitized cannot load a sanitized library"
    command -v curl >/dev/null || skip "curl is not here (make deps)"
    open_folder </dev/null
    build_example
    prefork_pid=
}

teardown() {
    [ -z "${prefork_pid:-}" ] || kill -KILL "$prefork_pid" 2>/dev/null || true
    [ -z "${dir:-}" ] || remove_folder
}

# As in plugin/example/README.md, with this build in the place of an installed one.
build_example() {
    local library
    library=$(realpath "$CATLATCH_BUILD")
    cp -R "$BATS_TEST_DIRNAME/../../plugin/example" "$dir/example"
    sed -e "s|^libdir=.*|libdir=$library|" \
        -e "s|^includedir=.*|includedir=$(realpath "$BATS_TEST_DIRNAME/../../src/include")|" \
        "$library/catlatch.pc" >"$dir/catlatch.pc"
    PKG_CONFIG_PATH=$dir make -s -C "$dir/example" prefork CFLAGS='-O1 -g -Wall -Wextra -Werror' 3>&-
}

start_prefork() {
    "$dir/example/prefork" "$CATLATCH_CONFIG" "$dir/web.sock" 4 2>>"$dir/said" 3>&- &
    prefork_pid=$!
    until_true four_workers
}

four_workers() {
    [ -S "$dir/web.sock" ] && [ "$(pgrep -P "$prefork_pid" | wc -l)" -eq 4 ]
}

fetch_status() { # [curl's options]
    curl -sS --max-time 20 --unix-socket "$dir/web.sock" -o "$dir/answer" -D "$dir/head" \
        -w '%{http_code}' "$@" http://x/
}

all_workers_say() { # STATUS, of $key
    timeout 60 /usr/bin/python3 "$BATS_TEST_DIRNAME/python_workers.py" "$dir/web.sock" "$1" 4 <<<"$key"
}

# SIGTERM, and nothing of it is left.
stop_prefork() {
    local workers worker
    workers=$(pgrep -P "$prefork_pid")
    kill "$prefork_pid"
    wait "$prefork_pid"
    for worker in $workers; do [ ! -e "/proc/$worker" ]; done
    prefork_pid=
    [ ! -e "$dir/web.sock" ]
    ! grep -F "$key" "$dir/said"
}

@test "a revoked key is refused by every worker once revoke has returned; a killed one is replaced" {
    launch catlatchd
    start_prefork
    local i worker
    for i in 1 2 3; do
        make_key "key-$i" --owner acme
        all_workers_say 200
        catlatch revoke "$id"
        all_workers_say 401
        worker=$(pgrep -P "$prefork_pid" | tail -n 1)
        kill -KILL "$worker"
        until_true eval '[ ! -e "/proc/$worker" ]' && until_true four_workers
    done
    grep -qx "revoked $id" "$dir/said"
    stop_prefork
}

@test "requests are answered as they should be, with and without a daemon" {
    start_prefork
    key=cc_live_0000000000000000000000000000000000000i6yS3
    all_workers_say 503
    launch catlatchd
    make_key first --owner acme
    until_true all_workers_say 200
    [ "$(fetch_status -H @- <<<"authorization:bearer $key")" = 200 ]
    [ "$(cat "$dir/answer")" = acme ]
    [ "$(fetch_status)" = 401 ]
    grep -q 'WWW-Authenticate: Bearer realm="api"' "$dir/head"
    [ "$(fetch_status -H @- <<<"Authorization: Basic $key")" = 401 ]
    [ "$(fetch_status -H @- <<<"Authorization: Bearer $key"$'\n'"Authorization: Bearer $key")" = 400 ]
    [ "$(fetch_status --data-binary $'x\r\nAuthorization: Bearer x\r\n' -H @- <<<"Authorization: Bearer $key")" = 200 ]
    # The daemon is nothing to who has the table.
    end_daemon KILL || [ $? -eq 137 ]
    all_workers_say 200
    stop_prefork
}

@test "a mistake in the configuration is told before anybody is served, and workers go with their parent" {
    run "$dir/example/prefork" /nonexistent "$dir/web.sock" 3>&-
    expect_status 78
    expect_text "$output" 'prefork: /nonexistent: No such file or directory'
    [ ! -e "$dir/web.sock" ]
    key=none
    start_prefork
    workers=$(pgrep -P "$prefork_pid")
    kill -KILL "$prefork_pid"
    # Whoever has them now may be slow to reap them.
    for worker in $workers; do until_true has_ended "$worker"; done
    prefork_pid=
}
