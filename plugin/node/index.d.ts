import type { IncomingMessage, ServerResponse } from 'node:http';

/** What a request must have, beside a key. */
export interface Needs {
  /** That the key must have, all of them. */
  scopes?: readonly string[];
  /** The peer's. Behind proxies: X-Forwarded-For, a comma, and the peer's. */
  address?: string;
}

export interface Options {
  /** The configuration; <sysconfdir>/catlatch/catlatch.ini. */
  config?: string;
  /** "default". Services with a line that may wait are refused. */
  service?: string;
}

export interface Door {
  scopes?: readonly string[];
  /** For WWW-Authenticate; "api". */
  realm?: string;
  /** The request's address; request.socket.remoteAddress. */
  address?: (request: IncomingMessage) => string | undefined;
  /** Is told of each refusal, for the log, before it is sent. */
  refused?: (outcome: Outcome, requestId: string, request: IncomingMessage) => void;
}

/** A service that says who may pass. Each thread has its own; verifying takes microseconds. */
export class Latch {
  /** Throws an Error that says what is wrong with the configuration. */
  constructor(options?: Options);
  /** Decides about one request by its header, "Bearer cc_live_..."; of several headers, the list. */
  verify(authorization: string | readonly string[] | null | undefined, needs?: Needs): Outcome;
  /** The same, of a key that was sent in another way. */
  verifyKey(key: string, needs?: Needs): Outcome;
  /** Asks again about a key that was verified before, for long connections. Charges nothing. */
  recheck(known: Outcome, needs?: Needs): Outcome;
  /** Refuses, or goes on with request.catlatch set to the outcome. */
  middleware(door?: Door):
    (request: IncomingMessage, response: ServerResponse, next: () => void) => void;
  /** What is left of it throws. Otherwise it is closed when nothing refers to it any more. */
  close(): void;
}

/** What came of a request. It does not hold the key. */
export class Outcome {
  private constructor();
  readonly granted: boolean;
  /** "valid", "revoked", "rate_limited", ...: for logs, not for who sent the request. */
  readonly result: string;
  /** Of HTTP: 200, 400, 401, 403, 429 or 503. */
  readonly status: number;
  /** Of refused keys too, if they were ever issued: for logs. */
  readonly keyId: string | null;
  /** Of granted keys alone, as what follows. null is nobody. */
  readonly owner: string | null;
  readonly name: string | null;
  readonly environment: string | null;
  readonly scopes: readonly string[];
  /** Unix seconds; null: never. */
  readonly expires: number | null;
  /** What the key's rates would let pass now; null: it has none. */
  readonly remaining: number | null;
  /** Seconds; null: there is nothing to wait for. */
  readonly retryAfter: number | null;
  /** The header fields that go with it: of a granted request what is left of its rates. */
  headers(realm?: string, requestId?: string): Record<string, string>;
  /** Of a refusal, application/problem+json; "" where the request was granted. */
  body(requestId?: string): string;
}

declare module 'node:http' {
  interface IncomingMessage {
    catlatch?: Outcome;
  }
}
