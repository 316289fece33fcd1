load lib

# The terminal that top draws on, another one each time.
terminal=1
screen() {
    tmux -S "$dir/tmux.$terminal" -f /dev/null "$@"
}

in_terminal() { # COLUMNS LINES COMMAND
    TERM=xterm-256color screen new-session -d -x "$1" -y "$2" \
        "env PATH='$PATH' CATLATCH_CONFIG='$CATLATCH_CONFIG' TERM=screen-256color LC_ALL=C.UTF-8 \
        bash -c '$3; echo status=\$?; stty -a | grep -owE -- \"-?(icanon|echo)\"; exec cat >/dev/null'" 3>&-
}

screen_has() {
    screen capture-pane -p | grep -q -- "$1"
}

wait_for() {
    until_true screen_has "$1" || {
        screen capture-pane -p >&2
        return 1
    }
}

setup() {
    make_folder
    start_daemon
    key=$(catlatch create --name first --owner acme --quiet)
    other=$(catlatch create --name second --owner umbrella --quiet)
}

teardown() {
    screen kill-server 2>/dev/null || true
    stop_using
    remove_folder
}

# Uses keys through the daemon until it is stopped.
start_using() {
    while :; do
        for ((i = 0; i < 20; i++)); do
            printf 'KEY.VERIFY %s\nKEY.VERIFY %s\nKEY.VERIFY rubbish\n' "$key" "$key"
        done
        printf 'KEY.VERIFY %s\n' "$other"
        sleep 0.05
    done | redis-cli -s "$dir/run/catlatch.sock" >/dev/null 2>&1 3>&- &
    user_pid=$!
}

stop_using() {
    [ -n "${user_pid:-}" ] || return 0
    kill "$user_pid" 2>/dev/null || true
    wait "$user_pid" 2>/dev/null || true
    user_pid=
}

busy() {
    [ "$(catlatch top --once --json | jq '[.keys[].granted] | length == 2 and .[0] > .[1]')" = true ]
}

@test "--once prints one picture, with rates by result, key, owner and process" {
    start_using
    until_true busy
    run --separate-stderr catlatch top --once
    expect_status 0
    [ -z "$stderr" ]
    expect_text "${lines[0]}" "verifications a second"
    expect_text "${lines[1]}" "attached: 1 processes"
    grep -q '^valid  *[1-9][0-9.]*  *[1-9]' <<<"$output"
    grep -q '^malformed  *[1-9][0-9.]*  *[1-9]' <<<"$output"
    grep -q '^key_[a-z2-7]*  *first  *acme  *[1-9][0-9.]*  *0$' <<<"$output"
    grep -q '^umbrella  *[1-9][0-9.]*  *0$' <<<"$output"
    grep -q "^$daemon_pid  *$(id -u)  *1 " <<<"$output"
    [ "$(wc -L <<<"$output")" -le 80 ]
}

@test "-n counts pictures, and json has a line for each" {
    run --separate-stderr catlatch top -n 2 --json
    expect_status 0
    [ "${#lines[@]}" -eq 2 ]
    for line in "${lines[@]}"; do
        [ "$(jq -c keys <<<"$line")" = '["keys","owners","results","stats","workers"]' ]
    done
    run --separate-stderr catlatch top --count 2
    [ "$(grep -c 'verifications a second' <<<"$output")" -eq 2 ]
}

@test "somebody who looks makes the daemon sweep each second, for a while" {
    rounds() { catlatch status --json | jq .usage_rounds; }
    catlatch top -n 4 >/dev/null
    before=$(rounds)
    catlatch top -n 4 >/dev/null
    [ "$(rounds)" -ge $((before + 3)) ]
    settled() { local was; was=$(rounds); sleep 3; [ "$(rounds)" -eq "$was" ]; }
    until_true settled
}

@test "off a terminal it says what it takes" {
    run --separate-stderr catlatch top
    expect_status 64
    [ "$stderr" = "catlatch: top draws on a terminal; --once prints one picture, -n N so many" ]
    run --separate-stderr catlatch top -n none
    expect_status 65
    run --separate-stderr catlatch top -n 0
    expect_status 65
    stop_daemon
    run --separate-stderr catlatch top --once
    expect_status 69
}

@test "on a terminal it draws, follows its size, and q gives it back" {
    start_using
    in_terminal 80 24 "catlatch top"
    wait_for "^key_.* first "
    wait_for "^PID "
    screen capture-pane -p >"$dir/pane"
    [ "$(grep -c . "$dir/pane")" -le 24 ]
    grep -q 'REFUSED/S *$' "$dir/pane"
    screen resize-window -x 120 -y 40
    wait_for "^OWNER \{85,\}"
    screen resize-window -x 60 -y 14
    wait_for "^RESULT"
    screen send-keys q
    wait_for "status=0"
    wait_for "^icanon"
    wait_for "^echo"
}

@test "a signal gives the terminal back" {
    for signal in TERM INT HUP; do
        in_terminal 80 24 "catlatch top"
        wait_for "^PID "
        pid=$(screen list-panes -F '#{pane_pid}')
        kill "-$signal" "$(pgrep -P "$pid" catlatch)"
        wait_for "status=0"
        wait_for "^icanon"
        screen kill-server
        terminal=$((terminal + 1))
    done
}

@test "a daemon that goes away ends it in one line" {
    in_terminal 80 24 "catlatch top"
    wait_for "^PID "
    stop_daemon
    wait_for "status=69"
    screen_has "catlatch: "
}

@test "a terminal of no known kind is told" {
    # libtinfo keeps what it had begun with.
    in_terminal 80 24 "TERM=nothing ASAN_OPTIONS=detect_leaks=0 catlatch top"
    wait_for "status=69"
    screen_has "none that top can draw on"
}
