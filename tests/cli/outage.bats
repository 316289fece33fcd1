load lib

setup() {
    make_folder
}

teardown() {
    remove_folder
}

@test "without a daemon every command that needs one is status 69 with one line" {
    for command in list "show key_aaaaaaaaaaaab" "create --name x" "revoke key_aaaaaaaaaaaab" \
        "rotate key_aaaaaaaaaaaab" "owner list" status reload verify; do
        run --separate-stderr catlatch $command </dev/null
        expect_status 69
        [ -z "$output" ]
        [ "$(wc -l <<<"$stderr")" -eq 1 ]
        expect_text "$stderr" "there is no socket $dir/admin/catlatch.sock"
    done
}

@test "the socket of a killed daemon is told from no socket" {
    start_daemon
    stop_daemon KILL
    [ -S "$dir/admin/catlatch.sock" ]
    run --separate-stderr catlatch status
    expect_status 69
    expect_text "$stderr" "nobody listens on $dir/admin/catlatch.sock"
}

@test "whoever has no rights is told so with status 77" {
    [ "$(id -u)" -eq 0 ] || skip "needs root, to become somebody else"
    start_daemon
    chmod 755 "$dir"
    run --separate-stderr setpriv --reuid 65533 --regid 65533 --clear-groups catlatch list
    expect_status 77
    [ "$(wc -l <<<"$stderr")" -eq 1 ]
    run --separate-stderr setpriv --reuid 65534 --regid 65534 --clear-groups catlatch list
    expect_status 77
    chmod 700 "$dir/admin"
    run --separate-stderr setpriv --reuid 65533 --regid 65533 --clear-groups catlatch list
    expect_status 77
    expect_text "$stderr" "no permission to reach $dir/admin/catlatch.sock"
}

@test "a configuration that is refused is status 78 and changes nothing" {
    echo 'nonsense = 1' >>"$dir/etc/catlatch.ini"
    run --separate-stderr catlatch list
    expect_status 78
    expect_text "$stderr" "catlatch.ini:6:"
}

@test "a bad file is refused by reload, and the daemon goes on" {
    start_daemon
    run --separate-stderr catlatch reload
    expect_status 0
    cp "$dir/etc/catlatch.ini" "$dir/good.ini"
    echo 'nonsense = 1' >>"$dir/etc/catlatch.ini"
    run --separate-stderr catlatch -c "$dir/good.ini" reload
    expect_status 78
    expect_text "$stderr" "catlatch.ini:6:"
    catlatch -c "$dir/good.ini" create --name still-works
}

@test "status shows the daemon, as text and as JSON" {
    start_daemon
    make=$(catlatch create --quiet --name one)
    run --separate-stderr catlatch status
    expect_status 0
    expect_text "$output" "pid $daemon_pid"
    [ "${#lines[@]}" -le 20 ]
    catlatch status --json | jq -e --argjson pid "$daemon_pid" '.pid == $pid and .keys == 1
        and .growing == false and (.table_bytes | type) == "number"'
}

@test "an answer that is nonsense is an outage, not a success" {
    start_fake_daemon <<'RULES'
STATS "+OK"
KEY.LIST ["cursor"]
RELOAD {"a": "b"}
KEY.GET 7
RULES
    for command in status list reload "show key_aaaaaaaaaaaab"; do
        run --separate-stderr catlatch $command
        expect_status 69
        expect_text "$stderr" "not understood"
    done
}

@test "each word of an error reply has its exit status" {
    start_fake_daemon <<'RULES'
STATS "-ERR unknown command"
STATS "-INVALID no"
STATS "-NOTFOUND no"
STATS "-CONFLICT no"
STATS "-NOPERM no"
STATS "-NOAUTH no"
STATS "-WRONGPASS no"
STATS "-LIMIT no"
STATS "-FULL no"
STATS "-UNAVAILABLE no"
STATS "-CONFIG no"
STATS "-ERR max number of clients reached"
STATS "-NEWWORD of a later version"
STATS "+OK"
RULES
    for expected in 64 65 1 1 77 77 77 65 74 69 78 69 69; do
        run --separate-stderr catlatch status
        expect_status "$expected"
        [ "$(wc -l <<<"$stderr")" -eq 1 ]
    done
}

@test "a change whose answer nobody can be given is told on stderr, in one line with status 74" {
    start_daemon
    make_key ci --owner acme
    local command
    for command in "disable $id" "enable $id --json" "update $id --set name=other" "owner suspend acme" \
        "owner resume acme --json" reload "revoke $id --yes"; do
        run bash -c "catlatch $command 2>&1 >/dev/full"
        expect_status 74
        [ "${#lines[@]}" -eq 1 ]
        expect_text "$output" "standard output failed (No space left on device), but it was done: "
    done
    expect_text "$output" "1 key refused everywhere on $(hostname) since 20"
    [ "$(state_of "$id")" = revoked ]
}
