load lib

setup() {
    make_folder
    start_daemon
}

teardown() {
    remove_folder
}

@test "create prints the key alone on stdout and says on stderr that it is shown once" {
    run --separate-stderr catlatch create --name ci
    expect_status 0
    [[ $output =~ ^cc_live_[0-9A-Za-z]{42}$ ]]
    expect_text "$stderr" "shown this once"
    [[ $stderr != *"$output"* ]]
}

@test "create --quiet prints the key and a newline and nothing else" {
    run --separate-stderr catlatch create --name ci --quiet
    expect_status 0
    [ -z "$stderr" ]
    [ "$(catlatch create --name other --quiet 2>&1 | wc -lc | tr -s ' ')" = " 1 51" ]
}

@test "create --json has id and key first, lists as arrays, times as RFC 3339" {
    run --separate-stderr catlatch create --json --name ci --owner acme --env test --expires 90d \
        --not-before 2020-01-01 --scope read --scope write --comment "for the builds" \
        --meta team=core --meta empty-ok=1
    expect_status 0
    jq -e '(keys_unsorted[0:2] == ["id", "key"]) and .name == "ci" and .owner == "acme"
        and .environment == "test" and (.key | startswith("cc_test_")) and .state == "active"
        and .scopes == ["read", "write"] and .comment == "for the builds"
        and .metadata == {"team": "core", "empty-ok": "1"}
        and (.key | startswith("cc_test_")) and .prefix == .key[0:15]
        and .not_before == "2020-01-01T00:00:00Z" and .disabled == false
        and (.created_at | fromdate) > 0 and (.expires_at | fromdate) - (.created_at | fromdate) >= 7775998' \
        <<<"$output"
}

@test "what create made can be verified and listed" {
    make_key ci --scope read
    [ "$(verdict "$key")" = valid ]
    [ "$(catlatch list --json | jq -r '.[].id')" = "$id" ]
}

@test "create --allow confines the key, and networks are shown in their one form" {
    run --separate-stderr catlatch create --json --name office --allow 192.0.2.0/24 \
        --allow 2001:0DB8:0::/32 --allow ::ffff:198.51.100.7 --allow 192.0.2.0/24
    expect_status 0
    jq -e '.allowed_networks == ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32"]' <<<"$output"
    run --separate-stderr catlatch show "$(jq -r .id <<<"$output")"
    expect_text "$output" "192.0.2.0/24 2001:db8::/32 198.51.100.7/32"
    make_key anywhere
    catlatch show --json "$id" | jq -e '.allowed_networks == []'
}

@test "create --allow refuses what is no network, and names the one that was meant" {
    run --separate-stderr catlatch create --name ci --allow 10.1.2.3/8
    expect_status 65
    expect_text "$stderr" "--allow has bits set behind its prefix; the network is 10.0.0.0/8"
    for bad in '' localhost 192.0.2.0/33 192.0.2.0/024 192.0.02.0/24 fe80::1%eth0 '[::1]' \
        192.0.2.0/24,192.0.3.0/24 '192.0.2.0/24 ' 192.0.2.0/255.255.255.0; do
        run --separate-stderr catlatch create --name ci --allow "$bad"
        expect_status 65
        expect_text "$stderr" "--allow "
        [ "$(wc -l <<<"$stderr")" -eq 1 ]
    done
    run --separate-stderr catlatch create --name ci $(printf -- '--allow 10.0.0.%d ' {0..32})
    expect_status 65
    expect_text "$stderr" "at most 32 networks"
    [ "$(catlatch list --json)" = "[]" ]
}

@test "create needs a name, and refuses operands and unacceptable values" {
    run --separate-stderr catlatch create
    expect_status 64
    expect_text "$stderr" "--name"
    run --separate-stderr catlatch create --name ci extra
    expect_status 64
    run --separate-stderr catlatch create --name ci --expires tomorrow
    expect_status 65
    expect_text "$stderr" "--expires takes"
    run --separate-stderr catlatch create --name ci --meta nothing
    expect_status 65
    run --separate-stderr catlatch create --name ci --env production
    expect_status 65
    run --separate-stderr catlatch create --name ci --scope "with blank"
    expect_status 65
    run --separate-stderr catlatch create --name ci --scope read,write
    expect_status 65
    expect_text "$stderr" "--scope takes one scope: repeat the option for several"
    run --separate-stderr catlatch create --name $'line\nbreak'
    expect_status 65
    [ "$(catlatch list --json)" = "[]" ]
}

@test "a key that cannot be shown is named by its id, to be revoked, with status 74" {
    run bash -c 'catlatch create --name ci 2>&1 >/dev/full'
    expect_status 74
    expect_text "$output" "could not be shown (No space left on device)"
    id=$(catlatch list --json | jq -r '.[0].id')
    expect_text "$output" "catlatch revoke $id"
    [ "$(wc -l <<<"$output")" -eq 1 ]
}

@test "a closed stdout is an error, not a place to write keys to" {
    run bash -c 'catlatch create --name ci 2>&1 >&-'
    expect_status 74
    expect_text "$output" "could not be shown"
    run bash -c 'catlatch list 2>&1 >&-'
    expect_status 74
}


@test "a key for a suspended owner is made, and the tool says that it is refused" {
    make_key first --owner acme
    catlatch owner suspend acme
    run --separate-stderr catlatch create --name second --owner acme
    expect_status 0
    expect_text "$stderr" "suspended"
    [ "$(verdict "$output")" = disabled ]
}
