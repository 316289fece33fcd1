#!/usr/bin/env bats
# Node: the addon in one process, in threads and in the workers of a cluster, with Node's own crypto in
# use beside it. CATLATCH_LONG=1 makes the full counts.

load ../cli/lib
load process
load web
load nginx

# Why Node cannot load the addon here; nothing where it can.
node_missing() {
    local tool
    for tool in node curl openssl; do
        command -v "$tool" >/dev/null || echo "$tool is not here (make deps)"
    done
    [ -e "$CATLATCH_BUILD/node/catlatch.node" ] ||
        echo "the addon was not built: Node's headers are not here (make deps)"
    ! nm -D "$CATLATCH_BUILD/libcatlatch.so" 2>/dev/null | grep -qE '__(asan|tsan|ubsan)_' ||
        echo "a Node that is not sanitized cannot load a sanitized library"
}

setup() {
    local missing
    missing=$(node_missing | head -n 1)
    [ -z "$missing" ] || skip "$missing"
    open_web_folder <<'INI'

[service default]
requisite = format
required = table
required = environment live
required = scope
required = address
required = limit

[service closed]
required = deny

[service waits]
required = socket
INI
    node_pid=
    mkdir "$dir/node_modules"
    ln -s "$(realpath "$CATLATCH_BUILD")/node" "$dir/node_modules/catlatch"
    cat >"$dir/server.js" <<'JS'
const http = require('node:http');
const cluster = require('node:cluster');
const { Latch } = require('catlatch');
if (cluster.isPrimary && process.argv[2]) {
  for (let i = 0; i < process.argv[2]; i++)
    cluster.fork();
  cluster.on('exit', () => cluster.fork());
} else {
  const config = process.env.CATLATCH_CONFIG;
  const doors = {
    '/hello': new Latch({ config }).middleware({ address: (r) => r.headers['x-address'] }),
    '/write': new Latch({ config }).middleware({ scopes: ['read', 'write'] }),
    '/closed': new Latch({ config, service: 'closed' }).middleware(),
  };
  http.createServer((request, response) => {
    response.setHeader('X-Pid', process.pid);
    doors[request.url](request, response, () => response.end(JSON.stringify(request.catlatch)));
  }).listen(process.env.PORT);
}
JS
}

teardown() {
    [ -z "${dir:-}" ] || {
        stop_node
        close_web_folder
    }
}

# A server on the socket that `fetch` asks. What it logs is looked through for keys.
start_node() { # SCRIPT [ARGUMENT...]
    PORT=$dir/web.sock node "$@" >>"$dir/error.log" 2>&1 3>&- &
    node_pid=$!
    until_true node_settled && kill -0 "$node_pid" || {
        tail -n 5 "$dir/error.log" >&2
        return 1
    }
}

node_settled() { # it answers, or it is gone
    fetch /hello || ! kill -0 "$node_pid"
}

stop_node() {
    [ -n "${node_pid:-}" ] || return 0
    kill "$node_pid" 2>/dev/null
    wait "$node_pid" 2>/dev/null || true
    node_pid=
}

@test "the README's example serves whose key is granted, and refuses and logs the others" {
    readme_code 'Node: keys in its own process' js >"$dir/example.js"
    [ "$(wc -l <"$dir/example.js")" -gt 5 ]
    launch catlatchd
    start_node "$dir/example.js"
    give_key reader --owner acme --scope orders:read --rate 100/1m
    [ "$(fetch_with "$key" /)" = 200 ]
    [ "$(cat "$dir/answer")" = 'hello, acme' ]
    [ "$(field ratelimit-policy)" = '"key";q=100;w=60' ]
    catlatch revoke "$id"
    expect_refused 401 invalid_api_key "$(fetch_with "$key" /)"
    until_true grep -qF "refused: revoked, key $id, request $(field x-request-id)" "$dir/error.log"
    give_key other
    expect_refused 403 insufficient_scope "$(fetch_with "$key" /)"
}

@test "each result has its status, challenge and code" {
    local each invalid='Bearer realm="api", error="invalid_token", error_description="Invalid API key"'
    start_node "$dir/server.js"
    expect_refused 503 verifier_unavailable \
        "$(fetch_with cc_live_0000000000000000000000000000000000000i6yS3 /hello)"
    [ "$(field retry-after)" = 5 ]
    launch catlatchd
    give_key good --owner acme --scope read
    until_true eval '[ "$(fetch_with "$key" /hello)" = 200 ]'
    jq -e --arg id "$id" '. == {granted: true, result: "valid", status: 200, keyId: $id, owner: "acme",
        name: "good", environment: "live", scopes: ["read"], expires: null, remaining: null,
        retryAfter: null}' "$dir/answer"
    expect_refused 403 insufficient_scope "$(fetch_with "$key" /write)"
    [ "$(field www-authenticate)" = 'Bearer realm="api", error="insufficient_scope", scope="read write"' ]
    [ "$(jq -c .required_scopes "$dir/answer")" = '["read","write"]' ]
    expect_refused 403 denied "$(fetch_with "$key" /closed)"
    expect_refused 401 missing_credentials "$(fetch /hello)"
    [ "$(field www-authenticate)" = 'Bearer realm="api"' ]
    expect_refused 400 invalid_request "$(fetch_with "$key" /hello -H 'Authorization: Bearer two')"
    give_key revoked
    catlatch revoke "$id"
    for each in "$key" nonsense cc_live_0000000000000000000000000000000000000i6yS3; do
        expect_refused 401 invalid_api_key "$(fetch_with "$each" /hello)"
        [ "$(field www-authenticate)" = "$invalid" ]
    done
    give_key limited --rate 1/366d
    [ "$(fetch_with "$key" /hello)" = 200 ]
    [ "$(jq .remaining "$dir/answer")" = 0 ]
    expect_refused 429 rate_limited "$(fetch_with "$key" /hello)"
    [[ $(field retry-after) =~ ^31[56][0-9]{5}$|^316[0-9]{5}$ ]]
    [ "$(field ratelimit-policy)" = '"key";q=1;w=31622400' ]
    give_key confined --allow 192.0.2.0/24
    [ "$(fetch_with "$key" /hello -H 'X-Address: 192.0.2.7')" = 200 ]
    expect_refused 403 ip_not_allowed "$(fetch_with "$key" /hello -H 'X-Address: 198.51.100.7')"
    expect_refused 403 ip_not_allowed "$(fetch_with "$key" /hello)"
    # A refusal that is in answer to HEAD has no body, and the connection goes on.
    [ "$(fetch /hello --head)" = 401 ]
}

@test "a revoked key is refused by every worker of a cluster once revoke has returned" {
    launch catlatchd
    start_node "$dir/server.js" 3
    local i n
    for ((i = 0; i < $(in_full 100 8); i++)); do
        give_key "key-$i"
        for ((n = 0; n < 3; n++)); do [ "$(fetch_with "$key" /hello)" = 200 ]; done
        catlatch revoke "$id"
        for ((n = 0; n < 6; n++)); do
            [ "$(fetch_with "$key" /hello)" = 401 ]
            field x-pid
        done >"$dir/pids"
        [ "$(sort -u "$dir/pids" | wc -l)" = 3 ]
    done
    # Killed workers are followed by others, and a daemon that is killed is not missed.
    give_key good
    for ((i = 0; i < 3; i++)); do
        kill -KILL "$(sort -u "$dir/pids" | sed -n "$((i + 1))p")"
        until_true eval '[ "$(fetch_with "$key" /hello)" = 200 ]'
    done
    end_daemon KILL || [ $? -eq 137 ]
    until_true eval '[ "$(fetch_with "$key" /hello)" = 200 ]'
    launch catlatchd
    catlatch revoke "$id"
    for ((n = 0; n < 6; n++)); do [ "$(fetch_with "$key" /hello)" = 401 ]; done
}

# Node with a script of a test's, the key on its standard input.
node_does() { # SCRIPT
    (cd "$dir" && node --expose-gc "$1" <<<"$key")
}

@test "Node's own crypto beside it, in threads too: both are right, each with its own OpenSSL" {
    launch catlatchd
    give_key good
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/tls.key" -out "$dir/tls.crt" -days 1 \
        -subj /CN=localhost 2>/dev/null
    cat >"$dir/beside.js" <<'JS'
const assert = require('node:assert');
const crypto = require('node:crypto');
const fs = require('node:fs');
const tls = require('node:tls');
const { promisify } = require('node:util');
const { Worker, isMainThread, workerData } = require('node:worker_threads');
const { Latch } = require('catlatch');

async function work(key, rounds) {
  const latch = new Latch({ config: process.env.CATLATCH_CONFIG });
  const valid = () => assert.equal(latch.verify(`Bearer ${key}`).result, 'valid');
  const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  const server = tls.createServer({ key: fs.readFileSync('tls.key'), cert: fs.readFileSync('tls.crt') },
    (socket) => { valid(); socket.end('served'); });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  for (let i = 0; i < rounds; i++) {
    const half = crypto.createHash('sha256').update('a');
    valid();
    assert.equal(half.update('bc').digest('hex'), abc);
    const sent = crypto.randomBytes(40);
    const cipher = crypto.createCipheriv('aes-256-gcm', sent.subarray(0, 32), sent.subarray(0, 12));
    valid();
    const hidden = Buffer.concat([cipher.update(sent), cipher.final()]);
    const back = crypto.createDecipheriv('aes-256-gcm', sent.subarray(0, 32), sent.subarray(0, 12));
    back.setAuthTag(cipher.getAuthTag());
    assert(Buffer.concat([back.update(hidden), back.final()]).equals(sent));
    assert.equal(latch.verifyKey(`${key}x`).result, 'malformed');
    if (i % 500 === 0) {
      const slow = promisify(crypto.scrypt)('a', 'b', 32);
      const digest = crypto.webcrypto.subtle.digest('SHA-256', Buffer.from('abc'));
      valid();
      assert.equal(Buffer.from(await digest).toString('hex'), abc);
      assert.equal((await slow).length, 32);
      const socket = tls.connect({ port: server.address().port, host: '127.0.0.1', rejectUnauthorized: false });
      let said = '';
      for await (const part of socket)
        said += part;
      assert.equal(said, 'served');
    }
  }
  server.close();
}

if (isMainThread) {
  const key = fs.readFileSync(0, 'utf8').trim();
  const rounds = Number(process.env.ROUNDS);
  const threads = [1, 2].map(() => new Worker(__filename, { workerData: { key, rounds } }));
  const ended = threads.map((thread) => new Promise((resolve, reject) => {
    thread.on('error', reject);
    thread.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`exit ${code}`))));
  }));
  Promise.all([work(key, rounds), ...ended]).then(() => console.log('right'));
} else {
  work(workerData.key, workerData.rounds);
}
JS
    [ "$(ROUNDS=$(in_full 100000 2000) node_does beside.js)" = right ]
    # Whose code it is that the library hashes with.
    (cd "$dir" && LD_DEBUG=bindings LD_DEBUG_OUTPUT="$dir/bindings" node -e "require('catlatch')")
    cat "$dir"/bindings.* | grep 'binding file [^ ]*/libcatlatch[.]so' | grep -E "symbol .SHA256_" >"$dir/hashing"
    [ "$(wc -l <"$dir/hashing")" -ge 3 ]
    run ! grep -v ' to [^ ]*/libcrypto[.]so[.]3 ' "$dir/hashing"
}

@test "what is wrong is an exception that holds no key, and what is closed stays closed" {
    launch catlatchd
    give_key good
    cat >"$dir/wrong.js" <<'JS'
const assert = require('node:assert');
const fs = require('node:fs');
const { Latch, Outcome } = require('catlatch');
const native = { exports: {} };
process.dlopen(native, require('node:path').join(__dirname, 'node_modules/catlatch/catlatch.node'));
const key = fs.readFileSync(0, 'utf8').trim();
const config = process.env.CATLATCH_CONFIG;
const latch = new Latch({ config });
const known = latch.verifyKey(key);
const raw = native.exports.verify(native.exports.open(config), 0, null);
const thrown = [];
for (const wrong of [
  () => latch.verifyKey(undefined),
  () => latch.verifyKey([key]),
  () => latch.verify({ key }),
  () => latch.verify(7),
  () => latch.verifyKey(key, { scopes: ['no scope'] }),
  () => latch.verifyKey(key, { scopes: key }),
  () => latch.verifyKey(key, { scopes: [[key]] }),
  () => latch.verifyKey(key, { scopes: ['x'.repeat(65)] }),
  () => latch.verifyKey(key, { address: 7 }),
  () => latch.verifyKey(key, { address: '192.0.2.7\0' }),
  () => latch.recheck(key),
  () => latch.recheck(latch),
  () => known.headers('"'),
  () => known.headers('api', {}),
  () => known.body(7),
  () => Latch.prototype.verify.call({}, key),
  () => native.exports.verify(known, 0, key),
  () => native.exports.verify({}, 0, key),
  () => native.exports.verify(raw.native, 0, key),
  () => native.exports.verify(),
  () => native.exports.headers(),
  () => new Latch({ config: 7 }),
  () => new Latch({ config, service: 'nowhere' }),
  () => new Latch({ config, service: 'waits' }),
  () => new Latch({ config: '/nowhere/catlatch.ini' }),
  () => { 'use strict'; known.granted = true; },
]) {
  assert.throws(wrong, (error) => thrown.push(`${error}\n${error.stack}`) > 0, String(wrong));
}
assert(!thrown.join().includes(key.slice(0, 40)));
assert(thrown.some((text) => text.includes('no [service nowhere]')));
assert(!require('node:util').inspect([latch, known], { showHidden: true, depth: 9 }).includes(key.slice(0, 40)));
assert.deepEqual(['valid', 'insufficient_scope'],
  [latch.recheck(known).result, latch.recheck(known, { scopes: ['more'] }).result]);
assert.deepEqual(['missing', 'missing', 'valid', 'invalid_request', 'malformed'],
  [null, [], [`Bearer ${key}`], [`Bearer ${key}`, 'Basic x'], `Bearer ${'x'.repeat(9000)}`]
    .map((sent) => latch.verify(sent).result));
const types = fs.readFileSync('node_modules/catlatch/index.d.ts', 'utf8');
assert.deepEqual([...types.matchAll(/^  readonly (\w+):/gm)].map((found) => found[1]), Object.keys(known));
assert.deepEqual([...types.matchAll(/^  (\w+)\(/gm)].map((found) => found[1]).sort(),
  [Latch, Outcome].flatMap((c) => Object.getOwnPropertyNames(c.prototype)).sort()
    .filter((name, i, all) => i === 0 || name !== 'constructor' || all[i - 1] !== name));
latch.close();
latch.close();
assert.throws(() => latch.verifyKey(key), { code: 'ERR_CATLATCH_CLOSED' });
console.log('right');
JS
    [ "$(node_does wrong.js)" = right ]
    run node --input-type=module -e "import { Latch } from '$dir/node_modules/catlatch/index.js'; new Latch({ service: 'x' })"
    expect_text "$output" ERR_CATLATCH_OPEN
}

@test "nothing grows: not by verifying, nor by handles that nobody holds any more" {
    launch catlatchd
    give_key good
    cat >"$dir/grow.js" <<'JS'
const assert = require('node:assert');
const fs = require('node:fs');
const { setTimeout: later } = require('node:timers/promises');
const { Latch } = require('catlatch');
const key = fs.readFileSync(0, 'utf8').trim();
const config = process.env.CATLATCH_CONFIG;
const scopes = ['r'.repeat(60), 'w'.repeat(60)];
const own = () => Number(/^RssAnon:\s+(\d+)/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]);
async function ask(times) {
  const latch = new Latch({ config });
  for (let i = 0; i < times; i++) {
    const outcome = latch.verify(`Bearer ${key}`, { scopes });
    assert.equal(outcome.result, 'insufficient_scope');
    outcome.headers();
    outcome.body();
    if (i % 1000 === 0) {
      global.gc();
      await later(0); // what is freed is freed between two turns of the loop
    }
  }
}
(async () => {
  await ask(10000);
  global.gc();
  const before = own();
  for (let i = 0; i < 5; i++)
    await ask(Number(process.env.TIMES));
  global.gc();
  await later(0);
  assert(own() < before + 4096, `${before} KiB before, ${own()} KiB after`);
  // Node ends though a latch is open.
  new Latch({ config });
  console.log('right');
})();
JS
    [ "$(TIMES=$(in_full 200000 12000) node_does grow.js)" = right ]
}
