load lib

setup() {
    make_folder
    start_daemon
}

teardown() {
    [ -z "${follower:-}" ] || kill $follower 2>/dev/null || true # one or more
    remove_folder
}

# The changes of the log as JSON, with further options.
changes() {
    catlatch log --json "$@"
}

@test "the log tells who changed what, when, and each field before and after" {
    make_key ci --owner acme --scope read
    catlatch update "$id" --set name=deploy --set scopes=read,write --set meta.team=core
    catlatch disable "$id" --comment 'they left "early"'
    changes | jq -e --arg id "$id" '
        map(.change) == ["created", "updated", "disabled"] and all(.id == $id and .owner == "acme")
        and .[1].fields == [
            {"field": "name", "before": "ci", "after": "deploy"},
            {"field": "scopes", "before": "read", "after": "read write"},
            {"field": "metadata.team", "before": null, "after": "core"}]
        and .[2].comment == "they left \"early\""'
    changes | jq -e --argjson uid "$(id -u)" 'all(.actor.uid == $uid and .actor.pid > 0)'
    run --separate-stderr catlatch log
    expect_status 0
    expect_text "$output" "updated $id of acme by $(id -un)"
    expect_text "$output" 'name "ci" -> "deploy"'
    [[ $output != *"$key"* ]]
}

@test "the log tells networks before and after" {
    make_key ci --allow 192.0.2.0/24
    catlatch update "$id" --set allow=10.0.0.0/8,::1
    catlatch update "$id" --set allow=
    changes | jq -e 'map(.fields[] | select(.field == "allowed_networks") | [.before, .after]) == [
        [null, "192.0.2.0/24"], ["192.0.2.0/24", "10.0.0.0/8 ::1/128"], ["10.0.0.0/8 ::1/128", null]]'
    run --separate-stderr catlatch log
    expect_text "$output" 'allowed_networks "192.0.2.0/24" -> "10.0.0.0/8 ::1/128"'
}

@test "quotes and backslashes of a text cannot be taken for the log's own" {
    make_key 'a" -> "b' --owner 'acme by root pid 1' --meta 'path=C:\x'
    run --separate-stderr catlatch log
    expect_status 0
    expect_text "$output" 'name "a\" -> \"b", metadata.path "C:\\x"'
    expect_text "$output" 'of "acme by root pid 1" by '
}

@test "the log is narrowed by key, owner, kind, actor and time" {
    make_key one --owner acme
    local first=$id
    make_key two --owner bob
    catlatch revoke "$first" --yes --reason leaked
    [ "$(changes --id "$first" | jq length)" -eq 2 ]
    [ "$(changes --owner bob | jq -r '.[].id')" = "$id" ]
    [ "$(changes --kind revoked | jq -r '.[0].fields[] | select(.field == "revoke_reason").after')" = leaked ]
    [ "$(changes --actor "$(id -u)" | jq length)" -eq 3 ]
    [ "$(changes --actor "$(id -un)" | jq length)" -eq 3 ]
    [ "$(changes --actor 12345 | jq length)" -eq 0 ]
    [ "$(changes --since 1h | jq length)" -eq 3 ]
    [ "$(changes --until 1h | jq length)" -eq 0 ]
    [ "$(changes --since 1:2 | jq -r '.[].sequence')" = 1:3 ]
    [ "$(changes --limit 2 | jq length)" -eq 2 ]
}

@test "more changes than a page holds come whole and in order" {
    seq -f 'KEY.CREATE NAME n%g' 2300 | redis-cli -s "$dir/admin/catlatch.sock" >/dev/null
    changes | jq -e 'map(.sequence) == [range(1; 2301) | "1:\(.)"]'
}

@test "what makes no sense is refused" {
    local status_of
    for words in '--since soon' '--until never' '--actor nobody-there' '--limit 0' '--kind frobbed' \
        '--id key_x' '--verify --head 1:1/abc'; do
        run --separate-stderr catlatch log $words
        expect_status 65
        [ "${#stderr_lines[@]}" -eq 1 ]
    done
    run catlatch log --head 1:1/abc
    expect_status 64
    run catlatch log --follow --until 1h
    expect_status 64
}

@test "--follow goes on with what changes, one object a line" {
    make_key before
    catlatch log --follow --json >"$dir/followed" 3>&- &
    follower=$!
    until_true test -s "$dir/followed"
    make_key later --owner acme
    catlatch owner suspend acme
    until_true grep -q owner_suspended "$dir/followed"
    jq -s -e 'map(.change) == ["created", "created", "owner_suspended"]' "$dir/followed"
}

@test "--follow goes on after a pause in which idle connections were closed" {
    stop_daemon
    printf 'idle_timeout = 1s\n' >>"$CATLATCH_CONFIG"
    start_daemon
    catlatch log --follow --json >"$dir/followed" 3>&- &
    follower=$!
    connections() { redis-cli -s "$dir/admin/catlatch.sock" CLIENT LIST | grep -c '^id='; }
    both() { [ "$(connections)" -eq 3 ]; }
    one() { [ "$(connections)" -eq 2 ]; }
    until_true both
    until_true one
    make_key later
    until_true grep -q created "$dir/followed"
    make_key again
    until_true grep -q again "$dir/followed"
    jq -s -e 'map(.sequence) == ["1:1", "1:2"]' "$dir/followed"
}

@test "--follow --uses tells who uses keys and who is refused" {
    stop_daemon
    printf '[policy]\nrecord_address = full\n' >>"$CATLATCH_CONFIG"
    start_daemon
    make_key used --owner 'acme two' && used=$key used_id=$id
    make_key dead && dead=$key dead_id=$id
    make_key idle
    use_key "$used" 203.0.113.9
    catlatch revoke "$dead_id" --yes >"$dir/revoked"
    catlatch log --follow --uses >"$dir/all" 3>&- &
    follower=$!
    catlatch log --follow --uses --owner default >"$dir/owner" 3>&- &
    follower+=" $!"
    catlatch log --follow --uses --json --id "$used_id" >"$dir/one" 3>&- &
    follower+=" $!"
    for file in all one owner; do until_true grep -q created "$dir/$file"; done
    for _ in 1 2 3; do use_key "$used" 203.0.113.9; done
    use_key "$dead" 198.51.100.7
    refused="refused $dead_id of default: from 198.51.100.7$"
    until_true grep -q "$refused" "$dir/all"
    until_true grep -q "$refused" "$dir/owner"
    # Exactly of one key. Of all what had not been swept yet comes first.
    exactly() { [ "$(jq -s 'map(.uses.granted) | add' "$dir/one")" -eq 3 ]; }
    nearly() {
        sed -n "s/.* used $used_id of \"acme two\": \([0-9]*\) times, the last from 203.0.113.9$/\1/p
            s/.* used $used_id of \"acme two\": from 203.0.113.9$/1/p" "$dir/all" |
            awk '{ all += $1 } END { exit all < 3 || all > 4 }'
    }
    until_true exactly
    until_true nearly
    make_key later --owner default
    for file in all owner; do until_true grep -q later "$dir/$file"; done
    kill $follower
    exactly && nearly
    run ! grep ' used ' "$dir/owner"
    jq -se --arg id "$used_id" 'map(select(.uses).uses) | all(.[]; .id == $id and .name == "used"
        and .refused == 0 and .last_used_from == "203.0.113.9")' "$dir/one"
}

@test "--uses goes with --follow" {
    run catlatch log --uses
    expect_status 64
    expect_text "$output" "--uses goes with --follow"
}

# Follows, by the command that is given, if any; says as whom, and how it ended.
follow() { # [COMMAND...]
    local status=0
    sh -c 'echo $$ >"$0"; exec "$@"' "$dir/pid" "$@" catlatch log --follow --json \
        2>"$dir/said" || status=$?
    echo $status >"$dir/ended"
}
subscribed() { [ "$(catlatch status --json | jq .clients)" -ge 3 ]; }
ended_well() {
    until_true test -s "$dir/ended"
    [ "$(<"$dir/ended")" -eq 0 ]
    [ ! -s "$dir/said" ]
}
make_many_keys() { # more than a pipe holds
    seq -f 'KEY.CREATE NAME n%g' 2300 | redis-cli -s "$dir/admin/catlatch.sock" >/dev/null
}

@test "--follow ends, quietly, when whoever read it has gone" {
    make_key one
    follow 3>&- | head -n 1 >"$dir/first" 3>&- &
    ended_well # though nothing changes
    jq -e '.change == "created"' "$dir/first"
}

@test "--follow ends, quietly, when what it has still to say is for nobody" {
    make_many_keys
    follow 3>&- | head -n 1 >"$dir/first" 3>&- &
    ended_well
    jq -e '.change == "created"' "$dir/first"
}

@test "--follow that cannot write though somebody could read says so" {
    make_key one
    follow >/dev/full 3>&- &
    until_true test -s "$dir/ended"
    [ "$(<"$dir/ended")" -eq 74 ]
    expect_text "$(cat "$dir/said")" 'writing to standard output failed'
}

@test "SIGINT and SIGTERM end --follow" {
    local signal
    for signal in INT TERM; do
        rm -f "$dir/ended"
        follow env --default-signal=INT >/dev/null 3>&- &
        until_true subscribed
        kill -"$signal" "$(<"$dir/pid")"
        ended_well
    done
}

@test "a signal that finds --follow writing leaves whole lines" {
    make_many_keys
    reader() {
        local line
        for _ in {1..101}; do
            read -r line
            printf '%s\n' "$line"
        done >"$dir/read"
        touch "$dir/writing" # and it stays so, for the pipe takes no more than some hundred lines
        until_true test -e "$dir/signalled"
        cat >>"$dir/read"
    }
    follow 3>&- | reader 3>&- &
    until_true test -e "$dir/writing"
    kill "$(<"$dir/pid")"
    touch "$dir/signalled"
    ended_well
    jq -s -e 'length > 100 and length < 2300 and all(.change == "created")' "$dir/read"
}

@test "a second signal ends --follow whose reader takes nothing" {
    make_many_keys
    follow 3>&- | sleep 60 3>&- &
    follower=$!
    until_true subscribed
    signalled_to_death() { kill "$(<"$dir/pid")"; test -s "$dir/ended"; }
    until_true signalled_to_death
    # 0: the first signal came before it wrote; left to itself it would wait for ever.
    [[ $(<"$dir/ended") == 143 || $(<"$dir/ended") == 0 ]]
}

@test "--follow that loses its daemon says so" {
    catlatch log --follow 2>"$dir/said" 3>&- &
    follower=$!
    until_true subscribed
    stop_daemon
    run wait "$follower"
    wait "$follower" || [ $? -eq 69 ]
    expect_text "$(cat "$dir/said")" 'closed the connection'
}

@test "--verify walks the chain, and a head that was noted vouches for what was before it" {
    run catlatch log --verify
    expect_status 0
    [ "$output" = 'the log is empty' ]
    make_key one
    make_key two
    run --separate-stderr catlatch log --verify
    expect_status 0
    [[ $output =~ ^whole:\ 2\ records,\ up\ to\ (1:2/[0-9a-f]{64})$ ]]
    local head=${BASH_REMATCH[1]}
    catlatch log --verify --head "$head"
    make_key three
    catlatch log --verify --head "$head"
    catlatch log --verify --json | jq -e '.whole and .records == 3 and .sequence == "1:3"'
    local other=f
    [ "${head: -1}" != f ] || other=0
    run --separate-stderr catlatch log --verify --head "${head%?}$other"
    expect_status 65
    expect_text "$stderr" 'not whole'
}
