load lib

setup() {
    make_folder
    start_daemon
}

teardown() {
    remove_folder
}

@test "a disabled key is refused, an enabled one accepted, and the receipt says where and when" {
    make_key ci
    run --separate-stderr catlatch disable "$id" --comment "odd traffic"
    expect_status 0
    expect_text "$output" "1 key refused everywhere on $(hostname) since 20"
    [ "$(verdict "$key")" = disabled ]
    run --separate-stderr catlatch enable --json "$id"
    expect_status 0
    jq -e --arg id "$id" --arg host "$(hostname)" '.host == $host and .count == 1
        and .keys == [{"id": $id, "prefix": .keys[0].prefix, "name": "ci", "owner": "default",
                       "state": "active", "changed": true, "last_used_at": null,
                       "last_used_from": null}]
        and (.sequence | test("^[0-9]+:[0-9]+$")) and (.generation | type) == "number"
        and (.time | test("^20.*\\.[0-9]{3}Z$"))' <<<"$output"
    [ "$(verdict "$key")" = valid ]
}

@test "enabling a key of a suspended owner says that it stays refused" {
    make_key ci --owner acme
    catlatch disable "$id"
    catlatch owner suspend acme
    run --separate-stderr catlatch enable "$id"
    expect_status 0
    expect_text "$stderr" "1 of 1 key is still refused, until \`catlatch owner resume\`"
    [ "$(verdict "$key")" = disabled ]
    catlatch owner resume acme
    [ "$(verdict "$key")" = valid ]
    catlatch disable "$id"
    run --separate-stderr catlatch enable "$id"
    [ -z "$stderr" ]
}

@test "what was so already is said to be so" {
    make_key ci
    catlatch disable "$id"
    run --separate-stderr catlatch disable "$id"
    expect_status 0
    expect_text "$output" "1 was so already"
    [ "$(catlatch disable --json "$id" | jq '.count, .keys[0].changed' | tr '\n' ' ')" = "0 false " ]
}

@test "several keys off a terminal need --yes" {
    make_key one --owner acme
    make_key two --owner acme
    run --separate-stderr catlatch disable --owner acme
    expect_status 64
    expect_text "$stderr" "2 keys would be disabled: say --yes"
    [ "$(catlatch list --json --state disabled)" = "[]" ]
    run --separate-stderr catlatch disable --owner acme --yes
    expect_status 0
    [ "$(catlatch list --json --state disabled | jq length)" -eq 2 ]
}

@test "a change without ids or conditions is refused" {
    make_key ci
    local command
    for command in disable enable revoke rotate "update --set name=x"; do
        run --separate-stderr catlatch $command --yes
        expect_status 64
        expect_text "$stderr" "needs ids or an option that selects keys"
    done
    [ "$(verdict "$key")" = valid ]
}

@test "--dry-run shows what would be hit and changes nothing" {
    make_key one --owner acme
    make_key two --owner acme
    run --separate-stderr catlatch disable --owner acme --dry-run
    expect_status 0
    [ "${#lines[@]}" -eq 3 ]
    expect_text "$stderr" "2 keys would be disabled; nothing was changed"
    [ "$(catlatch disable --owner acme --dry-run --json | jq length)" -eq 2 ]
    [ "$(verdict "$key")" = valid ]
    run --separate-stderr catlatch disable --owner nobody --dry-run
    expect_status 1
}

@test "one unknown id among many changes nothing" {
    make_key ci
    run --separate-stderr catlatch disable "$id" key_aaaaaaaaaaaab --yes
    expect_status 1
    expect_text "$stderr" "key_aaaaaaaaaaaab"
    [ "$(verdict "$key")" = valid ]
}

@test "a revoked key doesn't keep its owner's others from being disabled" {
    make_key one --owner acme
    catlatch revoke "$id"
    make_key two --owner acme
    run --separate-stderr catlatch disable --owner acme
    expect_status 0
    expect_text "$stderr" "1 matching key is left out: revoked already"
    [ "$(verdict "$key")" = disabled ]
}

@test "update sets every field, and an empty value clears" {
    make_key ci --expires 30d --scope read --meta team=core --comment old
    run --separate-stderr catlatch update "$id" --set name=builds --set expires=2099-01-31 \
        --set not_before=2020-01-01T00:00:00Z --set "scopes=write admin" --set comment=new \
        --set meta.team=web --set meta.site=hq
    expect_status 0
    catlatch show --json "$id" | jq -e '.name == "builds" and .expires_at == "2099-01-31T00:00:00Z"
        and .not_before == "2020-01-01T00:00:00Z" and .scopes == ["write", "admin"]
        and .comment == "new" and .metadata == {"team": "web", "site": "hq"}'
    catlatch update "$id" --set expires= --set scopes= --set comment= --set meta.team=
    catlatch show --json "$id" | jq -e '.expires_at == null and .scopes == []
        and (.comment == null or .comment == "") and .metadata == {"site": "hq"}'
}

networks_of() {
    catlatch show --json "$1" | jq -r '.allowed_networks | join(" ")'
}

@test "update replaces the whole list of networks, and only an empty one lifts it" {
    make_key ci --allow 10.0.0.0/8
    run --separate-stderr catlatch update "$id" --set allow=192.0.2.0/24,2001:db8::/32
    expect_status 0
    [ "$(networks_of "$id")" = "192.0.2.0/24 2001:db8::/32" ]
    catlatch update "$id" --set name=other
    [ "$(networks_of "$id")" = "192.0.2.0/24 2001:db8::/32" ]
    for bad in , ' ' 192.0.2.1/24 192.0.2.0/24,nowhere; do
        run --separate-stderr catlatch update "$id" --set "allow=$bad" --set name=third
        expect_status 65
        expect_text "$stderr" "allow "
    done
    run --separate-stderr catlatch update "$id" --set alow=::1
    expect_status 64
    expect_text "$stderr" "did you mean allow?"
    [ "$(networks_of "$id")" = "192.0.2.0/24 2001:db8::/32" ]
    [ "$(catlatch show --json "$id" | jq -r .name)" = other ]
    catlatch update "$id" --set allow=
    [ "$(networks_of "$id")" = "" ]
}

@test "update refuses owner and environment, unknown fields and values that are none" {
    make_key ci
    run --separate-stderr catlatch update "$id" --set owner=other
    expect_status 64
    expect_text "$stderr" "the owner of a key never changes"
    run --separate-stderr catlatch update "$id" --set environment=test
    expect_status 64
    run --separate-stderr catlatch update "$id" --set nmae=x
    expect_status 64
    expect_text "$stderr" "did you mean name?"
    run --separate-stderr catlatch update "$id" --set name
    expect_status 64
    expect_text "$stderr" "--set name needs a value: --set name=VALUE"
    run --separate-stderr catlatch update "$id"
    expect_status 64
    run --separate-stderr catlatch update "$id" --set expires=tomorrow
    expect_status 65
    run --separate-stderr catlatch update "$id" --set name=
    expect_status 65
    [ "$(catlatch show --json "$id" | jq -r .name)" = ci ]
}

@test "an update that ends a key's validity is seen by the next verification" {
    make_key ci
    catlatch update "$id" --set expires=now
    [ "$(verdict "$key")" = expired ]
    catlatch update "$id" --set expires=never
    [ "$(verdict "$key")" = valid ]
}

@test "a change that breaks off between transactions says how far it came" {
    stop_daemon
    seq 1 10001 | awk '{ d = "abcdefghijklmnopqrstuvwxyz234567"; n = $1; s = ""
        for (i = 0; i < 13; i++) { s = substr(d, n % 32 + 1, 1) s; n = int(n / 32) }
        print "key_" s }' >"$dir/ids"
    rm -f "$dir/admin/catlatch.sock"
    start_fake_daemon <<'RULES'
KEY.GET {"id": "", "name": "n", "state": "active"}
KEY.DISABLE {"host": "h", "time": "t", "sequence": "1:1", "generation": 1, "count": 10000, "keys": []}
KEY.DISABLE "-FULL no room on the disk; nothing was changed"
RULES
    run --separate-stderr catlatch disable --ids-from "$dir/ids" --yes
    expect_status 74
    expect_text "$stderr" "10000 of 10001 keys are done"
    expect_text "$stderr" "no room on the disk"
    grep -q 'KEY.DISABLE .* (10001 words)' "$dir/log"
}
