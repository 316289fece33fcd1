load lib

# The README's recipes, run as they stand there.

setup() {
    make_folder
    start_daemon
}

teardown() {
    remove_folder
}

@test "At 2 a.m.: a key leaked" {
    make_key pasted --owner acme
    local pasted=$key
    make_key logged --owner acme
    prefix=${key:0:15}
    local logged=$key
    make_key suspected --owner acme
    other=${key:0:15}
    owner=acme
    cd "$dir"
    printf '%s\n' "$pasted" >leaked.txt
    readme_code 'At 2 a.m.: a key leaked' sh >commands
    [ "$(grep -c catlatch commands)" -ge 7 ]
    set -e
    . ./commands
    [ "$(verdict "$pasted")" = revoked ]
    [ "$(verdict "$logged")" = revoked ]
    [ "$(verdict "$key")" = valid ]
    catlatch log --json | jq -e 'map(.change) | contains(["disabled", "enabled", "owner_suspended", "owner_resumed"])'
}

@test "Who used this key, and when" {
    make_key fresh --owner acme
    echo '{"key":"no key of ours, and long","assumed_bits":128,"name":"idle","created_at":"2020-01-01T00:00:00Z"}' |
        catlatch import -
    readme_code 'Who used this key, and when' sh >"$dir/commands"
    [ "$(grep -c catlatch "$dir/commands")" -ge 2 ]
    set -e
    . "$dir/commands"
    [ "$(catlatch list --state disabled --json | jq -r '.[].name')" = idle ]
    catlatch log --kind disabled --json | jq -e '.[0].comment == "nobody used it for a year"'
}

@test "Rate limits and prepaid uses" {
    make_key some --owner acme
    readme_code 'Rate limits and prepaid uses' sh >"$dir/commands"
    [ "$(grep -c catlatch "$dir/commands")" -ge 5 ]
    set -e
    . "$dir/commands"
    catlatch show --json "$id" |
        jq -e '.rates == ["10/1s:20", "1000/1h"] and .uses == "2000" and .uses_remaining == 2000'
    catlatch list --name 'free plan' --json | jq -e '.[0].uses == "500/monthly"'
}

@test "Services are stacks" {
    cd "$dir"
    catlatch create --name ci --owner alice --scope orders:read --quiet >key.txt
    run env HOME="$dir" "$BATS_TEST_DIRNAME/../recipe" "$BATS_TEST_DIRNAME/../../README.md" 'Services are stacks'
    expect_status 0
    catlatch list --owner deploy --json | jq -e '.[0].name == "deploy-db"'
}

@test "Services are stacks: the table of modules has each of them" {
    diff <(cd "$BATS_TEST_DIRNAME/../../plugin" && ls *.c | sed 's/\.c$//' | sort) \
        <(awk '/^## / { here = $0 == "## Services are stacks" }
            here && /^\| module/ { inside = 1; next }
            /^$/ { inside = 0 }
            inside && /^\| `/ { split($0, cells, "|"); print cells[2] }' "$BATS_TEST_DIRNAME/../../README.md" |
            grep -oE '[a-z]+' | sort)
}

@test "For the auditor" {
    make_key one --owner acme
    catlatch revoke "$id" --yes --reason leaked
    owner=acme
    cd "$dir"
    readme_code 'For the auditor' sh >commands
    [ "$(grep -c catlatch commands)" -ge 6 ]
    set -e
    . ./commands >said
    grep -q "revoked $id of acme" said
    grep -q 'whole: 2 records' said
}
