load lib

setup() {
    make_folder
    start_daemon
}

teardown() {
    remove_folder
}

@test "purge forgets all of a revoked key but that it is refused" {
    make_key secret-project --owner acme --scope read --meta team=x
    local gone=$id key_gone=$key
    catlatch revoke "$gone" --yes --reason leaked --comment 'seen in a gist'
    make_key stays --owner acme
    run --separate-stderr catlatch purge "$gone" --yes
    expect_status 0
    expect_text "$output" "1 key purged"
    run catlatch show "$gone"
    expect_status 1
    [ "$(catlatch list --json | jq -r '.[].id')" = "$id" ]
    for condition in '--owner acme --state revoked' '--name secret-project' "--prefix ${key_gone:0:15}" \
        '--state revoked'; do
        run catlatch list $condition
        expect_status 1
    done
    [ "$(verdict "$key_gone")" = revoked ]
    catlatch log --json --kind purged | jq -e --arg id "$gone" \
        '.[0].id == $id and .[0].owner == "acme" and .[0].fields == []'
    catlatch log --verify
    stop_daemon
    start_daemon
    [ "$(verdict "$key_gone")" = revoked ]
    run --separate-stderr catlatch verify --json <<<"$key_gone"
    jq -e '.name == null and .owner == null' <<<"$output"
    run catlatch verify <<<"$key_gone"
    [ "$output" = "revoked: $gone, which was purged" ]
    run catlatch revoke --key-stdin --yes <<<"$key_gone"
    expect_status 1
    ! grep -rqa secret-project "$dir/run"
}

@test "the digest of a purged key cannot come in again" {
    make_key gone
    local prefix=${key:0:15}
    catlatch revoke "$id" --yes
    catlatch purge "$id" --yes
    printf '{"sha256":"%s","name":"back","prefix":"%s"}\n' \
        "$(printf %s "$key" | sha256sum | cut -d' ' -f1)" "$prefix" >"$dir/back"
    run --separate-stderr catlatch import "$dir/back"
    expect_status 1
    [ "$(verdict "$key")" = revoked ]
    catlatch import "$dir/back" --on-conflict skip
    [ "$(verdict "$key")" = revoked ]
    [ "$(catlatch list --json | jq length)" -eq 0 ]
}

@test "only revoked keys can be purged: others are left out, or refused when named" {
    make_key alive
    run --separate-stderr redis-cli -s "$dir/admin/catlatch.sock" KEY.PURGE "$id"
    expect_text "$output" 'CONFLICT'
    [ "$(verdict "$key")" = valid ]
    make_key dead --owner acme
    catlatch revoke "$id" --yes
    make_key alive-too --owner acme
    catlatch purge --owner acme --yes
    [ "$(catlatch list --owner acme --json | jq -r '.[].name')" = alive-too ]
}

@test "purge by age takes what was revoked before a time, and a dry run changes nothing" {
    make_key old
    catlatch revoke "$id" --yes
    run catlatch purge --revoked-before 2020-01-01 --yes
    expect_status 1
    run --separate-stderr catlatch purge --revoked-before 9999-01-01 --dry-run
    expect_status 0
    expect_text "$output" "$id"
    [ "$(catlatch list --json | jq length)" -eq 1 ]
    catlatch purge --revoked-before 9999-01-01 --yes
    [ "$(catlatch list --json | jq length)" -eq 0 ]
    run catlatch purge --revoked-before 90d --yes
    expect_status 65
}

@test "purging is the right admin's alone" {
    make_key writer --scope catlatch:write
    local writer=$key
    make_key dead
    catlatch revoke "$id" --yes
    printf 'AUTH %s\nKEY.PURGE %s\n' "$writer" "$id" >"$dir/requests"
    run redis-cli -s "$dir/admin/catlatch.sock" <"$dir/requests"
    expect_text "$output" 'needs the right admin'
    [ "$(state_of "$id")" = revoked ]
}
