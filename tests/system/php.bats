#!/usr/bin/env bats
# PHP: the extension in php-fpm's children and on the command line, and what nginx tells PHP where it
# has verified the key itself. CATLATCH_LONG=1 makes the full counts.

load ../cli/lib
load process
load web
load nginx
load php

setup() {
    need_php
    open_php_folder <<'INI'

[service default]
requisite = format
required = table
required = environment live
required = scope
required = address
required = limit

[service closed]
required = deny
INI
    cat >"$dir/html/ask.php" <<'PHP'
<?php
$outcome = Catlatch\Latch::open($_GET['service'] ?? null)->verify(
    $_SERVER['HTTP_AUTHORIZATION'] ?? null,
    isset($_GET['scope']) ? explode(' ', $_GET['scope']) : [],
    $_GET['address'] ?? null,
);
$outcome->send();
header('X-Pid: ' . getmypid());
if ($outcome->granted)
    echo json_encode($outcome);
PHP
}

teardown() {
    [ -z "${dir:-}" ] || {
        touch "$dir/stop"
        close_php_folder
    }
}

@test "the README's example serves whose key is granted, and refuses and logs the others" {
    begin_php 1 <<<"$(php_location)"
    readme_code 'PHP: keys in php-fpm' php >"$dir/html/orders.php"
    [ "$(wc -l <"$dir/html/orders.php")" -gt 5 ]
    give_key reader --owner acme --scope orders:read --rate 100/1m
    [ "$(fetch_with "$key" /orders.php)" = 200 ]
    [ "$(cat "$dir/answer")" = 'hello, acme' ]
    [ "$(field ratelimit-policy)" = '"key";q=100;w=60' ]
    [ -z "$(field x-request-id)" ]
    catlatch revoke "$id"
    expect_refused 401 invalid_api_key "$(fetch_with "$key" /orders.php)"
    until_true grep -qF "refused: revoked, key $id, request $(field x-request-id)" "$dir/fpm.log"
    give_key other
    expect_refused 403 insufficient_scope "$(fetch_with "$key" /orders.php)"
    expect_refused 401 missing_credentials "$(fetch /orders.php)"
}

# What nginx says at its own door and what PHP says are one answer, but for the request's id, and of
# two 429s the time between them.
expect_same() { # KEY PATH-AT-THE-DOOR PATH-OF-PHP
    local path
    : >"$dir/answers"
    for path in "$2" "$3"; do
        fetch_with "$1" "$path" >/dev/null
        cat "$dir/head" "$dir/answer" >>"$dir/answers"
    done
    /usr/bin/python3 - "$dir/answers" <<'PY'
import json, re, sys
answers = re.split(r"(?m)^(?=HTTP/)", open(sys.argv[1]).read())[1:]
def shape(answer):
    head, body = re.split(r"\r?\n\r?\n", answer, maxsplit=1)
    fields = {name.lower(): value for name, value in re.findall(r"(?m)^([\w-]+): (.*?)\r?$", head)}
    body = json.loads(body)
    assert body.pop("request_id") == fields.pop("x-request-id") and fields["cache-control"] == "no-store"
    for name in ("server", "date", "connection", "transfer-encoding", "content-length", "x-powered-by", "x-pid"):
        fields.pop(name, None)
    for name in ("retry-after", "ratelimit"):
        fields[name] = re.sub(r"\d{4}\b", "....", fields.get(name, ""))
    return head.split()[1], fields, body
seen = [shape(answer) for answer in answers]
if len(seen) != 2 or seen[0] != seen[1]:
    sys.exit("not the same:\n" + "\n".join(map(str, seen)))
PY
}

@test "each refusal is the one that nginx gives: status, fields and body" {
    begin_php 1 <<CONF
        location /door { catlatch on; }
        location /door/write { catlatch on; catlatch_scope read write; }
        location /door/closed { catlatch on; catlatch_service closed; }
$(php_location)
CONF
    give_key revoked
    catlatch revoke "$id"
    expect_same "$key" /door /ask.php
    give_key disabled
    catlatch disable "$id"
    expect_same "$key" /door /ask.php
    give_key later --not-before 2099-01-01T00:00:00Z
    expect_same "$key" /door /ask.php
    give_key test --env test
    expect_same "$key" /door /ask.php
    give_key spent --uses 1
    [ "$(fetch_with "$key" /ask.php)" = 200 ]
    expect_same "$key" /door /ask.php
    give_key limited --rate 1/366d
    [ "$(fetch_with "$key" /ask.php)" = 200 ]
    [ "$(jq .remaining "$dir/answer")" = 0 ]
    [[ $(field ratelimit) =~ ^\"key\"\;r=0\;t=316224 ]]
    expect_same "$key" /door /ask.php
    give_key good
    expect_same "$key" /door/write '/ask.php?scope=read+write'
    expect_same "$key" /door/closed '/ask.php?service=closed'
    expect_same nonsense /door /ask.php
    expect_same cc_live_0000000000000000000000000000000000000i6yS3 /door /ask.php
    expect_same '' /door /ask.php
    give_key confined --allow 192.0.2.0/24
    expect_same "$key" /door /ask.php
    expect_same "$key" /door '/ask.php?address=198.51.100.7'
    expect_refused 401 missing_credentials "$(fetch /ask.php)"
    # A child that begins when there is no table.
    stop_fpm
    stop_daemon
    rm "$dir/run/table" "$dir/fpm.log"
    start_fpm
    expect_refused 503 verifier_unavailable "$(fetch_with "$key" /ask.php)"
    [ "$(field retry-after)" = 5 ]
}

@test "an outcome tells of a granted key whose it is, and of a refused one its id alone" {
    begin_php 1 <<<"$(php_location)"
    give_key first --owner acme --scope read --scope write --allow 192.0.2.0/24 \
        --expires 2099-01-01T00:00:00Z --rate 100/1m
    [ "$(fetch_with "$key" '/ask.php?scope=read&address=192.0.2.7')" = 200 ]
    jq -e --arg id "$id" '. == {granted: true, result: "valid", status: 200, keyId: $id, owner: "acme",
        name: "first", environment: "live", scopes: ["read", "write"], expires: 4070908800,
        remaining: 99, retryAfter: null}' "$dir/answer"
    php_does -r '
        $outcome = Catlatch\Latch::open()->verifyKey(trim(fgets(STDIN)), ["read"], "198.51.100.7");
        echo json_encode($outcome);' <<<"$key" >"$dir/answer"
    jq -e --arg id "$id" '. == {granted: false, result: "ip_not_allowed", status: 403, keyId: $id,
        owner: null, name: null, environment: null, scopes: [], expires: null, remaining: null,
        retryAfter: null}' "$dir/answer"
    catlatch revoke "$id"
    until_true eval '[ "$(catlatch show --json "$id" | jq "[.use_count, .refused_count] == [1, 1]")" = true ]'
}

# Asks by as many requests as there are children, each of which waits for all the others: so every
# child has one of them. Prints what they said.
ask_all_children() { # KEY COUNT
    local i
    rm -rf "$dir/at" && mkdir -m 777 "$dir/at"
    for ((i = 0; i < $2; i++)); do
        curl -sS --max-time 20 --unix-socket "$dir/web.sock" -H @- http://localhost/together.php \
            <<<"Authorization: Bearer $1" 3>&- &
    done
    wait $(jobs -p | grep -vxF -e "$daemon_pid" -e "$fpm_pid" -e "$nginx_pid" -e "${load_pid:-0}")
}

write_together() { # COUNT
    cat >"$dir/html/together.php" <<PHP
<?php
\$outcome = Catlatch\Latch::open()->verify(\$_SERVER['HTTP_AUTHORIZATION']);
touch('$dir/at/' . getmypid());
for (\$i = 0; count(glob('$dir/at/*')) < $1 && \$i < 10000; \$i++)
    usleep(1000);
echo \$outcome->result, "\n";
PHP
}

@test "a revoked key is refused by every child once revoke has returned, under load" {
    write_together 3
    write_fpm 4 </dev/null
    begin_php 4 <<<"$(php_location)"
    local i
    give_key good
    echo "$key" >"$dir/good"
    give_key bad
    echo "$key" >"$dir/bad"
    catlatch revoke "$id"
    cat >"$dir/html/load.php" <<'PHP'
<?php
$outcome = Catlatch\Latch::open()->verify($_SERVER['HTTP_AUTHORIZATION']);
http_response_code($outcome->status);
header('Content-Length: 0');
PHP
    # The fourth child is kept busy.
    /usr/bin/python3 "$BATS_TEST_DIRNAME/web_load.py" "$dir/web.sock" /load.php "$dir/good" "$dir/bad" \
        "$dir/stop" 1 >"$dir/load" 2>&1 3>&- &
    load_pid=$!
    for ((i = 0; i < $(in_full 100 5); i++)); do
        give_key "key-$i"
        [ "$(ask_all_children "$key" 3 | tr '\n' ' ')" = 'valid valid valid ' ]
        catlatch revoke "$id"
        [ "$(ask_all_children "$key" 3 | tr '\n' ' ')" = 'revoked revoked revoked ' ]
    done
    touch "$dir/stop"
    wait "$load_pid"
    sed 's/^/# /' "$dir/load" >&3
}

@test "a rate is charged once by all children together, and what is refused otherwise charges nothing" {
    write_together 3
    begin_php 3 <<<"$(php_location)"
    give_key limited --rate 10/366d
    local i
    for ((i = 0; i < 3; i++)); do
        [ "$(fetch_with "$key" '/ask.php?scope=none')" = 403 ]
    done
    for ((i = 0; i < 5; i++)); do ask_all_children "$key" 3; done >"$dir/all"
    [ "$(grep -c '^valid$' "$dir/all")" = 10 ]
    [ "$(grep -c '^rate_limited$' "$dir/all")" = 5 ]
}

# What the keeper knows of the handles of a process.
handles() { # PID
    catlatch stats --json | jq -c ".processes | map(select(.pid == $1))"
}

@test "a handle outlives requests, in each child its own, and goes with the child" {
    write_fpm 1 <<<'pm.max_requests = 30'
    begin_php 1 <<<"$(php_location)"
    give_key good
    local i pid
    fetch_with "$key" /ask.php
    pid=$(field x-pid)
    for ((i = 0; i < 28; i++)); do fetch_with "$key" /ask.php; done >/dev/null
    until_true eval '[ "$(handles $pid | jq "length == 1 and .[0].results.valid == 29")" = true ]'
    # The next one is its last.
    [ "$(fetch_with "$key" /ask.php)" = 200 ]
    [ "$(field x-pid)" = "$pid" ]
    [ "$(fetch_with "$key" /ask.php)" = 200 ]
    [ "$(field x-pid)" != "$pid" ]
    until_true eval '[ "$(handles $pid)" = "[]" ]'
    pid=$(field x-pid)
    # Of another service it has another one.
    [ "$(fetch_with "$key" '/ask.php?service=closed')" = 403 ]
    until_true eval '[ "$(handles $pid | jq length)" = 2 ]'
}

@test "killed children and a daemon that comes and goes: no wrong answer" {
    write_together 2
    begin_php 2 <<<"$(php_location)"
    give_key good
    local i pid good=$key
    for ((i = 0; i < $(in_full 50 5); i++)); do
        [ "$(fetch_with "$good" /ask.php)" = 200 ]
        pid=$(field x-pid)
        kill -KILL "$pid"
        until_true eval '[ "$(pgrep -P "$fpm_pid" | grep -vx $pid | wc -l)" -eq 2 ]'
    done
    # Children that have the table do without a daemon; a new one's table is taken at once.
    [ "$(ask_all_children "$good" 2 | tr '\n' ' ')" = 'valid valid ' ]
    end_daemon KILL || [ $? -eq 137 ]
    [ "$(ask_all_children "$good" 2 | tr '\n' ' ')" = 'valid valid ' ]
    launch catlatchd
    [ "$(ask_all_children "$good" 2 | tr '\n' ' ')" = 'valid valid ' ]
    catlatch revoke --key-stdin --yes <<<"$good"
    [ "$(ask_all_children "$good" 2 | tr '\n' ' ')" = 'revoked revoked ' ]
}

@test "a child does not grow, with scripts from opcache, whatever is asked" {
    cat >"$dir/html/grow.php" <<'PHP'
<?php
function ask(string $header): void
{
    $latch = Catlatch\Latch::open();
    foreach ([[], ['read', 'write']] as $scopes) {
        $outcome = $latch->verify($header, $scopes);
        $outcome->headers();
        $outcome->body();
        $latch->recheck($outcome, $scopes);
    }
    try {
        $latch->verify($header, ['no scope']);
    } catch (ValueError) {
    }
    try {
        Catlatch\Latch::open('nowhere');
    } catch (Catlatch\Exception) {
    }
}
ask($_SERVER['HTTP_AUTHORIZATION']);
$before = memory_get_usage();
for ($i = 0; $i < $_GET['times']; $i++)
    ask($_SERVER['HTTP_AUTHORIZATION']);
if (memory_get_usage() !== $before)
    echo "grew by ", memory_get_usage() - $before;
if (!isset(opcache_get_status()['scripts'][__FILE__]))
    echo 'not from opcache';
PHP
    write_fpm 1 </dev/null
    begin_php 1 <<<"$(php_location)"
    local pid before after
    resident() { awk '$1 == "RssAnon:" { print $2 }' "/proc/$pid/status"; }
    several() { # TIMES EACH
        local i
        for ((i = 0; i < $1; i++)); do echo "url = http://localhost/grow.php?times=$2"; done >"$dir/urls"
        echo "header = \"Authorization: Bearer $key\"" >>"$dir/urls"
        curl -sSf --unix-socket "$dir/web.sock" -K "$dir/urls" >"$dir/answer"
        rm "$dir/urls"
        [ ! -s "$dir/answer" ] || { cat "$dir/answer"; return 1; }
    }
    give_key good
    fetch_with "$key" /ask.php
    pid=$(field x-pid)
    several 100 2
    before=$(resident)
    several "$(in_full 20000 500)" 2
    several 1 "$(in_full 100000 2000)"
    after=$(resident)
    fetch_with "$key" /ask.php
    [ "$(field x-pid)" = "$pid" ]
    echo "# the child: $before KiB before, $after KiB after" >&3
    [ "$after" -le $((before + 200)) ]
}

@test "nginx at the door: PHP is told the owner, and not the key, and nobody can forge it" {
    cat >"$dir/html/behind.php" <<'PHP'
<?php
echo json_encode(array_filter($_SERVER, fn($name) => str_contains($name, 'CATLATCH')
    || str_contains($name, 'AUTH'), ARRAY_FILTER_USE_KEY));
PHP
    readme_code 'PHP: keys in php-fpm' nginx >"$dir/location"
    grep -q 'fastcgi_param CATLATCH_OWNER' "$dir/location"
    sed -i -e "s|unix:/run/php/[^;]*|unix:$dir/php.sock|; s|include |&/etc/nginx/|" "$dir/location"
    begin_php 1 <"$dir/location"
    give_key first --owner acme --scope orders:read
    [ "$(fetch_with "$key" /behind.php -H 'CATLATCH_OWNER: mallory' -H 'Catlatch-Owner: mallory')" = 200 ]
    jq -e --arg id "$id" '. == {CATLATCH_OWNER: "acme", CATLATCH_KEY_ID: $id, CATLATCH_SCOPES: "orders:read",
        HTTP_CATLATCH_OWNER: "mallory"}' "$dir/answer"
    catlatch revoke "$id"
    expect_refused 401 invalid_api_key "$(fetch_with "$key" /behind.php)"
    expect_refused 401 missing_credentials "$(fetch /behind.php -H 'Catlatch-Owner: mallory')"
    ! grep -q php "$dir/answer"
}

@test "settings are the administrator's: of the pool, of nginx, and never of a script" {
    cat >"$dir/html/set.php" <<'PHP'
<?php
var_export(ini_set('catlatch.config', '/nowhere'));
var_export(ini_set('catlatch.service', 'default'));
PHP
    write_fpm 1 <<<'php_admin_value[catlatch.service] = closed'
    begin_php 1 <<CONF
        location ^~ /other/ {
            rewrite ^/other(/.*) \$1 break;
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME \$document_root\$fastcgi_script_name;
            fastcgi_param PHP_ADMIN_VALUE "catlatch.service=default";
            fastcgi_pass unix:$dir/php.sock;
        }
$(php_location)
CONF
    give_key good
    [ "$(fetch_with "$key" /set.php)" = 200 ]
    [ "$(cat "$dir/answer")" = falsefalse ]
    [ "$(fetch_with "$key" /ask.php)" = 403 ]
    [ "$(fetch_with "$key" /other/ask.php)" = 200 ]
    [ "$(fetch_with "$key" '/ask.php?service=default')" = 200 ]
}

@test "a configuration that cannot be had is an exception that says why, and 500" {
    begin_php 1 <<<"$(php_location)"
    give_key good
    [ "$(fetch_with "$key" '/ask.php?service=nowhere')" = 500 ]
    grep -qF "Uncaught Catlatch\Exception: no [service nowhere] in $CATLATCH_CONFIG; there is default, closed" \
        "$dir/fpm.log"
    run php_does -d catlatch.config="$dir/none.ini" -r 'Catlatch\Latch::open();'
    expect_status 255
    expect_text "$output" "$dir/none.ini"
}

@test "no key is in an exception, its trace, or a dump" {
    launch catlatchd
    give_key good
    cat >"$dir/throw.php" <<'PHP'
<?php
ini_set('zend.exception_ignore_args', 0);
ini_set('zend.exception_string_param_max_len', 1000);
$key = trim(fgets(STDIN));
$latch = Catlatch\Latch::open();
foreach ([
    fn() => $latch->verify("Bearer $key", ['no scope']),
    fn() => $latch->verifyKey($key, [[]]),
    fn() => $latch->verify("Bearer $key", [], "1.2.3.4\0"),
    fn() => $latch->verify("Bearer $key", 7),
    fn() => $latch->verifyKey($key, [], []),
    fn() => $latch->verifyKey($key)->headers('"'),
    fn() => $latch->verifyKey($key, [], null, 4),
] as $each) {
    try {
        $each();
        echo "nothing was thrown\n";
    } catch (Throwable $thrown) {
        echo get_class($thrown), ': ', $thrown->getMessage(), "\n";
        print_r($thrown->getTrace());
    }
}
var_dump($latch, $latch->verifyKey($key));
PHP
    php_does "$dir/throw.php" <<<"$key" >"$dir/thrown"
    [ "$(grep -cE '^(ValueError|TypeError|ArgumentCountError): ' "$dir/thrown")" = 7 ]
    ! grep -q 'nothing was thrown' "$dir/thrown"
    [ "$(grep -c 'SensitiveParameterValue Object' "$dir/thrown")" = 6 ]
    ! grep -qF "${key:0:40}" "$dir/thrown"
}

@test "its signatures are those of the stub, and nobody makes, copies, changes or keeps its objects" {
    sed 's/^namespace Catlatch;/namespace Stub;/; s/): \(Latch\|Outcome\)/): \\Catlatch\\\1/; s/Outcome \$known/\\Catlatch\\&/' \
        "$BATS_TEST_DIRNAME/../../plugin/php/catlatch.stub.php" >"$dir/stub.php"
    cat >"$dir/compare.php" <<'PHP'
<?php
require $argv[1];
function shape(string $class): string
{
    $reflected = new ReflectionClass($class);
    $said = 'is ' . implode(' ', Reflection::getModifierNames($reflected->getModifiers()))
        . ' from ' . ($reflected->getParentClass() ?: null)?->getName() . "\n";
    foreach ($reflected->getMethods() as $method) {
        if ($method->class !== $class)
            continue;
        $said .= implode(' ', Reflection::getModifierNames($method->getModifiers())) . " $method->name(";
        foreach ($method->getParameters() as $of) {
            $said .= implode(' ', array_map(fn($a) => '#' . $a->getName(), $of->getAttributes()))
                . " {$of->getType()} $of->name"
                . ($of->isDefaultValueAvailable() ? '=' . json_encode($of->getDefaultValue()) : '') . ',';
        }
        $said .= "): {$method->getReturnType()}\n";
    }
    foreach ($reflected->getProperties() as $of)
        if ($of->class === $class)
            $said .= implode(' ', Reflection::getModifierNames($of->getModifiers()))
                . " {$of->getType()} $of->name\n";
    return $said;
}
foreach (['Exception', 'Latch', 'Outcome'] as $class) {
    if (shape("Stub\\$class") !== shape("Catlatch\\$class"))
        echo "$class differs:\n", shape("Stub\\$class"), shape("Catlatch\\$class");
    if (strlen(shape("Catlatch\\$class")) < 20)
        echo "$class: nothing was compared\n";
}
PHP
    php_does "$dir/compare.php" "$dir/stub.php" | tee "$dir/compared"
    [ ! -s "$dir/compared" ]
    launch catlatchd
    run php_does -r '
        $latch = Catlatch\Latch::open();
        $outcome = $latch->verify(null);
        foreach ([
            fn() => new Catlatch\Latch,
            fn() => new Catlatch\Outcome,
            fn() => clone $latch,
            fn() => clone $outcome,
            fn() => serialize($latch),
            fn() => serialize($outcome),
            fn() => unserialize("O:16:\"Catlatch\\Outcome\":0:{}"),
            fn() => (new ReflectionClass($outcome))->newInstanceWithoutConstructor(),
            fn() => $outcome->granted = true,
            fn() => $outcome->more = 1,
        ] as $each)
            try { $each(); echo "let pass\n"; } catch (Throwable) { }
        echo $outcome->result;'
    expect_status 0
    [ "$output" = missing ]
    run php_does --ri catlatch
    expect_text "$output" "catlatch.config => $CATLATCH_CONFIG => $CATLATCH_CONFIG"
}

@test "both sides of a fork verify, each by a line of its own" {
    [ -n "$(php_does -r 'echo function_exists("pcntl_fork");' 2>/dev/null)" ] ||
        skip "PHP has no pcntl"
    launch catlatchd
    give_key good
    php_does -r '
        $key = trim(fgets(STDIN));
        $latch = Catlatch\Latch::open();
        echo $latch->verifyKey($key)->result, "\n";
        for ($i = 0; $i < 3; $i++)
            if (pcntl_fork() === 0) {
                for ($n = 0; $n < 1000; $n++)
                    $said = $latch->verifyKey($key)->result;
                exit("$said\n");
            }
        while (pcntl_wait($status) > 0)
            ;
        echo $latch->verifyKey($key)->result, "\n";' <<<"$key" >"$dir/forked" 2>/dev/null
    [ "$(sort "$dir/forked" | uniq -c | tr -s ' ')" = ' 5 valid' ]
    until_true eval '[ "$(catlatch show --json $id | jq .use_count)" = 3002 ]'
}
