#!/usr/bin/env bats
# Python's workers while other things go on: revokes, a daemon that comes and goes, killed workers.
# CATLATCH_LONG=1 makes the full counts.

load ../cli/lib
load process
load python

setup() {
    need_python /usr/bin/gunicorn curl
    open_python_folder
    gunicorn_pid= load_pid=
}

teardown() {
    [ -n "${dir:-}" ] || return 0
    touch "$dir/stop"
    [ -z "$load_pid" ] || wait "$load_pid" || true
    [ -z "$gunicorn_pid" ] || kill "$gunicorn_pid" || true
    remove_folder
}

@test "without a daemon keys are unavailable, and good as long as the table is fresh" {
    mkfifo "$dir/in" "$dir/out"
    python_does python_latch.py an_outage_is_no_denial <"$dir/in" >"$dir/out" &
    python_pid=$!
    exec 8>"$dir/in" 9<"$dir/out"
    read -r -t 30 said <&9 && [ "$said" = ready ]
    launch catlatchd
    echo there >&8
    read -r -t 30 said <&9 && [ "$said" = served ]
    end_daemon KILL || [ $? -eq 137 ]
    echo gone >&8
    wait "$python_pid"
}

# The options come before the application.
start_gunicorn() { # OPTION...
    : >"$dir/said"
    (cd "$dir" && exec /usr/bin/gunicorn --workers 4 --bind "unix:$dir/web.sock" --log-level debug \
        "$@") >>"$dir/said" 2>&1 3>&- &
    gunicorn_pid=$!
    until_true gunicorn_settled && kill -0 "$gunicorn_pid" || {
        tail -n 20 "$dir/said" | cut -c1-180
        return 1
    }
}

gunicorn_settled() {
    [ "$(pgrep -P "$gunicorn_pid" | wc -l)" -eq 4 ] && fetch_status || ! kill -0 "$gunicorn_pid"
}

fetch_status() { # [curl's options]
    curl -sS --max-time 20 --unix-socket "$dir/web.sock" -o "$dir/answer" -w '%{http_code}' "$@" http://x/
}

# Ends it, and nothing of it is left.
stop_gunicorn() {
    local workers worker
    workers=$(pgrep -P "$gunicorn_pid")
    kill "$gunicorn_pid"
    wait "$gunicorn_pid"
    gunicorn_pid=
    for worker in $workers; do [ ! -e "/proc/$worker" ]; done
    ! grep -F "$key" "$dir/said"
}

all_workers_say() { # STATUS, of $key
    timeout 60 /usr/bin/python3 "$BATS_TEST_DIRNAME/python_workers.py" "$dir/web.sock" "$1" 4 <<<"$key"
}

# Asks all the time, with a good key and a revoked one; end_load says whether all was well.
start_load() { # PROCESSES
    make_key good
    echo "$key" >"$dir/good"
    make_key bad
    echo "$key" >"$dir/bad"
    catlatch revoke "$id"
    rm -f "$dir/stop"
    python3 "$BATS_TEST_DIRNAME/web_load.py" "$dir/web.sock" / "$dir/good" "$dir/bad" "$dir/stop" "$1" \
        >"$dir/load" 2>&1 3>&- &
    load_pid=$!
}

end_load() {
    local status=0
    touch "$dir/stop"
    wait "$load_pid" || status=$?
    load_pid=
    sed 's/^/# /' "$dir/load" >&3
    return "$status"
}

# Under load.
expect_revokes_to_be_seen() {
    local i
    start_load 2
    for ((i = 0; i < $(in_full 100 3); i++)); do
        make_key "key-$i"
        all_workers_say 200
        catlatch revoke "$id"
        all_workers_say 401
    done
    end_load
}

twice() { # what two Authorization lines are answered
    printf 'GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer one\r\nauthorization: Bearer two\r\nConnection: close\r\n\r\n' |
        python3 "$BATS_TEST_DIRNAME/raw_http.py" "$dir/web.sock"
}

@test "gunicorn: a revoked key is refused by every worker once revoke has returned" {
    launch catlatchd
    start_gunicorn python_app:app
    expect_revokes_to_be_seen
    [[ $(twice) == 'HTTP/1.1 400 '*'"code":"invalid_request"'* ]]
    stop_gunicorn
    # Opened once, before the fork; and by several threads.
    start_gunicorn --preload -k gthread --threads 3 python_app:app
    expect_revokes_to_be_seen
    stop_gunicorn
}

@test "gunicorn: workers and the daemon are killed under load: no answer is wrong, and none is 5xx" {
    launch catlatchd
    start_gunicorn --preload python_app:app
    start_load 2
    local i worker
    for ((i = 0; i < $(in_full 40 3); i++)); do
        worker=$(pgrep -P "$gunicorn_pid" | head -n 1)
        kill -KILL "$worker"
        until_true eval '! kill -0 "$worker" && [ "$(pgrep -P "$gunicorn_pid" | wc -l)" -eq 4 ]'
        end_daemon KILL || [ $? -eq 137 ]
        all_workers_say 401
        launch catlatchd
    done
    end_load
    make_key last
    all_workers_say 200
    catlatch revoke "$id"
    all_workers_say 401
    stop_gunicorn
}

@test "gunicorn with uvicorn's workers: a revoked key is refused by every one" {
    [ -e /usr/lib/python3/dist-packages/uvicorn/workers.py ] || skip "uvicorn is not here (make deps)"
    launch catlatchd
    start_gunicorn -k uvicorn.workers.UvicornWorker python_app:asgi
    expect_revokes_to_be_seen
    [[ $(twice) == 'HTTP/1.1 400 '*'"code":"invalid_request"'* ]]
    make_key confined --allow 192.0.2.0/24
    all_workers_say 403
    stop_gunicorn
}
