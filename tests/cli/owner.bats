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

@test "an owner's keys are limited together; lifted, listed, logged, exported and imported" {
    make_key one --owner acme
    make_key two --owner acme
    run --separate-stderr catlatch owner update acme --set rate=10/1s,1000/1h --comment "they asked"
    expect_status 0
    expect_text "$output" "owner acme: 2 keys changed, limited together on $(hostname) since 20"
    catlatch owner show acme --json | jq -e '.rates == ["10/1s", "1000/1h"] and .suspended == false'
    run --separate-stderr catlatch owner list
    expect_text "${lines[1]}" "10/1s 1000/1h"
    run --separate-stderr catlatch log --kind owner_updated
    expect_text "$output" 'owner_updated of acme'
    expect_text "$output" 'rates "10/1s,1000/1h" (they asked)'
    run --separate-stderr catlatch owner update acme --set rate=10/1s,1000/1h --json
    jq -e '.count == 0 and .keys == 2' <<<"$output"
    catlatch owner suspend acme
    catlatch export >"$dir/all"
    [ "$(head -2 "$dir/all" | jq -c 'keys')" = '["suspended_at","suspended_owner"]
["limited_owner","rates"]' ]
    catlatch owner update acme --set rate= | grep -F 'no longer limited together'
    catlatch owner show acme --json | jq -e '.rates == [] and .suspended'
    sed -i 's/acme/other/' "$dir/all"
    head -2 "$dir/all" | catlatch import -
    catlatch owner show other --json | jq -e '.rates == ["10/1s", "1000/1h"] and .suspended'
}

@test "limits of an owner that are none are refused and change nothing" {
    make_key one --owner acme
    run --separate-stderr catlatch owner update acme
    expect_status 64
    expect_text "$stderr" "--set rate=100/1m"
    run --separate-stderr catlatch owner update acme --set rate=0/1m
    expect_status 65
    expect_text "$stderr" "lets nothing through"
    run --separate-stderr catlatch owner update acme --set uses=5
    expect_status 64
    run --separate-stderr catlatch owner update acme --set rate=1/1s --set rate=2/1m
    expect_status 64
    expect_text "$stderr" "one list"
    run --separate-stderr catlatch owner update nobody --set rate=1/1s
    expect_status 1
    catlatch owner show acme --json | jq -e '.rates == []'
}
