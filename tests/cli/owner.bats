load lib

setup() {
    make_folder
    start_daemon
}

teardown() {
    remove_folder
}

@test "suspending an owner refuses all keys, resuming leaves single disables" {
    make_key one --owner acme
    one=$key
    make_key two --owner acme
    catlatch disable "$id"
    run --separate-stderr catlatch owner suspend acme --comment "unpaid"
    expect_status 0
    expect_text "$output" "refused everywhere on $(hostname) since 20"
    [ "$(verdict "$one")" = disabled ]
    [ "$(catlatch show --json "$id" | jq .owner_suspended)" = true ]
    run --separate-stderr catlatch owner resume acme --json
    expect_status 0
    jq -e '.owner == "acme" and .suspended == false and .host and .time and .sequence' <<<"$output"
    [ "$(verdict "$one")" = valid ]
    [ "$(verdict "$key")" = disabled ]
}

@test "what was suspended already is said to be so, and one key is no keys" {
    make_key one --owner acme
    run --separate-stderr catlatch owner suspend acme
    expect_text "$output" "owner acme: 1 key changed, all refused"
    [[ $output != *already* ]]
    run --separate-stderr catlatch owner suspend acme
    expect_status 0
    expect_text "$output" "0 keys changed"
    expect_text "$output" "; it was so already"
}

@test "owner list and show count keys and say who is suspended" {
    make_key one --owner acme
    make_key two --owner acme
    make_key three --owner other
    catlatch owner suspend other
    catlatch owner list --json | jq -e '[.[] | [.owner, .keys, .suspended]]
        == [["acme", 2, false], ["other", 1, true]]'
    run --separate-stderr catlatch owner list
    expect_status 0
    [[ ${lines[0]} =~ ^OWNER\ +KEYS\ +SUSPENDED ]]
    [[ ${lines[2]} =~ ^other\ +1\ +yes ]]
    catlatch owner show acme --json | jq -e '.keys == 2 and .suspended_at == null'
    run --separate-stderr catlatch owner show acme
    expect_text "$output" "acme"
}

@test "an unknown owner is status 1, a missing word 64" {
    run --separate-stderr catlatch owner show nobody
    expect_status 1
    run --separate-stderr catlatch owner suspend nobody
    expect_status 1
    run --separate-stderr catlatch owner show
    expect_status 64
    run --separate-stderr catlatch owner
    expect_status 64
    run --separate-stderr catlatch owner susped acme
    expect_status 64
    expect_text "$stderr" "did you mean owner suspend?"
}
