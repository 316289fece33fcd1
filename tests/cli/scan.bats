load lib

setup() {
    make_folder
    unset CATLATCH_CONFIG
    mkdir "$dir/tree"
    cd "$dir/tree"
}

teardown() {
    cd /
    chmod -R u+rwX "$dir"
    remove_folder
}

# A key that nobody issued, with check digits by another implementation.
text_key() { # PREFIX [SEED]
    python3 -c '
import sys, random, zlib
digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
chance = random.Random(sys.argv[1] + sys.argv[2])
text = sys.argv[1] + "".join(chance.choice(digits) for _ in range(36))
crc, check = zlib.crc32(text.encode()), ""
for _ in range(6):
    crc, digit = divmod(crc, 62)
    check = digits[digit] + check
print(text + check, end="")' "$1" "${2:-1}"
}

# Nothing that was said holds the key's secret part.
expect_no_key() { # KEY...
    local key
    for key in "$@"; do
        [[ $output${stderr:-} != *"${key:15:8}"* ]]
    done
}

example=cc_live_ThisIsAnExampleKeyAndItNeverVerifiesSample

@test "a key is status 1, with file, line and its start, and never the key" {
    live=$(text_key cc_live_) test=$(text_key cc_test_)
    mkdir sub
    printf 'a\nkey = "%s"\n' "$live" >a.txt
    printf '%s %s' "$test" "$live" >sub/b.txt
    run --separate-stderr catlatch scan .
    expect_status 1
    [ "$output" = "./a.txt:2: ${live:0:15}…
./sub/b.txt:1: ${test:0:15}…
./sub/b.txt:1: ${live:0:15}…" ]
    [ -z "$stderr" ]
    expect_no_key "$live" "$test"
}

@test "a key that the daemon made is found, and nothing is once it is gone" {
    export CATLATCH_CONFIG=$dir/etc/catlatch.ini
    start_daemon
    make_key ci --env test
    stop_daemon
    echo "$key" >a.txt
    run --separate-stderr catlatch scan a.txt
    expect_status 1
    [ "$output" = "a.txt:1: ${key:0:15}…" ]
    : >a.txt
    run --separate-stderr catlatch scan a.txt
    expect_status 0
    [ -z "$output$stderr" ]
}

@test "the example key and what lacks the right check digits is not reported" {
    live=$(text_key cc_live_)
    printf '%s\n%s\ncc_test_%s\n' "$example" "${live%?}" "${live#cc_live_}" >a.txt
    run --separate-stderr catlatch scan a.txt
    expect_status 0
    [ -z "$output$stderr" ]
}

@test "--json is an array with file, line, column, prefix and environment" {
    live=$(text_key cc_live_)
    printf 'x\n  %s\n' "$live" >'a "b".txt'
    run --separate-stderr catlatch scan --json .
    expect_status 1
    jq -e --arg prefix "${live:0:15}" '. == [{"file": "./a \"b\".txt", "line": 2, "column": 3,
        "prefix": $prefix, "environment": "live"}]' <<<"$output"
    expect_no_key "$live"
    rm a*
    [ "$(catlatch scan --json .)" = '[]' ]
}

@test "standard input is -, and keys are found in binary files" {
    live=$(text_key cc_live_)
    run --separate-stderr catlatch scan - <<<"$live"
    expect_status 1
    [ "$output" = "-:1: ${live:0:15}…" ]
    { head -c 3000000 /dev/zero; printf '\n\0%s\0' "$live"; head -c 3000000 /dev/urandom; } >a.bin
    run --separate-stderr catlatch scan a.bin
    expect_status 1
    [ "$output" = "a.bin:2: ${live:0:15}…" ]
}

@test "a key is found on whatever border of what is read at once it lies" {
    live=$(text_key cc_live_)
    for before in $(seq $((262144 - 54)) $((262144 + 4))); do
        run --separate-stderr catlatch scan - < <(head -c "$before" /dev/zero; printf %s "$live"; head -c 300000 /dev/zero)
        expect_status 1
        [ "$output" = "-:1: ${live:0:15}…" ]
    done
    # From a pipe that gives little at a time.
    run --separate-stderr catlatch scan - < <(for ((i = 0; i < 50; i++)); do printf %s "${live:i:1}"; done)
    expect_status 1
}

@test "without a configuration it looks for cc_live_ and cc_test_, with one for its prefixes" {
    prod=$(text_key acme_) live=$(text_key cc_live_)
    printf '%s\n%s\n' "$prod" "$live" >a.txt
    run --separate-stderr catlatch scan a.txt
    expect_status 1
    [ "$output" = "a.txt:2: ${live:0:15}…" ]
    printf '[environments]\nprod = acme_\n' >>"$dir/etc/catlatch.ini"
    run --separate-stderr catlatch scan -c "$dir/etc/catlatch.ini" a.txt
    expect_status 1
    [ "$output" = "a.txt:1: ${prod:0:15}…" ]
    CATLATCH_CONFIG=$dir/etc/catlatch.ini run --separate-stderr catlatch scan --json a.txt
    expect_status 1
    jq -e '.[0].environment == "prod"' <<<"$output"
}

@test "a configuration that was named and is bad or absent is status 78" {
    text_key cc_live_ >a.txt
    printf '[daemon]\nstate_dri = /x\n' >"$dir/etc/catlatch.ini"
    run --separate-stderr catlatch scan -c "$dir/etc/catlatch.ini" a.txt
    expect_status 78
    expect_text "$stderr" "catlatch.ini:2:"
    [ -z "$output" ]
    CATLATCH_CONFIG=$dir/absent.ini run --separate-stderr catlatch scan a.txt
    expect_status 78
}

@test "what cannot be read is one line each and status 74 or 77, and the scan goes on" {
    live=$(text_key cc_live_)
    mkdir sub
    echo nothing >b.txt
    run --separate-stderr catlatch scan absent b.txt
    expect_status 74
    [ "$stderr" = "catlatch: absent: cannot be read: No such file or directory" ]
    run --separate-stderr catlatch scan absent b.txt absent2
    expect_status 74
    [ "$(wc -l <<<"$stderr")" -eq 2 ]
    run --separate-stderr catlatch scan ''
    expect_status 74
    echo "$live" >a.txt
    run --separate-stderr catlatch scan absent .
    expect_status 1
    [ "$output" = "./a.txt:1: ${live:0:15}…" ]
    [ "$(wc -l <<<"$stderr")" -eq 1 ]
    run --separate-stderr sh -c 'catlatch scan - <&-'
    expect_status 74
}

@test "files and folders without permission are status 77" {
    mkdir shut
    echo x >shut/x
    echo x >closed.txt
    chmod 0 shut closed.txt
    chmod 755 "$dir"
    unprivileged=
    [ "$(id -u)" -ne 0 ] || unprivileged="setpriv --reuid 65534 --regid 65534 --clear-groups"
    run --separate-stderr $unprivileged "$(realpath "$(type -P catlatch)")" scan .
    if [ "$status" -eq 126 ] || [ "$status" -eq 127 ]; then skip "another user cannot reach the build"; fi
    expect_status 77
    [ "$stderr" = "catlatch: ./closed.txt: cannot be read: Permission denied
catlatch: ./shut: cannot be read: Permission denied" ]
}

@test "links in folders are not followed, special files and .git/objects are left out" {
    live=$(text_key cc_live_)
    mkdir tree other .git .git/objects .git/logs objects
    echo "$live" >other/a.txt
    ln -s ../other tree/link
    ln -s ../other/a.txt tree/file
    ln -s . tree/loop
    mkfifo tree/pipe
    run --separate-stderr catlatch scan tree
    expect_status 0
    [ -z "$output$stderr" ]
    run --separate-stderr catlatch scan tree/link tree/file
    expect_status 1
    [ "$output" = "tree/link/a.txt:1: ${live:0:15}…
tree/file:1: ${live:0:15}…" ]
    run --separate-stderr catlatch scan tree/pipe
    expect_status 65
    expect_text "$stderr" 'tree/pipe: neither a file nor a folder; "-" reads standard input'
    cp other/a.txt .git/objects
    run --separate-stderr catlatch scan .git tree
    expect_status 0
    cp other/a.txt .git/logs
    mv .git/objects/a.txt objects
    run --separate-stderr catlatch scan . objects
    expect_status 1
    [ "$(sed 's/:.*//' <<<"$output")" = "./.git/logs/a.txt
./objects/a.txt
./other/a.txt
objects/a.txt" ]
}

@test "names with control characters and broken UTF-8 are printed harmlessly" {
    live=$(text_key cc_live_)
    echo "$live" >$'a\nb\e[31m.txt'
    echo "$live" >$'b\xff\xc3\xa4.txt'
    run --separate-stderr catlatch scan .
    expect_status 1
    [ "$output" = "./a\\x0ab\\x1b[31m.txt:1: ${live:0:15}…
./b\\xffä.txt:1: ${live:0:15}…" ]
    run --separate-stderr catlatch scan --json .
    expect_status 1
    jq -e '.[0].file == "./a\nb\u001b[31m.txt" and .[1].file == "./b\\xffä.txt"' <<<"$output"
    run --separate-stderr catlatch scan $'no\nsuch'
    expect_status 74
    [ "$stderr" = 'catlatch: no\x0asuch: cannot be read: No such file or directory' ]
}

@test "a key in a name is reported as line 0 and masked wherever the name stands" {
    live=$(text_key cc_live_)
    mkdir "$live"
    echo "$live" >"$live/inside.txt"
    chmod 0 "$live/inside.txt"
    chmod u+r "$live/inside.txt"
    run --separate-stderr catlatch scan .
    expect_status 1
    masked=${live:0:15}$(printf '*%.0s' {1..35})
    [ "$output" = "./$masked:0: ${live:0:15}…
./$masked/inside.txt:1: ${live:0:15}…" ]
    run --separate-stderr catlatch scan --json .
    jq -e --arg file "./$masked" '.[0].file == $file and .[0].line == 0 and .[0].column == 1' <<<"$output"
    expect_no_key "$live"
}

@test "deep folders, long names and very long lines are no trouble" {
    live=$(text_key cc_live_)
    name=$(printf 'n%.0s' {1..250})
    (for i in {1..20}; do mkdir "$name" && cd "$name"; done && echo "$live" >a.txt)
    run --separate-stderr catlatch scan .
    expect_status 1
    [ "${#output}" -gt 5000 ]
    [[ $output == */a.txt:1:* ]]
    rm -rf "$name"
    run --separate-stderr catlatch scan "$name"
    expect_status 74
    expect_text "$stderr" "No such file"
    { head -c 20000000 /dev/zero | tr '\0' x; printf ' %s\n%s' "$live" "$live"; } >long.txt
    run --separate-stderr catlatch scan --json long.txt
    expect_status 1
    jq -e '[.[] | [.line, .column]] == [[1, 20000002], [2, 1]]' <<<"$output"
}

@test "memory stays small, whatever the size of the file" {
    truncate -s 2G big
    # A build that looks for leaks needs far more address space than it uses.
    nm "$(type -P catlatch)" 2>/dev/null | grep -q __asan_init && skip "not with ASan"
    run --separate-stderr bash -c 'ulimit -v 60000 && catlatch scan big'
    expect_status 0
}

@test "a key as an argument is refused, and a folder is needed" {
    run --separate-stderr catlatch scan "$(text_key cc_live_)"
    expect_status 64
    run --separate-stderr catlatch scan cc_live_0123456789abcdefghijklm
    expect_status 64
    run --separate-stderr catlatch scan
    expect_status 64
    expect_text "$stderr" "scan needs PATH..."
}

@test "a summary stands on stderr if that is a terminal" {
    text_key cc_live_ >a.txt
    run script -qec 'catlatch scan . >/dev/null' /dev/null
    expect_status 1
    expect_text "$output" "catlatch: 1 key found in 1 file, 0.0 MB"
}

@test "the gitleaks rule takes keys and neither the example nor what resembles a key" {
    toml=$(realpath "$BATS_TEST_DIRNAME/../../etc/gitleaks.toml")
    python3=/usr/bin/python3
    "$python3" -c 'import tomllib' 2>/dev/null || skip "this python3 has no tomllib"
    export CATLATCH_CONFIG=$dir/etc/catlatch.ini
    start_daemon
    for i in {1..20}; do
        make_key "k$i" --env test
        echo "k: \"$key\","
        make_key "k$i" --env live
        echo "$key"
    done >keys
    live=$(text_key cc_live_)
    printf '%s\n' "$example" "${live%?}" "${live}0" "${live/cc_live_/cc_prod_}" "${live/cc_/CC_}" \
        "${live:0:30}-${live:31}" >others
    grep -q "define KEY_EXAMPLE \"$example\"" "$BATS_TEST_DIRNAME/../../src/core/key.h"
    run "$python3" - "$toml" "$example" <<'PYTHON'
import re, sys, tomllib

config = tomllib.load(open(sys.argv[1], "rb"))
[rule] = config["rules"]
assert config["extend"] == {"useDefault": True}
assert set(rule) <= {"id", "description", "regex", "secretGroup", "keywords", "tags"}
regex = re.compile(rule["regex"])
# gitleaks looks at a text only if it holds a keyword, in lower case.
def found(text):
    match = any(word in text.lower() for word in rule["keywords"]) and regex.search(text)
    return match and match[rule["secretGroup"]]
for line in open("keys"):
    assert found(line) == re.search(r"cc_\w+", line)[0], "a key is missed"
    assert found(line.rstrip("\n")), "a key at the end is missed"
for line in open("others"):
    assert not found(line), line
[allowed] = [re.compile(r) for a in config["allowlists"] for r in a["regexes"]]
assert allowed.search(sys.argv[2])
assert not any(allowed.search(line) for line in open("keys"))
PYTHON
    expect_status 0
}

make_repository() {
    export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
    export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example
    unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE
    git init -q .
    install -m 755 "$BATS_TEST_DIRNAME/../../etc/pre-commit" "$(git rev-parse --git-path hooks)/pre-commit"
}

@test "the git hook refuses a commit with a key, by what is staged" {
    make_repository
    live=$(text_key cc_live_)
    echo "first, with $example" >'a file.txt'
    git add .
    git commit -qm first # also the one that has no parent
    mkdir sub
    printf 'x\nkey=%s\n' "$live" >'sub/b c.txt'
    echo harmless >c.txt
    git add .
    echo clean >'sub/b c.txt' # the work tree is not what is committed
    run --separate-stderr git commit -m second
    expect_status 1
    expect_text "$stderr" "./sub/b c.txt:2: ${live:0:15}…"
    expect_no_key "$live"
    [ "$(git rev-list --count HEAD)" -eq 1 ]
    git add .
    echo "$live" >'sub/b c.txt' # nor is this
    git commit -qm second
    [ "$(git rev-list --count HEAD)" -eq 2 ]
    [ -z "$(ls -d .git/catlatch-scan.* 2>/dev/null)" ]
    git commit -qam third --no-verify
    git rm -qr sub
    git commit -qm fourth
    run --separate-stderr bash -c 'git log -p --all | catlatch scan -' # what was removed is history
    expect_status 1
    [ "$(wc -l <<<"$output")" -eq 2 ]
}

@test "the git hook sees odd names, links, commit -a, deletions and linked work trees" {
    make_repository
    live=$(text_key cc_live_)
    printf 'a\n' >$'new\nline.txt'
    ln -s ./x link
    git add .
    git commit -qm first
    echo "$live" >$'new\nline.txt'
    run --separate-stderr git commit -am second
    expect_status 1
    expect_text "$stderr" 'new\x0aline.txt:1:'
    git rm -qf $'new\nline.txt'
    ln -sfn "/x/$live" link
    run --separate-stderr git commit -am second
    expect_status 1
    expect_text "$stderr" "./link:1:"
    expect_no_key "$live"
    ln -sfn ./y link
    git commit -qam second
    git worktree add -q "$dir/linked"
    cd "$dir/linked"
    echo "$live" >d.txt
    git add .
    run --separate-stderr git commit -m third
    expect_status 1
    expect_text "$stderr" "./d.txt:1:"
    rm d.txt
    git commit -qam third --allow-empty
}

@test "the git hook takes a relative configuration and refuses when it cannot look" {
    make_repository
    prod=$(text_key acme_)
    printf '[environments]\nprod = acme_\n' >c.ini
    echo "$prod" >a.txt
    git add .
    CATLATCH_CONFIG=c.ini run --separate-stderr git commit -m first
    expect_status 1
    expect_text "$stderr" "./a.txt:1: ${prod:0:15}…"
    CATLATCH_CONFIG=absent.ini run --separate-stderr git commit -m first
    expect_status 1
    expect_text "$stderr" "not all could be scanned (status 78)"
    PATH=/usr/bin:/bin run --separate-stderr git commit -m first
    expect_status 1
    expect_text "$stderr" "not in PATH"
    ! git rev-parse -q --verify HEAD
}
