# What the tool leaves of a raw key in its memory when it ends: nothing.
load lib

setup() {
    [ "$(id -u)" -eq 0 ] || skip "only root can look into a process that cannot be dumped"
    ! nm "$CATLATCH_BUILD/catlatch" | grep -q __asan_init || skip "ASan keeps what was freed"
    make_folder
    start_daemon
    catlatch create --quiet --name given --scope read >"$dir/given"
    catlatch create --name other >"$dir/other" 2>/dev/null
}

teardown() {
    [ -z "${dir:-}" ] || remove_folder
}

# Runs the tool, whose keys are in FILE when it ends; its last argument is what must be found.
leaves_nothing() { # STATUS FILE ARGUMENT...
    local wanted=$1 file=$2
    shift 2
    run --separate-stderr "$CATLATCH_BUILD/tests/cli/leftovers" "$file" "$CATLATCH_BUILD/catlatch" "$@" \
        3>&-
    [ "$status" -ne 77 ] || skip "no process may be traced here"
    expect_status "$wanted"
}

# The same, with what it prints in FILE.
prints_and_leaves_nothing() { # FILE ARGUMENT...
    local file=$1
    shift
    leaves_to_file() {
        "$CATLATCH_BUILD/tests/cli/leftovers" "$file" "$CATLATCH_BUILD/catlatch" "$@" >"$file" 3>&-
    }
    run --separate-stderr leaves_to_file "$@"
    [ "$status" -ne 77 ] || skip "no process may be traced here"
    expect_status 0
}

@test "a key that is left behind is found" {
    run --separate-stderr "$CATLATCH_BUILD/tests/cli/leftovers" "$dir/given" sh -c : sh \
        "$(cat "$dir/given")" marker-word 3>&-
    [ "$status" -ne 77 ] || skip "no process may be traced here"
    expect_status 1
    expect_text "$stderr" "of a raw key"
}

@test "create, as a line, alone and as JSON" {
    prints_and_leaves_nothing "$dir/out" create --name marker-word
    prints_and_leaves_nothing "$dir/out" create --quiet --name marker-word
    prints_and_leaves_nothing "$dir/out" create --json --name marker-word
}

@test "rotate, as a line, as JSON, superseding at once and into a file" {
    id=$(catlatch list --json --name given | jq -r '.[0].id')
    prints_and_leaves_nothing "$dir/out" rotate "$id" --grace 1h
    id=$(catlatch list --json --name given | jq -r '.[] | select(.rotated_to == null).id')
    prints_and_leaves_nothing "$dir/out" rotate --json "$id" --grace 0
    id=$(catlatch list --json --name other | jq -r '.[0].id')
    leaves_nothing 0 "$dir/keys" rotate "$id" --grace 1h --output "$dir/keys"
}

@test "verify and recognition by raw key, whatever comes of it" {
    leaves_nothing 0 "$dir/given" verify --scope read <"$dir/given"
    leaves_nothing 0 "$dir/given" verify --json --scope marker-word <"$dir/given"
    leaves_nothing 0 "$dir/given" list --key-stdin --owner default <"$dir/given"
    cat "$dir/given" "$dir/other" >"$dir/both"
    leaves_nothing 0 "$dir/both" verify --scope marker-word <"$dir/both" # two: bad data
    leaves_nothing 0 "$dir/both" revoke --yes --key-stdin --comment marker-word <"$dir/both"
    stop_daemon
    leaves_nothing 0 "$dir/given" verify --scope marker-word <"$dir/given"
}

@test "import, of many lines with keys, in both threads" {
    for ((i = 0; i < 30; i++)); do catlatch create --quiet --name "moved $i"; done >"$dir/keys"
    for ((i = 0; i < 100; i++)); do
        sed 's/.*/{"key":"&","name":"moved"}/' "$dir/keys"
        sed 's/.*/{"name":"&"}/' "$dir/keys"
    done >"$dir/in"
    leaves_nothing 0 "$dir/in" import --dry-run --on-conflict skip --skip-bad "$dir/bad" "$dir/in"
    [ "$(wc -l <"$dir/bad")" -eq 5970 ]
    leaves_nothing 0 "$dir/in" import "$dir/in"
}
