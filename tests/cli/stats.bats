load lib

setup() {
    make_folder
    printf 'usage_flush_interval = 1s\n' >>"$CATLATCH_CONFIG"
    start_daemon
    key=$(catlatch create --name first --owner acme --quiet)
    id=$(catlatch list --json | jq -r '.[0].id')
}

teardown() {
    remove_folder
}

# Through the daemon, which counts as any worker does.
use() { # KEY TIMES
    local i
    for ((i = 0; i < $2; i++)); do echo "KEY.VERIFY $1"; done |
        redis-cli -s "$dir/run/catlatch.sock" >/dev/null
}

counted() { # RESULT COUNT
    [ "$(catlatch stats --json | jq ".stats.results.$1")" = "$2" ]
}

@test "what was verified is told by its result, in all, lately and by the hour" {
    use "$key" 30
    use rubbish 4
    until_true counted valid 30
    until_true counted malformed 4
    run --separate-stderr catlatch stats
    expect_status 0
    [ -z "$stderr" ]
    expect_text "$output" "RECENT: since "
    grep -q '^valid  *30  *30  .*█' <<<"$output"
    grep -q '^malformed  *4  *4  .*█' <<<"$output"
    ! grep -q '^revoked' <<<"$output"
    expect_text "$output" "1 attached, the daemon among them"
    [ "$(wc -L <<<"$output")" -le 80 ]
}

@test "of one key it tells what was granted and what was refused" {
    use "$key" 20
    until_true counted valid 20
    catlatch revoke --yes "$id" >/dev/null
    use "$key" 3
    run --separate-stderr catlatch stats "$id"
    expect_status 0
    expect_text "$output" "$id  first, revoked, of acme"
    expect_text "$output" "20 since then, the tallest bar 20; 20 in all, last 20"
    expect_text "$output" "3 since then, the tallest bar 3; 3 in all, last 20"
    [ "$(wc -L <<<"$output")" -le 80 ]
    run --separate-stderr catlatch stats "$id" --json --step minute --since 10m
    expect_status 0
    [ "$(jq -r .key.id <<<"$output")" = "$id" ]
    [ "$(jq -r .step <<<"$output")" = minute ]
    [ "$(jq '[.history[].granted] | add' <<<"$output")" -eq 20 ]
    [ "$(jq '[.history[].refused] | add' <<<"$output")" -eq 3 ]
}

@test "without UTF-8 the bars are ASCII" {
    use "$key" 5
    until_true counted valid 5
    LC_ALL=C run --separate-stderr catlatch stats
    expect_status 0
    grep -q '^valid  *5  *5  *\.*#' <<<"$output"
    ! LC_ALL=C grep -q '[^ -~]' <<<"$output"
    LC_ALL=C run --separate-stderr catlatch stats "$id"
    ! LC_ALL=C grep -q '[^ -~]' <<<"$output"
}

@test "a long time is drawn in eighty columns" {
    use "$key" 1
    until_true counted valid 1
    for since in 1h 7d 60d; do
        for step in minute hour day; do
            [ "$since $step" = "60d minute" ] && continue
            run --separate-stderr catlatch stats "$id" --since $since --step $step
            expect_status 0
            [ "$(wc -L <<<"$output")" -le 80 ]
            expect_text "$output" "1 since then"
            run --separate-stderr catlatch stats --since $since --step $step
            [ "$(wc -L <<<"$output")" -le 80 ]
        done
    done
}

@test "json has all of it" {
    use "$key" 2
    until_true counted valid 2
    run --separate-stderr catlatch stats --json
    expect_status 0
    [ "$(jq -c keys <<<"$output")" = '["history","per_second","processes","since","stats","step"]' ]
    [ "$(jq '.processes | length' <<<"$output")" -eq 1 ]
    [ "$(jq '.processes[0].stale' <<<"$output")" = false ]
    [ "$(jq '.processes[0].results.valid' <<<"$output")" -eq 2 ]
    [ "$(jq '[.history[].results.valid] | add' <<<"$output")" -eq 2 ]
}

@test "without the keeper the rest is told" {
    use "$key" 2
    until_true counted valid 2
    kill -STOP "$(cat "$dir/run/usage.lock")"
    run --separate-stderr catlatch stats
    kill -CONT "$(cat "$dir/run/usage.lock")"
    expect_status 0
    expect_text "$output" "valid"
    expect_text "$stderr" "who is attached is not known"
}

@test "what is asked wrongly is refused in one line" {
    run --separate-stderr catlatch stats --step week
    expect_status 65
    [ "$stderr" = "catlatch: --step takes minute, hour or day" ]
    run --separate-stderr catlatch stats --since whenever
    expect_status 65
    run --separate-stderr catlatch stats --since 400d --step minute
    expect_status 65
    run --separate-stderr catlatch stats key_aaaaaaaaaaaab
    expect_status 1
    run --separate-stderr catlatch stats "$id" "$id"
    expect_status 64
    stop_daemon
    run --separate-stderr catlatch stats
    expect_status 69
}
