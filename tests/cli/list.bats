load lib

setup() {
    make_folder
    start_daemon
}

teardown() {
    remove_folder
}

names() { # selecting options...
    catlatch list --json "$@" | jq -r '.[].name' | sort | tr '\n' ' '
}

three_keys() {
    make_key alpha --owner acme --meta team=core --scope read
    alpha=$id alpha_key=$key
    make_key beta --owner acme --env test --expires 3d
    beta=$id
    make_key gamma --owner other --meta team=core --meta site=hq
    gamma=$id
}

@test "without keys list prints an empty array and nothing as a table" {
    run --separate-stderr catlatch list --json
    expect_status 0
    [ "$output" = "[]" ]
    run --separate-stderr catlatch list
    expect_status 0
    [ -z "$output$stderr" ]
}

@test "the table has a column for each thing that finds a key" {
    make_key alpha --owner acme
    run --separate-stderr catlatch list
    expect_status 0
    [[ ${lines[0]} =~ ^ID\ +NAME\ +PREFIX\ +OWNER\ +ENV\ +STATE\ +CREATED\ +LAST\ USED\ +EXPIRES ]]
    [[ ${lines[1]} =~ ^$id\ +alpha\ +${key:0:15}\ +acme\ +live\ +active\ +20[-0-9]+\ [0-9:]+\ +never\ +-$ ]]
    [[ $output != *"$key"* ]]
}

@test "each condition selects, and together they narrow" {
    three_keys
    catlatch disable "$gamma"
    [ "$(names)" = "alpha beta gamma " ]
    [ "$(names --owner acme)" = "alpha beta " ]
    [ "$(names --env test)" = "beta " ]
    [ "$(names --state disabled)" = "gamma " ]
    [ "$(names --name '*a')" = "alpha beta gamma " ]
    [ "$(names --name '[ab]*')" = "alpha beta " ]
    [ "$(names --meta team=core)" = "alpha gamma " ]
    [ "$(names --meta team=core --meta site=hq)" = "gamma " ]
    [ "$(names --expiring-within 7d)" = "beta " ]
    [ "$(names --prefix "${alpha_key:0:15}")" = "alpha " ]
    [ "$(names --created-before 2100-01-01)" = "alpha beta gamma " ]
    [ "$(names --owner acme --meta team=core)" = "alpha " ]
}

@test "unused keys are found by when they were last used or, if they never were, made" {
    local old=2020-01-01T00:00:00Z
    catlatch import - <<LINES
{"sha256":"$(sha256sum <<<a | cut -c-64)","assumed_bits":128,"name":"old","owner":"acme","created_at":"$old"}
{"sha256":"$(sha256sum <<<b | cut -c-64)","assumed_bits":128,"name":"idle","created_at":"$old","last_used_at":"$(date -u -d '91 days ago' +%FT%TZ)"}
{"sha256":"$(sha256sum <<<c | cut -c-64)","assumed_bits":128,"name":"busy","created_at":"$old","last_used_at":"$(date -u -d '89 days ago' +%FT%TZ)"}
{"key":"not a key of ours, but a long one","assumed_bits":128,"name":"live","created_at":"$old"}
LINES
    make_key fresh
    [ "$(names --unused-for 90d)" = "idle live old " ]
    [ "$(names --unused-for 88d)" = "busy idle live old " ]
    [ "$(names --unused-for 90d --owner acme)" = "old " ]
    printf '[service plain]\nrequired = table\n' >>"$dir/etc/catlatch.ini"
    catlatch reload
    redis-cli -s "$dir/run/catlatch.sock" KEY.VERIFY 'not a key of ours, but a long one' SERVICE plain
    [ "$(names --unused-for 90d)" = "idle old " ]
    [ "$(names --unused-for 90d $(catlatch list --json | jq -r '.[].id'))" = "idle old " ]
    run catlatch list --unused-for 90d --key-stdin <<<"$key"
    expect_status 1
    run --separate-stderr catlatch list --unused-for 0
    expect_status 65
    catlatch disable --unused-for 90d --state active --yes
    [ "$(names --state disabled)" = "idle old " ]
}

@test "conditions narrow ids and raw keys too" {
    three_keys
    [ "$(names "$alpha" "$gamma")" = "alpha gamma " ]
    [ "$(names "$alpha" "$gamma" "$gamma")" = "alpha gamma " ]
    [ "$(names "$alpha" "$gamma" --owner acme)" = "alpha " ]
    [ "$(names "$alpha" "$beta" --env test --expiring-within 7d)" = "beta " ]
    [ "$(names "$alpha" "$gamma" --meta site=hq)" = "gamma " ]
    [ "$(names --key-stdin <<<"$alpha_key")" = "alpha " ]
    [ "$(names --key-stdin <<<"$alpha_key"$'\n'"$alpha_key")" = "alpha " ]
    [ "$(names --key-stdin "$alpha" <<<"$alpha_key")" = "alpha " ]
    run catlatch list --key-stdin "$beta" <<<"$alpha_key"
    expect_status 1
}

@test "ids come from a file or stdin, and both lists leave what they share" {
    three_keys
    printf '%s\n\n  %s\r\n' "$alpha" "$beta" >"$dir/ids"
    [ "$(names --ids-from "$dir/ids")" = "alpha beta " ]
    [ "$(names --ids-from - <"$dir/ids")" = "alpha beta " ]
    [ "$(names --ids-from "$dir/ids" "$beta" "$gamma")" = "beta " ]
}

@test "a bad id, line, state, time or limit is one error with status 65" {
    three_keys
    printf '%s\nkey_nonsense\n' "$alpha" >"$dir/ids"
    run --separate-stderr catlatch list --ids-from "$dir/ids"
    expect_status 65
    expect_text "$stderr" "line 2 of $dir/ids"
    printf 'a\0b\n' >"$dir/ids"
    run --separate-stderr catlatch list --ids-from "$dir/ids"
    expect_status 65
    expect_text "$stderr" "line 1 holds a NUL byte"
    run --separate-stderr catlatch list --state revkoed
    expect_status 65
    expect_text "$stderr" 'did you mean "revoked"?'
    local bad
    for bad in --created-before=never --created-before=90d --expiring-within=soon --limit=0 --limit=-1 --limit=x --meta=x; do
        run --separate-stderr catlatch list "$bad"
        expect_status 65
        [ "$(wc -l <<<"$stderr")" -eq 1 ]
    done
    run --separate-stderr catlatch list --ids-from "$dir/absent"
    expect_status 74
}

@test "stdin cannot be ids and keys at once" {
    run --separate-stderr catlatch list --ids-from - --key-stdin </dev/null
    expect_status 64
    expect_text "$stderr" "cannot both"
}

@test "a selection that matches nothing says so with status 1" {
    make_key alpha
    run --separate-stderr catlatch list --owner nobody
    expect_status 1
    expect_text "$stderr" "no key matches"
    run --separate-stderr catlatch list --json --owner nobody
    expect_status 1
    [ "$output" = "[]" ]
    run --separate-stderr catlatch show key_aaaaaaaaaaaab
    expect_status 1
}

@test "--limit ends the list" {
    three_keys
    [ "$(catlatch list --json --limit 2 | jq length)" -eq 2 ]
    [ "$(catlatch list --limit 1 | wc -l)" -eq 2 ]
    [ "$(catlatch list --json --limit 1 "$alpha" "$beta" | jq length)" -eq 1 ]
}

@test "thousands of keys are listed once each, over many pages, under one header" {
    local i
    for ((i = 0; i < 2500; i++)); do
        printf '*3\r\n$10\r\nKEY.CREATE\r\n$4\r\nNAME\r\n$5\r\nk%04d\r\n' "$i"
    done | redis-cli -s "$dir/admin/catlatch.sock" --pipe
    [ "$(catlatch list --json | jq '[.[].id] | unique | length')" -eq 2500 ]
    catlatch list >"$dir/table"
    [ "$(wc -l <"$dir/table")" -eq 2501 ]
    [ "$(grep -c '^ID ' "$dir/table")" -eq 1 ]
}

@test "show tells all of one key, as text and as JSON" {
    make_key alpha --owner acme --scope read --scope write --meta team=core
    run --separate-stderr catlatch show "$id"
    expect_status 0
    expect_text "$output" "acme"
    expect_text "$output" "read write"
    catlatch show --json "$id" | jq -e --arg id "$id" '.id == $id and .metadata.team == "core"'
    run --separate-stderr catlatch show not-an-id
    expect_status 65
    run --separate-stderr catlatch show
    expect_status 64
    run --separate-stderr catlatch show "$id" "$id"
    expect_status 64
}

@test "list and show tell when, from where and how often a key was used" {
    make_key alpha
    run --separate-stderr catlatch show "$id"
    [[ $output =~ last_used\ +never ]]
    [[ $output != *last_refused* ]]
    use_key "$key" 203.0.113.9
    run --separate-stderr catlatch show "$id"
    [[ $output =~ last_used\ +20[-0-9]+T[0-9:]+Z\ from\ 203\.0\.113\.9,\ once ]]
    use_key "$key" 2001:db8::7
    use_key "$key"
    catlatch disable "$id"
    use_key "$key" 192.0.2.1
    run --separate-stderr catlatch show "$id"
    [[ $output =~ last_used\ +20[-0-9]+T[0-9:]+Z.*,\ 3\ times ]]
    [[ $output =~ last_refused\ +20[-0-9]+T[0-9:]+Z\ from\ 192\.0\.2\.1,\ once ]]
    [[ $output != *use_count* ]]
    [[ $(catlatch list) =~ disabled\ +20[-0-9]+\ [0-9:]+\ +20[-0-9]+\ [0-9:]+\ +- ]]
    catlatch show --json "$id" | jq -e '.use_count == 3 and .refused_count == 1'
}

@test "a pattern matches characters, whatever their bytes" {
    make_key é
    [ "$(catlatch list --name '?' --json | jq -r '.[].id')" = "$id" ]
    [ "$(catlatch list --name '[d-é]' --json | jq length)" -eq 1 ]
}
