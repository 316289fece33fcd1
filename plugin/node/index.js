'use strict';
// API keys in Node: requests are verified in the process that answers them, by libcatlatch.

const crypto = require('node:crypto');
const os = require('node:os');
const path = require('node:path');

// Node can have an OpenSSL of its own, and shows it to whatever is loaded. The library is to find the
// one that it was linked with: RTLD_DEEPBIND looks there first.
const addon = { exports: {} };
process.dlopen(addon, path.join(__dirname, 'catlatch.node'),
  os.constants.dlopen.RTLD_NOW | os.constants.dlopen.RTLD_DEEPBIND);
const native = addon.exports;

// How a key was sent, as the addon counts it.
const SENT_IN_HEADER = 0;
const SENT_ALONE = 1;
const SENT_TWICE = 2;

// Idle processes let go of tables that were followed by others.
const REFRESH_MS = 10000;

class Outcome {
  #native;

  constructor(made) {
    this.#native = made.native;
    this.granted = made.result === 'valid';
    this.result = made.result;
    this.status = made.status;
    this.keyId = made.keyId ?? null;
    this.owner = made.owner ?? null;
    this.name = made.name ?? null;
    this.environment = made.environment ?? null;
    this.scopes = made.scopes ? made.scopes.split(' ') : [];
    this.expires = made.expires ?? null;
    this.remaining = made.remaining ?? null;
    this.retryAfter = made.retryAfter ?? null;
    Object.freeze(this);
  }

  headers(realm, requestId) {
    return native.headers(this.#native, realm, requestId);
  }

  body(requestId) {
    return native.body(this.#native, requestId);
  }

  static nativeOf(outcome) {
    return outcome.#native;
  }
}
const { nativeOf } = Outcome;
delete Outcome.nativeOf;

class Latch {
  #native;
  #timer;

  constructor({ config, service } = {}) {
    this.#native = native.open(config, service);
    const weak = new WeakRef(this);
    const timer = setInterval(() => {
      const latch = weak.deref();
      if (latch)
        native.refresh(latch.#native);
      else
        clearInterval(timer);
    }, REFRESH_MS);
    timer.unref();
    this.#timer = timer;
  }

  verify(authorization, { scopes, address } = {}) {
    let sent = SENT_IN_HEADER;
    if (Array.isArray(authorization)) {
      if (authorization.length > 1)
        sent = SENT_TWICE;
      [authorization] = authorization;
    }
    return new Outcome(native.verify(this.#native, sent, authorization, scopes, address));
  }

  verifyKey(key, { scopes, address } = {}) {
    if (typeof key !== 'string')
      throw new TypeError('a key must be a string');
    return new Outcome(native.verify(this.#native, SENT_ALONE, key, scopes, address));
  }

  recheck(known, { scopes, address } = {}) {
    return new Outcome(native.recheck(this.#native, nativeOf(known), scopes, address));
  }

  middleware({ scopes, realm, address = addressOf, refused } = {}) {
    return (request, response, next) => {
      const outcome = this.verify(request.headersDistinct.authorization,
        { scopes, address: address(request) });
      request.catlatch = outcome;
      if (outcome.granted) {
        for (const [name, value] of Object.entries(outcome.headers(realm)))
          response.setHeader(name, value);
        next();
        return;
      }
      const requestId = crypto.randomBytes(16).toString('hex');
      const body = outcome.body(requestId);
      refused?.(outcome, requestId, request);
      response.writeHead(outcome.status,
        { ...outcome.headers(realm, requestId), 'Content-Length': Buffer.byteLength(body) });
      response.end(body);
    };
  }

  close() {
    clearInterval(this.#timer);
    native.close(this.#native);
  }
}

// Of a unix socket there is none.
function addressOf(request) {
  return request.socket.remoteAddress;
}

module.exports = { Latch, Outcome };
