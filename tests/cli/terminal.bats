load lib

# A terminal of its own for each command line.
screen() {
    tmux -S "$dir/tmux.$terminal" -f /dev/null "$@"
}

close_terminal() {
    screen kill-server 2>/dev/null || true
    terminal=$((terminal + 1))
}

# Runs a command line in the terminal; its exit status follows as "status=N".
in_terminal() {
    TERM=xterm-256color screen new-session -d -x "${columns:-150}" -y 40 \
        "env -u NO_COLOR PATH='$PATH' CATLATCH_CONFIG='$CATLATCH_CONFIG' TERM=screen-256color \
        bash -c '$1; echo status=\$?; exec cat >/dev/null'" 3>&-
}

screen_has() {
    screen capture-pane -p | grep -qF -- "$1"
}

wait_for() {
    until_true screen_has "$1" || {
        screen capture-pane -p >&2
        return 1
    }
}

setup() {
    terminal=1
    make_folder
    start_daemon
}

teardown() {
    close_terminal
    remove_folder
}

@test "revoke shows what it will hit and asks; no leaves everything as it was" {
    make_key ci --owner acme
    in_terminal "catlatch revoke $id"
    wait_for "revoke, disable or no:"
    screen_has "STATE"
    screen_has "$id"
    screen_has "Revoke 1 key for ever?"
    screen send-keys no Enter
    wait_for "status=1"
    screen_has "nothing was changed"
    [ "$(verdict "$key")" = valid ]
}

@test "revoke in full is what it takes: y is asked again, an empty line means no" {
    make_key ci
    in_terminal "catlatch revoke $id"
    wait_for "revoke, disable or no:"
    screen send-keys y Enter
    until_true bash -c "tmux -S $dir/tmux.$terminal capture-pane -p | grep -c 'disable or no:' | grep -qx 2"
    screen send-keys Enter
    wait_for "status=1"
    [ "$(verdict "$key")" = valid ]
}

@test "answered revoke, the keys are revoked with a receipt" {
    make_key one --owner acme
    make_key two --owner acme
    in_terminal "catlatch revoke --owner acme --reason leaked"
    wait_for "Revoke 2 keys for ever?"
    screen send-keys revoke Enter
    wait_for "status=0"
    screen_has "2 keys refused everywhere on"
    [ "$(verdict "$key")" = revoked ]
}

@test "answered disable, the keys are disabled and can come back" {
    make_key ci
    in_terminal "catlatch revoke $id --reason leaked --comment why"
    wait_for "revoke, disable or no:"
    screen send-keys disable Enter
    wait_for "status=0"
    [ "$(verdict "$key")" = disabled ]
    catlatch enable "$id"
    [ "$(verdict "$key")" = valid ]
}

@test "--yes doesn't ask" {
    make_key ci
    in_terminal "catlatch revoke $id --yes"
    wait_for "status=0"
    [ "$(verdict "$key")" = revoked ]
}

@test "keys typed at the terminal are not shown, and the question comes after them" {
    make_key ci
    in_terminal "catlatch revoke --key-stdin"
    wait_for "not shown"
    screen send-keys -l "$key"
    screen send-keys Enter C-d
    wait_for "Revoke 1 key for ever?"
    screen send-keys revoke Enter
    wait_for "status=0"
    run screen_has "$key"
    expect_status 1
    [ "$(verdict "$key")" = revoked ]
}

@test "several keys to disable are asked about, one is not" {
    make_key one --owner acme
    in_terminal "catlatch disable $id"
    wait_for "status=0"
    close_terminal
    make_key two --owner acme
    in_terminal "catlatch disable --owner acme"
    wait_for "Disable 2 keys?"
    screen send-keys no Enter
    wait_for "status=1"
    [ "$(verdict "$key")" = valid ]
}

@test "states are coloured on a terminal, not elsewhere and not with NO_COLOR" {
    make_key ci
    columns=80 in_terminal "catlatch list"
    wait_for "status=0"
    screen capture-pane -ep | grep -q $'\e\[32mactive'
    close_terminal
    in_terminal "NO_COLOR=1 catlatch list"
    wait_for "status=0"
    screen capture-pane -ep | grep -q active
    run bash -c "tmux -S '$dir/tmux.$terminal' capture-pane -ep | grep -c \$'\\e'"
    [ "$output" = 0 ]
    run env -u NO_COLOR catlatch list
    [[ $output != *$'\e'* ]]
}

@test "a list fits a terminal of 80 columns: no line is broken but within a name" {
    make_key "$(printf 'a long name %.0s' 1 2 3)" --owner a-customer-of-ours --expires 2031-05-06T07:08:09Z
    columns=80 in_terminal "catlatch list"
    wait_for "status=0"
    screen capture-pane -p >"$dir/seen"
    grep -qE "^ID +NAME +OWNER +ENV +STATE +LAST USED +EXPIRES *$" "$dir/seen"
    grep -qE "^$id .* live +active +never +2031-05-06 *$" "$dir/seen"
    grep -q "a long name" "$dir/seen"
}

@test "what 80 columns have no room for, wider terminals show" {
    make_key alpha --owner acme --expires 2031-05-06T07:08:09Z
    columns=100 in_terminal "catlatch list"
    wait_for "status=0"
    screen capture-pane -p >"$dir/seen"
    grep -qE "^ID +NAME +PREFIX +OWNER +ENV +STATE +LAST USED +EXPIRES *$" "$dir/seen"
    grep -qE "^$id .* ${key:0:15} .* never +2031-05-06 *$" "$dir/seen"
    close_terminal
    columns=120 in_terminal "catlatch list"
    wait_for "status=0"
    screen capture-pane -p >"$dir/seen"
    grep -qE "^ID +NAME +PREFIX +OWNER +ENV +STATE +CREATED +LAST USED +EXPIRES *$" "$dir/seen"
    grep -qE "^$id .* never +2031-05-06 07:08 *$" "$dir/seen"
}

@test "a receipt fits 80 columns and says when and from where each key was last accepted" {
    make_key alpha --owner acme
    use_key "$key" 203.0.113.9
    local first=$id
    make_key beta --owner acme
    columns=80 in_terminal "catlatch disable --owner acme --yes"
    wait_for "status=0"
    screen capture-pane -p >"$dir/seen"
    grep -qE "^ID +NAME +OWNER +STATE +LAST USED +FROM *$" "$dir/seen"
    grep -qE "^$first +alpha +acme +disabled +20[0-9]{2}-[0-9]{2}-[0-9]{2} +203\.0\.113\.9 *$" "$dir/seen"
    grep -qE "^$id +beta +acme +disabled +never +- *$" "$dir/seen"
    grep -qE "^last accepted at 20[-0-9]+T[0-9:]+Z from 203\.0\.113\.9: $first *$" "$dir/seen"
    close_terminal
    use_key "$key" 2001:db8:1234:5678:9abc:def0:1234:5678
    catlatch enable --owner acme --yes
    use_key "$key" 2001:db8:1234:5678:9abc:def0:1234:5678
    columns=80 in_terminal "catlatch disable --owner acme --yes"
    wait_for "status=0"
    screen_has "2001:db8:1234:5678:9abc:"
    screen_has "FROM"
    screen capture-pane -p | grep -qE "^$first .*203\.0\.113\.9 *$"
}
