load lib

setup() {
    make_folder
    cat >>"$dir/etc/catlatch.ini" <<'INI'
[service test-only]
required = format
required = table
required = environment test
INI
    start_daemon
}

teardown() {
    remove_folder
}

@test "a valid key is status 0 and named, a refused one status 1 with the reason" {
    make_key ci --owner acme --scope read
    run --separate-stderr catlatch verify <<<"$key"
    expect_status 0
    expect_text "$output" "valid: $id (ci) of owner acme in live, scopes read"
    [[ $output$stderr != *"$key"* ]]
    catlatch revoke "$id"
    run --separate-stderr catlatch verify <<<"$key"
    expect_status 1
    expect_text "$output" "revoked: $id"
}

@test "malformed and unknown keys have their own results" {
    run --separate-stderr catlatch verify <<<"cc_live_short"
    expect_status 1
    [ "$output" = malformed ]
    make_key ci
    local wrong=x
    [ "${key: -1}" != x ] || wrong=y
    run --separate-stderr catlatch verify --json <<<"${key%?}$wrong"
    expect_status 1
    jq -e '.result == "malformed" and .id == null' <<<"$output"
}

@test "--scope asks for scopes, --service for a service" {
    make_key ci --env test --scope read --scope write
    run catlatch verify <<<"$key"
    expect_status 1
    expect_text "$output" wrong_environment
    make_key ci --scope read --scope write
    run catlatch verify --scope read --scope write <<<"$key"
    expect_status 0
    run catlatch verify --scope read --scope admin <<<"$key"
    expect_status 1
    expect_text "$output" insufficient_scope
    run catlatch verify --service test-only <<<"$key"
    expect_status 1
    expect_text "$output" wrong_environment
    run --separate-stderr catlatch verify --service nowhere <<<"$key"
    [ "$status" -eq 1 ] || [ "$status" -eq 65 ]
    [ -z "$output" ]
    [ "$(wc -l <<<"$stderr")" -eq 1 ]
}

@test "no key, two keys and a line too long are bad data" {
    run --separate-stderr catlatch verify </dev/null
    expect_status 65
    expect_text "$stderr" "no key came"
    run --separate-stderr catlatch verify < <(printf 'a\nb\n')
    expect_status 65
    run --separate-stderr catlatch verify < <(head -c 2000 /dev/zero | tr '\0' x)
    expect_status 65
}

@test "a key that cannot be checked is status 69" {
    make_key ci
    stop_daemon
    run --separate-stderr catlatch verify <<<"$key"
    expect_status 69
    [ -z "$output" ]
}

@test "a daemon that cannot check the key is status 69 too, and no refusal" {
    make_key ci
    stop_daemon
    start_fake_daemon <<'RULES'
KEY.VERIFY {"result": "unavailable"}
RULES
    run --separate-stderr catlatch verify <<<"$key"
    expect_status 69
    expect_text "$output" unavailable
    run --separate-stderr catlatch verify --json <<<"$key"
    expect_status 69
    jq -e '.result == "unavailable"' <<<"$output"
}
